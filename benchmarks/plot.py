"""The chart of the bench: a bar of CPU milliseconds per photo for each baseline, the models' share dark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.tables import first_of_ours, models_alone_cpu_ms, scenario_name, title

_COLOURS = {"ours": ("#1d6f8a", "#8ecae6"), "plain": ("#666666", "#c8c8c8"), "rival": ("#9a5b13", "#f2c078")}


def plot(result: dict[str, Any], path: Path) -> None:
    """Write the picture as PNG."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    scenarios, baselines = result["scenarios"], list(result["baselines"])
    size = (3.2 + 2.9 * len(scenarios), 1.5 + 0.42 * len(baselines))
    figure, axes = pyplot.subplots(1, len(scenarios), figsize=size, sharey=True, squeeze=False)
    for axis, scenario in zip(axes[0], scenarios, strict=True):
        ours = first_of_ours(result, scenario)
        longest = max((found["cpu_seconds_per_1000"] for found in scenario["baselines"].values()), default=1)
        for row, baseline in enumerate(baselines):
            dark, light = _COLOURS[result["baselines"][baseline]["role"]]
            found = scenario["baselines"].get(baseline)
            if found is None:
                axis.text(0.02 * longest, row, "not measured", va="center", fontsize=7, color="#777777")
                continue
            whole = found["cpu_seconds_per_1000"]
            models = min(whole, models_alone_cpu_ms(result, scenario, baseline) or 0)
            axis.barh(row, models, color=dark)
            axis.barh(row, whole - models, left=models, color=light)
            label = f"{whole:.0f}"
            if ours and baseline != ours:
                label += f"  ({scenario['ratios'][baseline][ours]['cpu_median']:.1f}×)"
            axis.text(whole + 0.02 * longest, row, label, va="center", fontsize=7)
        axis.set_xlim(0, 1.35 * longest)
        axis.set_title(scenario_name(scenario), fontsize=9)
        axis.set_xlabel("CPU-ms per photo", fontsize=8)
        axis.tick_params(labelsize=7)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0][0].set_yticks(range(len(baselines)), [title(result, baseline) for baseline in baselines], fontsize=8)
    axes[0][0].invert_yaxis()
    machine = result["machine"]
    figure.suptitle(
        f"{machine['cpu']}, {machine['cores']} cores. Dark: the models alone; light: everything else; in brackets: ours = 1",
        fontsize=8,
    )
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
