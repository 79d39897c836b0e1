"""One resource per outside thing: the lake, its IO managers, the models, the tracking server."""
