"""Imports everything that a run needs, in the server from which the processes of runs are forked. Starts no thread."""

import threading

import dagster as dg

import shelf_assets_tests.stories.support  # noqa: F401

# Dagster imports most of its modules with the first instance.
dg.DagsterInstance.ephemeral().dispose()
assert threading.active_count() == 1, f"a fork loses these threads: {threading.enumerate()}"
