"""Everything that is Dagster's: assets, checks, automation, resources, IO managers, partitions, executor, pods.

Assets are thin: the work that they call is in the other rooms, none of which imports Dagster.
"""
