"""Questions asked of every day. Each producing op has one op of checks; a check that fails stops the day."""

from shelf_assets.defs.checks import quality
from shelf_assets.defs.checks.common import build_checks
from shelf_assets.defs.checks.contracts import DESCRIPTION, contract_of
from shelf_assets.defs.compute import CPU_POD

_PREDICTIONS = ("classifications", "clip_embeddings")

asset_checks = [
    build_checks(
        "check_raw_images",
        {
            ("raw_images", "contract"): (DESCRIPTION, contract_of("raw_images")),
            ("raw_images", "every_object_has_a_row"): (
                "Every object under the day's prefix has a row: landed = accepted + duplicate + rejected.",
                quality.every_object_has_a_row,
            ),
            ("raw_images", "no_bytes_accepted_twice"): (
                "No bytes are accepted twice, on any day.",
                quality.no_bytes_accepted_twice,
            ),
        },
        CPU_POD,
    ),
    build_checks(
        "check_image_tensors",
        {
            ("image_tensors", "every_photo_is_a_tensor_or_a_reason"): (
                "Every accepted photo is a tensor or a recorded failure, and failures stay below the limit.",
                quality.every_photo_is_a_tensor_or_a_reason,
            )
        },
        CPU_POD,
    ),
    build_checks(
        "check_predictions",
        {(table, "contract"): (DESCRIPTION, contract_of(table)) for table in _PREDICTIONS}
        | {
            (table, "every_photo_is_predicted"): (
                "Every accepted photo that can be decoded has a row of the configured model.",
                quality.every_photo_is_predicted(table),
            )
            for table in _PREDICTIONS
        },
        CPU_POD,
    ),
]
