"""The prediction stages: one pass over a day's photos for all of them; only missing keys are inferred."""

from collections.abc import Iterator

import dagster as dg
import polars as pl

from shelf_assets.defs.assets.common import day_of, run_info
from shelf_assets.defs.automation.conditions import late_safe
from shelf_assets.defs.catalogue import table_description, table_metadata
from shelf_assets.defs.compute import GPU_POD, OWNERS_ML, POOL_GPU
from shelf_assets.defs.io_managers.delta import commit_metadata
from shelf_assets.defs.partitions import daily
from shelf_assets.lake.lake import Lake
from shelf_assets.lake.tensor_store import TensorDay
from shelf_assets.observe.tracking import Tracking
from shelf_assets.pipeline.costs import save_cost
from shelf_assets.pipeline.predict import Predict
from shelf_assets.pipeline.stage import PredictionStage
from shelf_assets.registry import prediction_stages

_INPUTS = ("raw_images", "image_tensors")
_IDENTITY = {
    "image_id": [("raw_images", "image_id")],
    "sha256": [("raw_images", "sha256")],
    "day": [("raw_images", "day")],
}


def _spec(stage: PredictionStage) -> dg.AssetSpec:
    return dg.AssetSpec(
        stage.name,
        deps=_INPUTS,
        description=table_description(
            stage.table, "Keyed by image, model and preprocessing: a new model adds rows beside the old."
        ),
        group_name=stage.group,
        kinds={"delta", "pytorch" if stage.uses_models else "numpy"},
        owners=OWNERS_ML,
        skippable=False,
        code_version=stage.code_version,
        automation_condition=late_safe,
        partitions_def=daily,
        metadata=table_metadata(stage.table, _IDENTITY),
    )


def build_predictions() -> dg.AssetsDefinition:
    stages = {stage.name: stage for stage in prediction_stages()}

    @dg.multi_asset(
        specs=[_spec(stage) for stage in stages.values()],
        ins={name: dg.AssetIn(name) for name in _INPUTS},
        can_subset=True,
        op_tags=GPU_POD,
        pool=POOL_GPU,
    )
    def predictions(
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[Lake],
        predict: dg.ResourceParam[Predict],
        tracking: dg.ResourceParam[Tracking],
        raw_images: pl.DataFrame,
        image_tensors: TensorDay,
    ) -> Iterator[dg.MaterializeResult]:
        day, run_id = day_of(context), context.run.run_id
        assets = [key.to_user_string() for key in context.selected_asset_keys]
        passes, timer = predict.run(assets, day, raw_images, image_tensors, run_info(context), context.log.info)
        for each in passes:
            save_cost(lake, day, run_id, each.meter)
            metadata = commit_metadata(each.table, each.commit, [day]) | each.metadata() | timer.metrics()
            stage = stages[each.predictor.asset]
            if stage.uses_models:
                logged = tracking.log_day(
                    each.predictor.spec, day, run_id, each.meter, each.confidences(stage.confidence_column)
                )
                metadata |= logged | predict.models.notice()
            yield dg.MaterializeResult(asset_key=each.predictor.asset, metadata=metadata)

    return predictions
