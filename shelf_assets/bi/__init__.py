"""The marts: the dbt project as a command, its environment and its manifest, and the files made from the registry.

SQL belongs in dbt_bi. Imports no Dagster.
"""
