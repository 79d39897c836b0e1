"""The hash index of raw_images: runs, look-ups, how it follows the table."""
