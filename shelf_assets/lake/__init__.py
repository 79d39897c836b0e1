"""How values rest: declared schemas, Delta tables and their commit rules, tensor shards, the object store.

Read in this order: `schemas` (what a row is), `ledger` (which rows a commit may write), `delta` (how a commit is made safe),
`object_store` (photos), `tensor_index` and `shards` (tensors), `upkeep` (tables kept
small). Nothing here imports Dagster or torch.
"""
