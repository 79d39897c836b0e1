"""The plugin that dbt-duckdb loads to read the lake's Delta tables; dbt_bi/profiles.yml names it. Nothing else belongs here."""

from __future__ import annotations

import os
from typing import Any

import duckdb
from dbt.adapters.duckdb.plugins import BasePlugin

from shelf_assets.lake.duckdb_delta import prepare_connection


class Plugin(BasePlugin):
    """Prepares every connection of a dbt run. dbt is a process of its own: it takes the lake's URL from the environment."""

    def initialize(self, plugin_config: dict[str, Any]) -> None:
        self._lake_url = os.environ.get("SHELF_LAKE", "")

    def configure_connection(self, conn: duckdb.DuckDBPyConnection) -> None:
        prepare_connection(conn, self._lake_url, os.environ)
