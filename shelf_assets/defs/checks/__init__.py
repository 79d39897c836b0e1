"""Questions asked of every day. Each producing op has one op of checks; a blocking check that fails stops the day.

The registry says what is asked: the contract of every table, whether every photo is predicted by every prediction stage,
and the checks that a stage declares itself.
"""

import dagster as dg

from shelf_assets.defs.checks import quality
from shelf_assets.defs.checks.common import DayUnderCheck, DeclaredCheck, Result, build_checks
from shelf_assets.defs.checks.contracts import DESCRIPTION, contract_of
from shelf_assets.defs.compute import CPU_POD
from shelf_assets.pipeline.stage import PredictionStage, Stage, StageCheck
from shelf_assets.registry import prediction_stages, stages


def _of_stage(stage: Stage) -> list[DeclaredCheck]:
    """The checks that follow from a stage's declaration."""
    checks = [DeclaredCheck(stage.name, "contract", DESCRIPTION, contract_of(stage.name))] if stage.table else []
    if isinstance(stage, PredictionStage):
        description = "Every accepted photo that can be decoded has a row of the configured model."
        checks.append(
            DeclaredCheck(
                stage.name, "every_photo_is_predicted", description, quality.every_photo_is_predicted(stage.name)
            )
        )
    return checks + [_declared_by(stage.name, each) for each in stage.checks]


def _declared_by(asset: str, check: StageCheck) -> DeclaredCheck:
    def ask(day: DayUnderCheck) -> Result:
        answer = check.ask(day)
        return answer.passed, answer.description, answer.metadata

    return DeclaredCheck(asset, check.name, check.description, ask, check.is_blocking)


def build_asset_checks() -> list[dg.AssetChecksDefinition]:
    by_name = {stage.name: stage for stage in stages()}
    return [
        build_checks(
            "check_raw_images",
            [
                *_of_stage(by_name["raw_images"]),
                DeclaredCheck(
                    "raw_images",
                    "every_object_has_a_row",
                    "Every object under the day's prefix has a row: landed = accepted + duplicate + rejected.",
                    quality.every_object_has_a_row,
                ),
                DeclaredCheck(
                    "raw_images",
                    "no_bytes_accepted_twice",
                    "No bytes are accepted twice, on any day.",
                    quality.no_bytes_accepted_twice,
                ),
            ],
            CPU_POD,
        ),
        build_checks(
            "check_image_tensors",
            [
                *_of_stage(by_name["image_tensors"]),
                DeclaredCheck(
                    "image_tensors",
                    "every_photo_is_a_tensor_or_a_reason",
                    "Every accepted photo is a tensor or a recorded failure, and failures stay below the limit.",
                    quality.every_photo_is_a_tensor_or_a_reason,
                ),
            ],
            CPU_POD,
        ),
        build_checks(
            "check_predictions", [check for stage in prediction_stages() for check in _of_stage(stage)], CPU_POD
        ),
    ]
