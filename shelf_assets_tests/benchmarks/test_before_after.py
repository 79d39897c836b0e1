"""The page of the paired comparison: ratios are taken within a round, and a stage that became slower is marked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.before_after import Checkout, page
from benchmarks.photos import REPO_ROOT


def _round(before: float, after: float) -> dict[str, dict[str, float]]:
    return {
        side: {"images": 10, "stages_cpu_seconds": spent, "run_cpu_seconds": 2 * spent}
        for side, spent in (("before", before), ("after", after))
    }


def _page(*rounds: dict[str, Any]) -> str:
    facts = {"photos": 10, "source": "drawn photos"}
    return page(
        {
            "machine": {"cores": 2, "cpu": "a CPU", "load_average_1m": 0.5},
            "commits": {"before": "1e6d190", "after": "abcdef0"},
            "rounds": len(rounds),
            "photos": [{"kind": "small", "facts": facts, "steps": {"raw_images": list(rounds)}}],
        }
    )


def test_ratio_is_the_median_of_ratios_within_a_round() -> None:
    # The second round ran on a busy machine: its costs are ten times as high, its ratio is the same.
    assert "| 348 px | raw_images | 100.00 | 102.00 | 1.020 (1.010–1.020) | yes |" in _page(
        _round(1.0, 1.02), _round(10.0, 10.2), _round(0.9, 0.909)
    )


def test_step_that_became_slower_is_marked() -> None:
    assert _page(_round(1.0, 1.04)).count("**no**") == 2


def test_checkout_is_driven_by_the_names_that_it_has(tmp_path: Path) -> None:
    assert Checkout(REPO_ROOT).names == "current"
    assert Checkout(tmp_path).names == "1e6d190"
