"""MLflow tracking on a real SQLite file: metrics of a model's day, and links between the MLflow run and the Dagster run."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import mlflow
import pytest

from shelf_assets.observe.meter import Meter
from shelf_assets.observe.tracking import EXPERIMENT, Tracking
from shelf_assets_tests.stories.fakes import spec

DAY = date(2026, 3, 1)
SPEC = spec("classifier", 1)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One database for the module, because MLflow takes seconds to create its tables."""
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'mlflow.db'}"


@pytest.fixture
def tracking(database: str) -> Tracking:
    return Tracking(database)


def measured(images: int) -> Meter:
    return Meter("classifications", model_id=SPEC.model_id, images=images, wall_seconds=2.0, cpu_seconds=3.0)


def runs(uri: str) -> list[mlflow.entities.Run]:
    client = mlflow.MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    return list(client.search_runs([experiment.experiment_id])) if experiment else []


def test_logged_day_links_mlflow_run_and_dagster_run(tracking: Tracking, database: str) -> None:
    metadata = tracking.log_day(SPEC, DAY, "run-1", measured(4), [0.2, 0.4, 0.6, 0.8])
    (run,) = runs(database)
    assert metadata == {"mlflow_run_id": run.info.run_id, "mlflow_uri": database}
    assert run.info.status == "FINISHED"
    assert run.data.tags["dagster.run_id"] == "run-1"
    assert run.data.tags["dagster.partition"] == "2026-03-01"
    assert run.data.tags["model_digest"] == SPEC.model_digest
    assert run.data.metrics["images"] == 4
    assert run.data.metrics["images_per_second"] == 2
    assert run.data.metrics["confidence_mean"] == pytest.approx(0.5)
    assert run.data.metrics["confidence_p5"] <= run.data.metrics["confidence_p50"] <= run.data.metrics["confidence_p95"]


def test_second_run_of_a_day_continues_its_mlflow_run(tracking: Tracking, database: str) -> None:
    first = tracking.log_day(SPEC, date(2026, 3, 2), "run-1", measured(4), [0.5] * 4)
    second = tracking.log_day(SPEC, date(2026, 3, 2), "run-2", measured(1), [0.5] * 5)
    assert first["mlflow_run_id"] == second["mlflow_run_id"]
    client = mlflow.MlflowClient(tracking_uri=database)
    steps = client.get_metric_history(str(first["mlflow_run_id"]), "images")
    assert [(each.step, each.value) for each in steps] == [(0, 4.0), (1, 1.0)]
    assert client.get_run(str(first["mlflow_run_id"])).data.tags["dagster.run_id"] == "run-2"


def test_day_without_inference_is_not_logged(tracking: Tracking, database: str) -> None:
    before = len(runs(database))
    assert tracking.log_day(SPEC, date(2026, 3, 3), "run-1", measured(0), []) == {}
    assert len(runs(database)) == before


@pytest.mark.parametrize("broken", ["a file in place of its folder", "not a database"])
def test_unavailable_tracking_store_does_not_fail_the_day(
    broken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mlflow.db"
    if broken == "a file in place of its folder":
        (tmp_path / "a file").write_text("")
        path = tmp_path / "a file" / "mlflow.db"
    else:
        path.write_bytes(b"this is not an SQLite database, whatever its name is" * 50)
        monkeypatch.setattr("mlflow.store.db.utils.MAX_RETRY_COUNT", 1)
    metadata = Tracking(f"sqlite:///{path}").log_day(SPEC, DAY, "run-1", measured(1), [0.5])
    assert list(metadata) == ["mlflow_error"]
    assert "The predictions are committed" in str(metadata["mlflow_error"])


def test_tracking_password_is_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    tracking = Tracking("http://somebody:open/sesame@127.0.0.1:9")
    assert "sesame" not in str(tracking.log_day(SPEC, DAY, "run-1", measured(1), [0.5]))
