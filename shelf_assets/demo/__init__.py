"""Drawn shelf products, for a demo and for tests without anyone's photos. Nothing of the pipeline belongs here."""
