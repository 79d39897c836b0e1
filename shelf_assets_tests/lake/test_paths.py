"""Lakes in folders with unusual names: a space is escaped in URLs but not on disk."""

from datetime import date
from pathlib import Path

import polars as pl

from shelf_assets.lake.lake import Lake
from shelf_assets.lake.schemas import STAGE_RUNS
from shelf_assets.observe.meter import Meter


def test_lake_folder_may_contain_a_space(tmp_path: Path) -> None:
    lake = Lake((tmp_path / "my lake").as_uri())
    table = lake.table(STAGE_RUNS.name)
    days = [date(2026, 1, 1), date(2026, 1, 2)]
    for day in days:
        table.commit(Meter("raw_images", images=1).row(day, "run"), days=[day])
    lake.objects.put("images/2026/01/01/photo", b"bytes")

    assert table.scan().select("day", "images").sort("day").collect().rows() == [(days[0], 1), (days[1], 1)]
    assert table.scan(days[1], days[1]).select(pl.len()).collect().item() == 1
    assert lake.listing(days[0])["key"].to_list() == ["images/2026/01/01/photo"]
    assert lake.objects.get("images/2026/01/01/photo") == b"bytes"
