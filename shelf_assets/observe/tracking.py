"""MLflow tracking: one MLflow run per model and day, linked with the materialization both ways. No global active run."""

import logging
from collections.abc import Sequence
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from shelf_assets.extras import is_installed
from shelf_assets.observe.meter import Meter
from shelf_assets.urls import without_password

if TYPE_CHECKING:
    from shelf_assets.pipeline.stage import MethodIdentity

EXPERIMENT = "shelf_assets/predictions"
log = logging.getLogger(__name__)


class Tracking:
    """Logs to the MLflow store at `uri`. A store that is unavailable costs its log entries; the day succeeds."""

    def __init__(self, uri: str) -> None:
        self.uri = uri

    @cached_property
    def _client(self) -> Any:
        # It logs the creation of its tables to stderr.
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
        from mlflow import MlflowClient

        if self._folder:
            self._folder.mkdir(parents=True, exist_ok=True)
        return MlflowClient(tracking_uri=self.uri)

    @property
    def _folder(self) -> Path | None:
        """The folder of an embedded store; None for a server, which keeps its own artifacts."""
        return Path(self.uri.removeprefix("sqlite:///")).parent if self.uri.startswith("sqlite:///") else None

    def log_day(
        self, spec: "MethodIdentity", day: date, dagster_run_id: str, meter: Meter, confidences: Sequence[float]
    ) -> dict[str, object]:
        """Log one model's metrics of one day; returns metadata that links to the MLflow run, {} if nothing was inferred.

        A model's day is one MLflow run: when a late photo re-opens the day, its metrics are the next step of the same run.
        `confidences` are those of the whole day. An error of the store is logged and returned as `mlflow_error`.
        """
        if not meter.images:
            return {}
        if not is_installed("tracking"):
            return {"mlflow": "not logged; the extra `tracking` is not installed: pip install 'shelf-assets[tracking]'"}
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            return {
                "mlflow_run_id": self._log(spec, day, dagster_run_id, meter, confidences),
                "mlflow_uri": without_password(self.uri),
            }
        except (MlflowException, SQLAlchemyError, OSError) as unreachable:
            message = without_password(f"MLflow at {self.uri} could not be written: {unreachable}")
            log.warning("%s", message)
            return {"mlflow_error": f"{message}. The predictions are committed"}

    def _log(
        self, spec: "MethodIdentity", day: date, dagster_run_id: str, meter: Meter, confidences: Sequence[float]
    ) -> str:
        tags = {
            "dagster.run_id": dagster_run_id,
            "dagster.asset": meter.stage,
            "dagster.partition": day.isoformat(),
            "model_id": spec.model_id,
            "model_digest": spec.model_digest,
        }
        run_id = self._find_run(spec, day)
        if run_id is None:
            name = f"{spec.model_id} {day}"
            run_id = str(self._client.create_run(self._experiment_id, run_name=name, tags=tags).info.run_id)
            self._client.log_param(run_id, "device", meter.device)
        else:
            self._client.set_tag(run_id, "dagster.run_id", dagster_run_id)
        step = len(self._client.get_metric_history(run_id, "images"))
        for name, value in _metrics(meter, confidences).items():
            self._client.log_metric(run_id, name, value, step=step)
        self._client.set_terminated(run_id)
        return run_id

    def _find_run(self, spec: "MethodIdentity", day: date) -> str | None:
        wanted = f"tags.model_digest = '{spec.model_digest}' and tags.`dagster.partition` = '{day}'"
        found = self._client.search_runs([self._experiment_id], wanted, max_results=1)
        return str(found[0].info.run_id) if found else None

    @cached_property
    def _experiment_id(self) -> str:
        from mlflow.exceptions import MlflowException

        if found := self._client.get_experiment_by_name(EXPERIMENT):
            return str(found.experiment_id)
        try:
            artifacts = (self._folder / "artifacts").as_uri() if self._folder else None
            return str(self._client.create_experiment(EXPERIMENT, artifact_location=artifacts))
        except MlflowException:  # another process has created it meanwhile
            return str(self._client.get_experiment_by_name(EXPERIMENT).experiment_id)


def _metrics(meter: Meter, confidences: Sequence[float]) -> dict[str, float]:
    metrics = {
        "images": float(meter.images),
        "images_per_second": meter.images_per_second,
        "wall_seconds": meter.wall_seconds,
        "cpu_seconds": meter.cpu_seconds,
    }
    if confidences:
        series = pl.Series(confidences)
        metrics |= {f"confidence_p{q}": float(series.quantile(q / 100) or 0.0) for q in (5, 25, 50, 75, 95)}
        metrics["confidence_mean"] = float(series.mean() or 0.0)  # type: ignore[arg-type]
    return metrics
