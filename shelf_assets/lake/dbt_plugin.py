"""Plugin with which dbt-duckdb reads the lake's Delta tables; dbt_bi/profiles.yml names it."""

from __future__ import annotations

import os
from typing import Any

import duckdb
from dbt.adapters.duckdb.plugins import BasePlugin

from shelf_assets.lake.duckdb_delta import prepare_connection


class Plugin(BasePlugin):
    """Prepares the connection of a dbt run, which is a process of its own and gets the lake's URL from its environment."""

    def initialize(self, plugin_config: dict[str, Any]) -> None:
        self._lake_url = os.environ.get("SHELF_LAKE_URL", "")

    def configure_connection(self, conn: duckdb.DuckDBPyConnection) -> None:
        prepare_connection(conn, self._lake_url, os.environ)
