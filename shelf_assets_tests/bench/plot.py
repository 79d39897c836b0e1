"""The picture of the bench: CPU milliseconds per photo, each way a bar, the models' share marked. Measures nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_STAGE_COLOURS = {
    "raw_images": "#8ecae6",
    "image_tensors": "#219ebc",
    "around the models": "#ffb703",
    "models": "#264653",
}
_PLAIN, _EAGER = "#bbbbbb", "#888888"


def plot(result: dict[str, Any], path: Path) -> None:
    """Write the picture as PNG."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    scenarios = result["scenarios"]
    size = (3.4 * len(scenarios) + 1, 4.2)
    figure, axes = pyplot.subplots(1, len(scenarios), figsize=size, sharey=True, squeeze=False)
    for axis, scenario in zip(axes[0], scenarios, strict=True):
        medians = scenario["medians"]
        bottom = 0.0
        for name, height in _stages(medians["pipeline"]["stage_cpu_ms"]).items():
            axis.bar("pipeline", height, bottom=bottom, color=_STAGE_COLOURS[name], label=name)
            bottom += height
        eager = min(medians["eager"]["cpu_seconds_per_1000"], medians["plain"]["cpu_seconds_per_1000"])
        axis.bar("plain", eager, color=_EAGER, label="eager models alone")
        rest = medians["plain"]["cpu_seconds_per_1000"] - eager
        axis.bar("plain", rest, bottom=eager, color=_PLAIN, label="rest of the plain way")
        floor = medians["models"]["cpu_seconds_per_1000"]
        axis.bar("models\nalone", floor, color=_STAGE_COLOURS["models"])
        axis.axhline(floor, color="black", linewidth=0.8, linestyle=":")
        speedup = scenario["ratios"]["plain_over_pipeline_cpu"]["median"]
        photos = "348 px" if scenario["photos"] == "small" else "8–16 MP"
        axis.set_title(f"{photos}, {scenario['store']}\n{speedup:.2f}× the plain way")
        axis.spines[["top", "right"]].set_visible(False)
    axes[0][0].set_ylabel("CPU-ms per photo")
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=len(labels), frameon=False, fontsize=8)
    machine = result["machine"]
    figure.suptitle(f"{machine['cpu']}, {machine['cores']} cores, {result['precision']['pipeline']}", fontsize=9)
    figure.tight_layout(rect=(0, 0.06, 1, 1))
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _stages(spent: dict[str, float]) -> dict[str, float]:
    models = spent["of which classifier"] + spent["of which embedder"]
    return {
        "models": models,
        "raw_images": spent["raw_images"],
        "image_tensors": spent["image_tensors"],
        "around the models": max(0.0, spent["predictions"] - models),
    }
