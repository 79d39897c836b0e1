"""Business intelligence: the dbt project as a command, and where its marts are. SQL belongs in dbt_bi. No Dagster here."""
