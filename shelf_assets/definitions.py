"""The code location that Dagster loads: the settings of the environment, assembled."""

import dagster as dg

from shelf_assets.build import build_defs
from shelf_assets.settings import load_settings


@dg.definitions
def defs() -> dg.Definitions:
    return build_defs(load_settings())
