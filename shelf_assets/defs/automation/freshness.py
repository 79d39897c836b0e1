"""One freshness policy for every asset that a nightly run makes: yesterday's partition is due in the morning."""

from collections.abc import Sequence
from datetime import timedelta

import dagster as dg

# The nightly run starts at a quarter past the hour and takes minutes; analysts open their dashboards this many hours later.
HOURS_TO_FINISH = 5


def due_in_the_morning(nightly_hour_utc: int) -> dg.FreshnessPolicy:
    """The policy: due between the hour of the nightly run and five hours later."""
    deadline_hour = (nightly_hour_utc + HOURS_TO_FINISH) % 24
    return dg.FreshnessPolicy.cron(
        deadline_cron=f"0 {deadline_hour} * * *", lower_bound_delta=timedelta(hours=HOURS_TO_FINISH), timezone="UTC"
    )


def with_freshness(
    assets: Sequence[dg.AssetsDefinition | dg.AssetSpec], policy: dg.FreshnessPolicy
) -> list[dg.AssetsDefinition | dg.AssetSpec]:
    """Attach the policy to materializable assets. `landing` is external and may have no photos for a day."""
    attached = dg.map_asset_specs(
        lambda spec: spec.replace_attributes(freshness_policy=policy),
        [asset for asset in assets if isinstance(asset, dg.AssetsDefinition)],
    )
    return [*attached, *(asset for asset in assets if isinstance(asset, dg.AssetSpec))]
