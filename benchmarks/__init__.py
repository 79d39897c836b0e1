"""Benchmarks of the product, which they call; README.md lists them. Nothing of the product belongs here.

`python -m benchmarks` compares this pipeline with baselines on the same photos and weights. Its modules, in reading order:
photos, place, baselines (the table; each baseline has a module of its own), worker and process, session, metrics, goals,
report. Every other command measures one subject and says which.
"""
