"""Statistics over runs: medians, ratios within a run, cost outside the models, agreement of answers. Measures nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

# The baseline that the others are compared with.
REFERENCE = "plain"


def answers_file(folder: Path, baseline: str) -> Path:
    return folder / f"{baseline.replace(' ', '-')}.npz"


def rate(run: Mapping[str, Any]) -> float:
    return float(run["images"] / run["wall_seconds"])


def of_baselines(
    runs: Sequence[Mapping[str, Any]], stub: Sequence[Mapping[str, Any]], failed: Mapping[str, str]
) -> dict[str, dict[str, Any]]:
    """Metrics of each baseline that completed all runs."""
    found = {}
    for baseline in runs[0]:
        if baseline in failed:
            continue
        whole = [run[baseline]["whole"] for run in runs]
        alone = [run[baseline]["models_alone"] for run in runs if run[baseline]["models_alone"]]
        found[baseline] = {
            "images_per_second": median(map(rate, whole)),
            "cpu_seconds_per_1000": median(_cpu_ms(run) for run in whole),
            "wall_seconds_per_1000": median(1000 * run["wall_seconds"] / run["images"] for run in whole),
            "peak_memory_bytes": max(run["peak_memory_bytes"] for run in whole),
            "stages": _stages(whole),
            "models_alone_cpu_ms": median(map(_cpu_ms, alone)) if alone else None,
            "overhead": _overhead([run[baseline] for run in stub if baseline in run]),
        }
    return found


def ratios(runs: Sequence[Mapping[str, Any]], failed: Mapping[str, str]) -> dict[str, dict[str, dict[str, float]]]:
    """Each baseline's cost over each other's, within a run, then the median: the machine's load changes between runs."""
    baselines = [baseline for baseline in runs[0] if baseline not in failed]
    return {above: {below: _ratio(runs, above, below) for below in baselines if below != above} for above in baselines}


def _ratio(runs: Sequence[Mapping[str, Any]], above: str, below: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for clock in ("cpu", "wall"):
        each = [_per_image(run[above]["whole"], clock) / _per_image(run[below]["whole"], clock) for run in runs]
        found |= {f"{clock}_median": median(each), f"{clock}_least": min(each), f"{clock}_most": max(each)}
    return found


def _per_image(run: Mapping[str, Any], clock: str) -> float:
    return float(run[f"{clock}_seconds"] / run["images"])


def _cpu_ms(run: Mapping[str, Any]) -> float:
    return 1000 * _per_image(run, "cpu")


def _stages(runs: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """CPU and wall seconds per 1,000 images of each stage that the baseline reports."""
    return {
        name: {
            clock: median(1000 * run["stages"][name][f"{clock}_seconds"] / run["images"] for run in runs)
            for clock in ("cpu", "wall")
        }
        for name in runs[0]["stages"]
    }


def _overhead(pairs: Sequence[Mapping[str, Any]]) -> dict[str, float] | None:
    """CPU-ms without the models: of one more photo, and fixed per run."""
    if not pairs:
        return None
    slopes, fixed = [], []
    for pair in pairs:
        many, few = pair["many"], pair["few"]
        slope = (many["cpu_seconds"] - few["cpu_seconds"]) / max(1, many["images"] - few["images"])
        slopes.append(1000 * slope)
        fixed.append(1000 * (few["cpu_seconds"] - slope * few["images"]))
    return {
        "cpu_ms_per_photo": median(slopes),
        "cpu_ms_per_run": median(fixed),
        "cpu_ms_per_photo_least": min(slopes),
        "cpu_ms_per_photo_most": max(slopes),
        "stages_cpu_ms": _stub_stages(pairs),
    }


def _stub_stages(pairs: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """CPU-ms of one more photo by stage."""
    found = {}
    for name in pairs[0]["many"]["stages"]:
        slopes = [
            1000
            * (pair["many"]["stages"][name]["cpu_seconds"] - pair["few"]["stages"][name]["cpu_seconds"])
            / max(1, pair["many"]["images"] - pair["few"]["images"])
            for pair in pairs
        ]
        found[name] = median(slopes)
    return found


def agreements(folder: Path, baselines: Sequence[str], failed: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Agreement of each baseline's answers with those of the reference."""
    reference = answers_file(folder, REFERENCE)
    if REFERENCE in failed or not reference.exists():
        return {}
    return {
        baseline: agreement(answers_file(folder, baseline), reference)
        for baseline in baselines
        if baseline not in failed and baseline != REFERENCE and answers_file(folder, baseline).exists()
    }


def agreement(ours: Path, theirs: Path) -> dict[str, Any]:
    """Agreement of two baselines on the same photos, and for contrast the similarity of different photos."""
    mine, other = np.load(ours), np.load(theirs)
    common, here, there = np.intersect1d(mine["keys"], other["keys"], return_indices=True)
    vectors, same = mine["embeddings"][here], other["embeddings"][there]
    cosines = (vectors * same).sum(axis=1)
    return {
        "photos": len(mine["keys"]),
        "photos_reference": len(other["keys"]),
        "photos_both": len(common),
        "same_top1": float((mine["labels"][here] == other["labels"][there]).mean()),
        "largest_score_difference": float(np.abs(mine["scores"][here] - other["scores"][there]).max()),
        "embedding_cosine_mean": float(cosines.mean()),
        "embedding_cosine_least": float(cosines.min()),
        "cosine_of_neighbouring_photos_mean": float((vectors * np.roll(same, 1, axis=0)).sum(axis=1).mean()),
    }
