"""MLflow on a real SQLite file: what was logged of a model's day, and that it leads to Dagster's run and back."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import mlflow
import pytest

from shelf_assets.observe.meter import Meter
from shelf_assets.resources.tracking import EXPERIMENT, TrackingResource
from shelf_assets_tests.stories.stand_ins import spec

DAY = date(2026, 3, 1)
SPEC = spec("classifier", 1)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Made once: MLflow takes seconds to make its tables."""
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'mlflow.db'}"


def spent(images: int) -> Meter:
    return Meter("classifications", model_id=SPEC.model_id, images=images, wall_seconds=2.0, cpu_seconds=3.0)


def runs(uri: str) -> list[mlflow.entities.Run]:
    client = mlflow.MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    return list(client.search_runs([experiment.experiment_id])) if experiment else []


def test_a_model_s_day_is_not_found_or_does_not_lead_to_its_run(database: str) -> None:
    metadata = TrackingResource(uri=database).log_day(SPEC, DAY, "run-1", spent(4), [0.2, 0.4, 0.6, 0.8])
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


def test_a_late_photo_makes_a_second_run_of_the_same_day(database: str) -> None:
    tracking = TrackingResource(uri=database)
    first = tracking.log_day(SPEC, date(2026, 3, 2), "run-1", spent(4), [0.5] * 4)
    second = tracking.log_day(SPEC, date(2026, 3, 2), "run-2", spent(1), [0.5] * 5)
    assert first["mlflow_run_id"] == second["mlflow_run_id"]
    client = mlflow.MlflowClient(tracking_uri=database)
    steps = client.get_metric_history(str(first["mlflow_run_id"]), "images")
    assert [(each.step, each.value) for each in steps] == [(0, 4.0), (1, 1.0)]
    assert client.get_run(str(first["mlflow_run_id"])).data.tags["dagster.run_id"] == "run-2"


def test_nothing_inferred_is_logged(database: str) -> None:
    before = len(runs(database))
    assert TrackingResource(uri=database).log_day(SPEC, date(2026, 3, 3), "run-1", spent(0), []) == {}
    assert len(runs(database)) == before


def test_a_tracking_server_that_is_down_costs_the_day_or_tells_its_password(tmp_path: Path) -> None:
    in_the_way = tmp_path / "a file"
    in_the_way.write_text("no folder")
    metadata = TrackingResource(uri=f"sqlite:///{in_the_way}/mlflow.db").log_day(SPEC, DAY, "run-1", spent(1), [0.5])
    assert list(metadata) == ["mlflow_error"]
    assert "the predictions are committed" in str(metadata["mlflow_error"]).lower()


def test_a_password_in_the_uri_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    tracking = TrackingResource(uri="http://somebody:open-sesame@127.0.0.1:9")
    assert "open-sesame" not in str(tracking.log_day(SPEC, DAY, "run-1", spent(1), [0.5]))
