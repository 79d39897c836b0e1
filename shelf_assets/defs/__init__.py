"""All of Dagster, and nothing else: assets, checks, automation, resources, IO managers, partitions, pods. Thin.

The work that an asset orders is in the other rooms, none of which imports Dagster.
"""
