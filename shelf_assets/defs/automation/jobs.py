"""Named jobs over the graph. When they run is in `schedules`."""

import dagster as dg

NIGHTLY_JOB = dg.define_asset_job(
    "nightly",
    selection=dg.AssetSelection.all(),
    description="One day through the whole graph, from the listing to the marts.",
)

STAGES_JOB = dg.define_asset_job(
    "stages",
    selection=dg.AssetSelection.all() - dg.AssetSelection.groups("marts"),
    description="One day from the listing to the predictions, without the marts, which a backfill can fill at its end.",
)
