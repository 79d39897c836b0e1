"""What a run needs, imported once in the server that the runs' processes are forked from. Leaves no thread behind."""

import threading

import dagster as dg

import shelf_assets_tests.stories.support  # noqa: F401

# Dagster imports the larger part of itself with the first instance.
dg.DagsterInstance.ephemeral().dispose()
assert threading.active_count() == 1, f"a fork would lose these threads: {threading.enumerate()}"
