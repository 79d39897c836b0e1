"""One freshness policy for every asset that a nightly run makes: yesterday's partition is due in the morning."""

from collections.abc import Sequence
from datetime import timedelta

import dagster as dg

# The nightly run starts at 01:15 UTC by default and takes minutes; analysts open their dashboards at six.
DUE_BY_SIX_UTC = dg.FreshnessPolicy.cron(
    deadline_cron="0 6 * * *", lower_bound_delta=timedelta(hours=5), timezone="UTC"
)


def with_freshness(
    assets: Sequence[dg.AssetsDefinition | dg.AssetSpec],
) -> list[dg.AssetsDefinition | dg.AssetSpec]:
    """Attach the policy to what we make; `landing` is made by others and may rightly be silent for a day."""
    attached = dg.map_asset_specs(
        lambda spec: spec.replace_attributes(freshness_policy=DUE_BY_SIX_UTC),
        [asset for asset in assets if isinstance(asset, dg.AssetsDefinition)],
    )
    return [*attached, *(asset for asset in assets if isinstance(asset, dg.AssetSpec))]
