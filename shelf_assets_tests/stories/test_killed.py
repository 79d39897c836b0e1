"""Killed, interrupted or concurrent runs: after a further run the tables are the same as without the disturbance.

The killed run has a separate process. The run that repairs it has the test's process, which shares no state with the other.
"""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pytest

from shelf_assets.settings import load_settings
from shelf_assets_tests.stories.photos import photo, photos, truncated
from shelf_assets_tests.stories.processes import Fault, Runs
from shelf_assets_tests.stories.support import DAY, NEXT_DAY, Platform, Snapshot, assert_same

FILES = {**photos(range(5)), "again": photo(0), "cut short": truncated()}
WRITE = "shelf_assets.lake.delta:LakeTable._write"
CREATE = "shelf_assets.lake.delta:LakeTable._ensure"
PUT = "shelf_assets.lake.object_store:ObjectStore.put"
GET = "shelf_assets.lake.object_store:ObjectStore.get"
SHARD = "shelf_assets.lake.tensor_store:_OpenShard._flush"
INFER = "shelf_assets_tests.stories.fakes:ColourPredictor.columns_of"

FAULTS = [
    Fault(GET, "images/", nth=4),
    Fault(CREATE, "raw_images", after=True),
    Fault(WRITE, "raw_images"),
    Fault(WRITE, "raw_images", after=True),
    Fault(SHARD, nth=2),
    Fault(PUT, ".json", nth=2),
    Fault(PUT, ".json", nth=2, after=True),
    Fault(INFER, nth=3),
    Fault(WRITE, "classifications", nth=2),
    Fault(WRITE, "classifications", nth=2, after=True),
    Fault(WRITE, "clip_embeddings"),
    Fault(WRITE, "clip_embeddings", after=True),
    # The cost of the first stage and of the third one.
    Fault(WRITE, "stage_runs", nth=1, after=True),
    Fault(WRITE, "stage_runs", nth=3),
]


@pytest.fixture(scope="module")
def undisturbed(parsed_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """The contents of the tables after a run that was not killed."""
    home = tmp_path_factory.mktemp("undisturbed") / "home"
    shutil.copytree(parsed_home, home)
    shop = Platform(load_settings({}, home=home))
    shop.land(DAY, FILES)
    shop.run(DAY)
    held = shop.snapshot(DAY)
    shop.instance.dispose()
    return held


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_rerun_after_a_kill_gives_the_undisturbed_tables(
    shop: Platform, runs: Runs, undisturbed: Snapshot, fault: Fault
) -> None:
    shop.land(DAY, FILES)

    assert runs.run(shop.settings, DAY, fault) == -signal.SIGKILL
    shop.run(DAY)

    assert_same(shop.snapshot(DAY), undisturbed)
    stages = shop.rows("stage_runs")
    assert stages.select("run_id", "stage").is_unique().all()


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM], ids=lambda each: each.name)
def test_interrupted_run_keeps_inferred_photos(shop: Platform, runs: Runs, stop: signal.Signals) -> None:
    # Chunks so large that no commit is due when the signal arrives.
    patient = shop.settings.replace(pipeline__commit_images=1000)
    shop.land(DAY, FILES)

    # The second batch of the first model, so that two photos of each model have been inferred.
    assert runs.run(patient, DAY, Fault(INFER, nth=3, signal_number=stop)) != 0

    assert shop.rows("classifications").height >= 2
    assert shop.rows("clip_embeddings").height >= 2
    shop.run(DAY)
    assert shop.rows("classifications").height == 5


def test_concurrent_days_accept_the_same_bytes_once(shop: Platform, runs: Runs) -> None:
    shop.land(DAY, photos(range(4)))
    shop.land(NEXT_DAY, photos(range(2, 6)))

    assert runs.run_together(shop.settings, [DAY, NEXT_DAY]) == [0, 0]

    accepted = shop.rows("raw_images").filter(status="accepted")
    assert accepted["sha256"].n_unique() == accepted.height == 6
    assert shop.rows("raw_images").height == 8
    assert sorted(shop.rows("classifications")["image_id"]) == sorted(accepted["image_id"])


def test_concurrent_runs_of_one_day_write_every_row_once(shop: Platform, runs: Runs, undisturbed: Snapshot) -> None:
    shop.land(DAY, FILES)

    assert runs.run_together(shop.settings, [DAY, DAY]) == [0, 0]

    assert_same(shop.snapshot(DAY), undisturbed)
