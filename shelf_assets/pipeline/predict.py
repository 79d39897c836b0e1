"""One pass over a day's photos for all requested models: only missing rows are inferred, and a photo is decoded once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import date

import polars as pl

from shelf_assets.lake.lake import Lake
from shelf_assets.lake.ledger import ACCEPTED, missing_predictions
from shelf_assets.lake.tensor_store import TensorDay
from shelf_assets.observe.meter import Meter
from shelf_assets.observe.progress import Progress
from shelf_assets.pipeline.models import PredictionModels
from shelf_assets.pipeline.photo_reader import PhotoReader
from shelf_assets.pipeline.pixels import pixels_of_day
from shelf_assets.pipeline.stage import Predictor, shared_batch_images
from shelf_assets.pipeline.tensors import Tensors
from shelf_assets.vision.engine import StageTimer, Task, batched, run_tasks


@dataclass(frozen=True)
class Predict:
    """Infers days. Rows are committed in chunks of `commit_images`: a killed run loses at most one chunk per model."""

    lake: Lake
    reader: PhotoReader
    tensors: Tensors
    models: PredictionModels
    commit_images: int

    def run(
        self,
        assets: Sequence[str],
        day: date,
        raw_images: pl.DataFrame,
        tensors: TensorDay,
        info: Mapping[str, str],
        log: Callable[[str], None],
    ) -> tuple[list[ModelPass], StageTimer]:
        """Infer the missing predictions of the day's accepted photos for each asset; `info` is added to the commits' metadata."""
        index = tensors.index()
        # Photos that cannot be decoded are excluded here; otherwise every run would load the models for them.
        photos = index.not_failed(raw_images.filter(status=ACCEPTED))
        timer = StageTimer()
        passes = [
            ModelPass(self.lake, predictor, day, photos, timer, info, self.commit_images)
            for predictor in self.models.predictors(assets)
        ]
        due = [each for each in passes if each.missing.height]
        if due:
            wanted = photos.join(pl.concat([each.missing for each in due]), on=["image_id", "sha256"], how="semi")
            progress = Progress(f"predictions {day}", wanted.height, log)
            with ExitStack() as opened:
                # Asking for the batch size opens each model: where one fails, those before it are to be closed as well.
                for each in due:
                    opened.callback(each.predictor.close)
                # One batch size for all: a photo is read and decoded once, however many models it misses.
                batch_images = shared_batch_images([each.predictor for each in due])
                pixels = pixels_of_day(self.reader, self.tensors, tensors, index, wanted, timer)
                run_tasks(batched(pixels, batch_images), [each.task() for each in due], progress.advance)
        return passes, timer


class ModelPass:
    """One model on one day: the missing photos, the task that infers them, and the results."""

    def __init__(
        self,
        lake: Lake,
        predictor: Predictor,
        day: date,
        photos: pl.DataFrame,
        timer: StageTimer,
        info: Mapping[str, str],
        commit_images: int,
    ) -> None:
        self.predictor, self.day = predictor, day
        self._info, self._commit_images = info, commit_images
        self.table = lake.table(predictor.asset)
        existing = self.table.scan(day, day).select("image_id", "sha256", "model_digest", "preprocess_digest")
        self.missing = missing_predictions(
            photos, existing.collect(), predictor.spec.model_digest, predictor.preprocess_digest
        )
        self.meter = Meter(
            predictor.asset,
            model_id=predictor.spec.model_id,
            others_cpu_seconds=timer.cpu_seconds,
            is_single_threaded=predictor.is_single_threaded,
        )
        self.commit = self.table.commit(self.table.spec.empty())

    def task(self) -> Task:
        self.meter.device = self.predictor.device
        return Task(
            name=self.predictor.asset,
            missing=set(self.missing.iter_rows()),
            submit=self.predictor.submit,
            commit=self._commit,
            timer=self.meter.running,
            chunk_images=self._commit_images,
        )

    def _commit(self, rows: pl.DataFrame) -> None:
        identified = rows.with_columns(
            day=pl.lit(self.day),
            model_id=pl.lit(self.predictor.spec.model_id),
            model_digest=pl.lit(self.predictor.spec.model_digest),
            preprocess_digest=pl.lit(self.predictor.preprocess_digest),
        )
        commit = self.table.commit(identified, days=[self.day], info=self._info)
        earlier = self.commit
        self.commit = replace(
            commit, committed=earlier.committed or commit.committed, rows_new=earlier.rows_new + commit.rows_new
        )
        self.meter.images += rows.height

    def confidences(self, column: str | None) -> list[float]:
        """That column of the whole day by this model; none for a stage without one, and none where nothing was inferred now."""
        if column is None or not self.meter.images:
            return []
        rows = self.table.scan(self.day, self.day).filter(
            model_digest=self.predictor.spec.model_digest, preprocess_digest=self.predictor.preprocess_digest
        )
        return rows.select(column).collect()[column].to_list()

    def metadata(self) -> dict[str, object]:
        """Metadata of the pass, for the catalogue."""
        spec = self.predictor.spec
        return {
            "inferred_now": self.meter.images,
            "images_per_second": round(self.meter.images_per_second, 1),
            "model_id": spec.model_id,
            "model_digest": spec.model_digest,
            "preprocess_digest": self.predictor.preprocess_digest,
            "backend": spec.backend,
            "precision": spec.precision,
            **(self.predictor.facts() if self.meter.images else {}),
        }
