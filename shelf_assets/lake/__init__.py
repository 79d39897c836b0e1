"""The lake: declared schemas, Delta tables and their commit rules, tensor shards, the object store.

Read in this order: `schemas` (the columns of a row), `rules` (which rows a commit writes), `delta` (safe commits),
`object_store` (photos), `tensor_index` and `tensor_store` (tensors), `maintenance` and `purge` (files of tables). Nothing here
imports Dagster or torch.
"""
