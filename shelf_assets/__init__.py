"""shelf_assets: shoppers' photos of household products, turned every day into Delta tables and BI marts."""

import warnings

import dagster as dg

# `backfill_policy=` is a beta parameter, and right to use; this one warning is silenced, never all of them.
warnings.filterwarnings("ignore", message="Parameter `backfill_policy`", category=dg.BetaWarning)
# Partitioned checks are a preview in this release, which the requirements pin.
warnings.filterwarnings("ignore", message="Specifying a partitions_def on an AssetCheckSpec", category=dg.PreviewWarning)
