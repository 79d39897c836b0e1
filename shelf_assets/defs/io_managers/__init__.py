"""How assets are stored and loaded: rows in Delta tables, tensors in shards."""
