"""The graph, one file per noun. Read in this order: landing, raw_images, image_tensors, predictions, marts.

Assets are thin: they say what they need, call plain functions of `lake` and `vision`, and return value and metadata.
"""
