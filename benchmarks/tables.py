"""Formatting for the page: Markdown tables, names of scenarios, rounded numbers. Goals are in `goals`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

KINDS = {"small": "348 px", "large": "8–16 MP"}
STORES = {"disk": "disk", "s3": "S3"}
LACKING = "–"


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    titles = list(header)
    lines = ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def scenario_name(scenario: dict[str, Any]) -> str:
    return f"{KINDS[scenario['photos']]}, {STORES[scenario['store']]}"


def title(result: dict[str, Any], baseline: str) -> str:
    """The baseline's name on the page, with the precision that its models ran in, or should have run in."""
    asked = result["baselines"][baseline]["precision"]
    precision = result["precision"].get(baseline, None if asked == "auto" else asked)
    name = str(result["baselines"][baseline]["title"])
    return f"{name}, {precision}" if precision else name


def number(value: float | None) -> str:
    """The number with three significant digits."""
    if value is None:
        return LACKING
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def ratio(found: dict[str, float] | None, clock: str = "cpu") -> str:
    """A ratio with its range over the runs."""
    if found is None:
        return LACKING
    return f"{found[f'{clock}_median']:.2f} ({found[f'{clock}_least']:.2f}–{found[f'{clock}_most']:.2f})"


def baselines_of(result: dict[str, Any], *roles: str) -> Iterator[str]:
    """Names of the baselines with one of these roles, in the order of the table of baselines."""
    return (name for name, baseline in result["baselines"].items() if baseline["role"] in roles)


def first_of_ours(result: dict[str, Any], scenario: dict[str, Any], *, int8: bool = False) -> str | None:
    """Our baseline that the goals are about: the first that ran in a float format, or in int8."""
    for name in baselines_of(result, "ours"):
        if name in scenario["baselines"] and (result["precision"][name] == "int8") == int8:
            return name
    return None


def best_rival(result: dict[str, Any], scenario: dict[str, Any]) -> str | None:
    """The rival with the fewest CPU seconds per photo; all rivals run the weights in our default precision."""
    ran = [name for name in baselines_of(result, "rival") if name in scenario["baselines"]]
    return min(ran, key=lambda name: scenario["baselines"][name]["cpu_seconds_per_1000"], default=None)


def models_alone_cpu_ms(result: dict[str, Any], scenario: dict[str, Any], baseline: str) -> float | None:
    """CPU-ms of the baseline's models alone; the rivals share `loader`'s."""
    if baseline not in scenario["baselines"]:
        return None
    own: float | None = scenario["baselines"][baseline]["models_alone_cpu_ms"]
    if own is None and result["baselines"][baseline]["role"] == "rival" and "loader" in scenario["baselines"]:
        shared: float | None = scenario["baselines"]["loader"]["models_alone_cpu_ms"]
        return shared
    return own


def overhead_cpu_ms(scenario: dict[str, Any], baseline: str) -> float | None:
    """CPU-ms of one more photo beside the models; None where the runs differ by more than the value itself."""
    overhead = scenario["baselines"][baseline]["overhead"] if baseline in scenario["baselines"] else None
    if (
        overhead is None
        or overhead["cpu_ms_per_photo_most"] - overhead["cpu_ms_per_photo_least"] > overhead["cpu_ms_per_photo"]
    ):
        return None
    return float(overhead["cpu_ms_per_photo"])


def one_more_photo(scenario: dict[str, Any], above: str, below: str) -> float | None:
    """The ratio of two baselines' CPU time for one more photo: without the fixed cost of a run."""
    if overhead_cpu_ms(scenario, above) is None or overhead_cpu_ms(scenario, below) is None:
        return None
    photos = scenario["facts"]["photos"]
    costs = [
        scenario["baselines"][baseline]["cpu_seconds_per_1000"]
        - scenario["baselines"][baseline]["overhead"]["cpu_ms_per_run"] / photos
        for baseline in (above, below)
    ]
    return float(costs[0] / costs[1])
