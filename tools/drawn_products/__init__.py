"""Drawn photos of invented products, for the demo, the training of the projection, tests and benchmarks."""
