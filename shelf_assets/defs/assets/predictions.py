"""`classifications` and `clip_embeddings`: one pass over a day's photos for every model; only missing keys are inferred."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import dagster as dg
import polars as pl

from shelf_assets.defs.assets.common import day_of, run_info, save_cost
from shelf_assets.defs.automation.conditions import late_safe
from shelf_assets.defs.catalogue import table_description, table_metadata
from shelf_assets.defs.compute import GPU_POD, OWNERS_ML, POOL_GPU
from shelf_assets.defs.io_managers.delta import commit_metadata
from shelf_assets.defs.partitions import daily
from shelf_assets.defs.resources.lake import LakeResource
from shelf_assets.lake.ledger import ACCEPTED, missing_predictions
from shelf_assets.lake.schemas import TABLES
from shelf_assets.lake.tensor_store import TensorDay
from shelf_assets.observe.meter import Meter
from shelf_assets.observe.progress import Progress
from shelf_assets.observe.tracking import TrackingResource
from shelf_assets.pipeline.models import ModelsResource, Predictor
from shelf_assets.pipeline.pixels import pixels_of_day
from shelf_assets.vision.engine import StageTimer, Task, batched, run_tasks

_INPUTS = ("raw_images", "image_tensors")
_IDENTITY = {
    "image_id": [("raw_images", "image_id")],
    "sha256": [("raw_images", "sha256")],
    "day": [("raw_images", "day")],
}


def _spec(name: str, kinds: set[str]) -> dg.AssetSpec:
    return dg.AssetSpec(
        name,
        deps=_INPUTS,
        description=table_description(
            name, "Keyed by image, model and preprocessing: a new model adds rows beside the old."
        ),
        group_name="vision",
        kinds=kinds,
        owners=OWNERS_ML,
        skippable=False,
        code_version="1",
        automation_condition=late_safe,
        partitions_def=daily,
        metadata=table_metadata(name, _IDENTITY),
    )


@dg.multi_asset(
    specs=[_spec("classifications", {"delta", "pytorch"}), _spec("clip_embeddings", {"delta", "pytorch"})],
    ins={name: dg.AssetIn(name) for name in _INPUTS},
    can_subset=True,
    op_tags=GPU_POD,
    pool=POOL_GPU,
)
def predictions(
    context: dg.AssetExecutionContext,
    lake: LakeResource,
    models: ModelsResource,
    tracking: TrackingResource,
    raw_images: pl.DataFrame,
    image_tensors: TensorDay,
) -> Iterator[dg.MaterializeResult]:
    day = day_of(context)
    # A photo that cannot be decoded is nobody's work: it would have the models loaded for nothing, run after run.
    index = image_tensors.index()
    photos = index.not_failed(raw_images.filter(status=ACCEPTED))
    clock = StageTimer()
    passes = [
        _ModelPass(context, lake, predictor, photos, clock)
        for predictor in models.predictors(sorted(key.to_user_string() for key in context.selected_asset_keys))
    ]
    due = [each for each in passes if each.missing.height]
    if due:
        wanted = photos.join(pl.concat([each.missing for each in due]), on=["image_id", "sha256"], how="semi")
        progress = Progress(f"predictions {day}", wanted.height, context.log.info)
        # One batch for all: a photo is read and decoded once, whatever number of models it misses.
        batch_images = min(each.predictor.batch_images for each in due)
        batches = batched(pixels_of_day(lake, image_tensors, index, wanted, clock), batch_images)
        with ExitStack() as opened:
            for each in due:
                opened.callback(each.predictor.close)
            run_tasks(batches, [each.task() for each in due], progress.advance)
    for each in passes:
        save_cost(context, lake, day, each.meter)
        logged = tracking.log_day(each.predictor.spec, day, context.run.run_id, each.meter, each.confidences())
        yield dg.MaterializeResult(
            asset_key=each.predictor.asset, metadata=each.metadata() | clock.metrics() | logged | models.notice()
        )


class _ModelPass:
    """One model over one day: what it misses, the task that infers it, and what is said of it afterwards."""

    def __init__(
        self,
        context: dg.AssetExecutionContext,
        lake: LakeResource,
        predictor: Predictor,
        photos: pl.DataFrame,
        clock: StageTimer,
    ) -> None:
        self.context, self.lake, self.predictor = context, lake, predictor
        self.day = day_of(context)
        self.table = lake.lake.table(predictor.asset)
        resting = self.table.scan(self.day, self.day).select("image_id", "sha256", "model_digest", "preprocess_digest")
        self.missing = missing_predictions(
            photos, resting.collect(), predictor.spec.model_digest, predictor.preprocess_digest
        )
        self.meter = Meter(predictor.asset, model_id=predictor.spec.model_id, others_cpu_seconds=clock.cpu_seconds)
        self.commit = self.table.commit(TABLES[predictor.asset].empty())

    def task(self) -> Task:
        self.meter.device = self.predictor.device
        return Task(
            name=self.predictor.asset,
            missing=set(self.missing.iter_rows()),
            submit=self.predictor.submit,
            commit=self._commit,
            timer=self.meter.running,
            chunk_images=self.lake.settings.pipeline.commit_images,
        )

    def _commit(self, rows: pl.DataFrame) -> None:
        identified = rows.with_columns(
            day=pl.lit(self.day),
            model_id=pl.lit(self.predictor.spec.model_id),
            model_digest=pl.lit(self.predictor.spec.model_digest),
            preprocess_digest=pl.lit(self.predictor.preprocess_digest),
        )
        commit = self.table.commit(identified, days=[self.day], info=run_info(self.context))
        earlier = self.commit
        self.commit = replace(
            commit, committed=earlier.committed or commit.committed, rows_new=earlier.rows_new + commit.rows_new
        )
        self.meter.images += rows.height

    def confidences(self) -> list[float]:
        """Of all photos of the day that this model has seen, in this run or before; none for an embedder."""
        if "confidence" not in self.table.spec.columns or not self.meter.images:
            return []
        rows = self.table.scan(self.day, self.day).filter(
            model_digest=self.predictor.spec.model_digest, preprocess_digest=self.predictor.preprocess_digest
        )
        return rows.select("confidence").collect()["confidence"].to_list()

    def metadata(self) -> dict[str, Any]:
        return commit_metadata(self.table, self.commit, [self.day]) | {
            "inferred_now": self.meter.images,
            "images_per_second": round(self.meter.images_per_second, 1),
            "model_id": self.predictor.spec.model_id,
            "model_digest": self.predictor.spec.model_digest,
            "preprocess_digest": self.predictor.preprocess_digest,
            "backend": self.predictor.spec.backend,
            "precision": self.predictor.spec.precision,
            **(self.predictor.facts() if self.meter.images else {}),
        }
