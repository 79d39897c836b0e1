"""The table of rules: the function of each rule's name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import polars as pl

from shelf_assets.lake.known_rows import KnownRows
from shelf_assets.lake.rules.append_missing import append_missing
from shelf_assets.lake.rules.change import Change
from shelf_assets.lake.rules.merge_objects import merge_objects
from shelf_assets.lake.rules.near_duplicates import NearDuplicates
from shelf_assets.lake.rules.replace_day import replace_day
from shelf_assets.lake.rules.slowly_changing import slowly_changing
from shelf_assets.lake.schemas import Rule, TableSpec

RuleFunction = Callable[[pl.DataFrame, KnownRows, TableSpec], Change | None]


def build_rules(near: NearDuplicates | None = None) -> dict[Rule, RuleFunction]:
    """The functions of all rules; `near` is merge_objects' policy for photos that look alike (default: 4 bits, 35 days)."""
    return {
        Rule.APPEND_MISSING: append_missing,
        Rule.MERGE_OBJECTS: partial(merge_objects, near=near or NearDuplicates()),
        Rule.REPLACE_DAY: replace_day,
        Rule.SLOWLY_CHANGING: slowly_changing,
    }
