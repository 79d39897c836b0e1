"""The measurement of the duplicate look-up runs from end to end with few hashes, and its page contains its values."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import hash_lookup
from benchmarks.hash_lookup import REAL_DAYS, run
from benchmarks.hash_lookup_page import page, summary


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="the bytes read come from Linux' /proc")
@pytest.mark.timeout(600)
def test_every_value_is_measured_and_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hash_lookup, "PHOTOS_A_DAY", 500)
    hashes, days = 500 * REAL_DAYS + 10_000, REAL_DAYS + 5
    result = run(tmp_path.as_uri(), {}, [(hashes, days)])
    (point,) = result["points"]
    assert sum(point["runs"]) == 2 * hashes
    assert all(metric["wall_ms"] > 0 for metric in point["metrics"].values())
    assert point["metrics"]["a whole day"]["index_bytes"] > point["metrics"]["a late photo"]["index_bytes"] > 0
    assert point["merge"]["entries"] <= 2 * hashes
    text = page({"hash-lookup": result})
    assert all(f"| {name} |" in text for name in point["metrics"])
    assert "a late photo 1.00× (1.00×)" in summary(result)[-1]
    assert not list(tmp_path.rglob("*.run")), "the generated files must be deleted"
