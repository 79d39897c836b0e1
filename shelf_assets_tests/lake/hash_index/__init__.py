"""Tests of the hash index of raw_images: runs, look-ups, and updates after commits."""
