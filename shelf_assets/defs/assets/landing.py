"""`landing`: the objects under a day's prefix, put there by the upload API or others. External: Dagster watches it only."""

import dagster as dg

from shelf_assets.defs.compute import OWNERS_ML
from shelf_assets.defs.partitions import daily

landing = dg.AssetSpec(
    "landing",
    description=(
        "One object per photo under `images/YYYY/MM/DD/` (UTC receipt day). The arrivals sensor reports a materialization "
        "with the digest of the day's listing whenever that changes, also long after the day has passed."
    ),
    group_name="intake",
    kinds={"s3"},
    owners=OWNERS_ML,
    partitions_def=daily,
)
