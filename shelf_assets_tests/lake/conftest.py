"""Processes for concurrent writes, started once per test file. No test here."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

import pytest

from shelf_assets_tests.lake.writers import PROCESSES


@pytest.fixture(scope="module")
def processes() -> Iterator[ProcessPoolExecutor]:
    # Imports in eight interpreters take long on two cores, so one process imports everything and then forks.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["shelf_assets_tests.lake.writers"])
    with ProcessPoolExecutor(PROCESSES, mp_context=context) as pool:
        yield pool
