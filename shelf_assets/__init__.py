"""shelf_assets: shoppers' photos of household products, turned every day into Delta tables and BI marts."""

import warnings

# Both are beta or preview in this release, which the requirements pin, and right to use; these two warnings are silenced,
# never all of them. Named by message alone: importing Dagster for its category would cost every process that only reads the lake.
warnings.filterwarnings("ignore", message="Parameter `backfill_policy`")
warnings.filterwarnings("ignore", message="Specifying a partitions_def on an AssetCheckSpec")
