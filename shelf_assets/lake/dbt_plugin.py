"""The plugin by which dbt-duckdb reads the lake's Delta tables, named by dbt_bi/profiles.yml. No more."""

from __future__ import annotations

import os
from typing import Any

import duckdb
from dbt.adapters.duckdb.plugins import BasePlugin

from shelf_assets.lake.duckdb_delta import prepare_connection


class Plugin(BasePlugin):
    """Prepares the connection of a dbt run, a process of its own: the lake's URL comes by the environment."""

    def initialize(self, plugin_config: dict[str, Any]) -> None:
        self._lake_url = os.environ.get("SHELF_LAKE_URL", "")

    def configure_connection(self, conn: duckdb.DuckDBPyConnection) -> None:
        prepare_connection(conn, self._lake_url, os.environ)
