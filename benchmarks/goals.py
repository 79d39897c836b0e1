"""The goals of the pipeline, checked against the measurements, each with the limit that explains a miss."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks.baselines import GFLOP_PER_IMAGE
from benchmarks.tables import (
    KINDS,
    best_rival,
    first_of_ours,
    models_alone_cpu_ms,
    number,
    one_more_photo,
    overhead_cpu_ms,
    scenario_name,
    title,
)

OVER_PLAIN_BF16, OVER_PLAIN_INT8 = 5.0, 9.0
OVER_RIVAL = {"small": 1.2, "large": 2.0}
OVERHEAD_SMALL_CPU_MS, OVERHEAD_LARGE_SHARE_OF_RIVAL = 1.5, 0.25
END_TO_END = 1.10
SHARE_OF_PEAK = 0.75
FIDELITY_STEPS = 0.25


@dataclass(frozen=True)
class GoalResult:
    """One goal in one scenario. `floor` is the limit that prevents it, or a fact that explains the measurement."""

    goal: str
    where: str
    measured: str
    holds: bool
    floor: str = ""


def check_goals(result: dict[str, Any]) -> list[GoalResult]:
    """Every goal that the measurements can decide."""
    found: list[GoalResult] = []
    for scenario in result["scenarios"]:
        found += _over_plain(result, scenario)
        found += _over_rivals(result, scenario)
        found += _overhead(result, scenario)
        found += _end_to_end(result, scenario)
    return sorted([*found, *_share_of_peak(result), *_fidelity(result)], key=lambda one: _ORDER.index(one.goal))


_PLAIN_BF16 = f"at least {OVER_PLAIN_BF16:g} times plain PyTorch, in bf16"
_PLAIN_INT8 = f"at least {OVER_PLAIN_INT8:g} times plain PyTorch, in int8"
_RIVAL = f"at least {OVER_RIVAL['small']:g} (small) or {OVER_RIVAL['large']:g} (8–16 MP) times the best rival"
_MEMORY = "less memory than the best rival"
_OVERHEAD = (
    f"overhead beside the models: at most {OVERHEAD_SMALL_CPU_MS:g} CPU-ms (small), at most "
    f"{OVERHEAD_LARGE_SHARE_OF_RIVAL:.0%} of the best rival's (8–16 MP)"
)
_END_TO_END = f"end to end at most {END_TO_END:.2f} of the models alone"
_PEAK = f"models at {SHARE_OF_PEAK:.0%} of the peak rate or more"
_FIDELITY = f"decode within {FIDELITY_STEPS:g} of 255 of the exact Pillow path"
_ORDER = (_PLAIN_BF16, _PLAIN_INT8, _RIVAL, _MEMORY, _OVERHEAD, _END_TO_END, _PEAK, _FIDELITY)


def _over_plain(result: dict[str, Any], scenario: dict[str, Any]) -> Iterator[GoalResult]:
    if "plain" not in scenario["baselines"]:
        return
    for goal, wanted, int8 in ((_PLAIN_BF16, OVER_PLAIN_BF16, False), (_PLAIN_INT8, OVER_PLAIN_INT8, True)):
        ours = first_of_ours(result, scenario, int8=int8)
        if ours is None:
            continue
        reached = scenario["ratios"]["plain"][ours]["cpu_median"]
        precision = result["precision"][ours]
        in_precision = int8 or precision == "bf16"
        floor = []
        if reached < wanted:
            most = scenario["baselines"]["plain"]["cpu_seconds_per_1000"] / (
                models_alone_cpu_ms(result, scenario, ours) or 1
            )
            floor.append(f"the upper limit of any pipeline around these models in {precision} is {most:.1f}")
        if not in_precision:
            floor.append("this CPU has no bf16 arithmetic, both baselines compute in float32")
        if int8 and not _has_int8(result):
            floor.append("this CPU has no int8 dot products (VNNI)")
        yield GoalResult(
            goal,
            scenario_name(scenario),
            f"{reached:.2f}{_one_more(scenario, 'plain', ours)} in {precision}",
            reached >= wanted and in_precision,
            "; ".join(floor),
        )


def _one_more(scenario: dict[str, Any], above: str, below: str) -> str:
    found = one_more_photo(scenario, above, below)
    return f" ({found:.2f} for one more photo)" if found else ""


def _has_int8(result: dict[str, Any]) -> bool:
    flags = result["machine"]["flags"]
    return any(flags.get(flag) for flag in ("avx512_vnni", "avx_vnni", "amx_int8"))


def _over_rivals(result: dict[str, Any], scenario: dict[str, Any]) -> Iterator[GoalResult]:
    ours, rival = first_of_ours(result, scenario), best_rival(result, scenario)
    if ours is None or rival is None:
        return
    reached, wanted = scenario["ratios"][rival][ours]["cpu_median"], OVER_RIVAL[scenario["photos"]]
    floor = ""
    if reached < wanted:
        most = scenario["baselines"][rival]["cpu_seconds_per_1000"] / (models_alone_cpu_ms(result, scenario, ours) or 1)
        floor = f"the upper limit of any pipeline around these models is {most:.2f}"
    yield GoalResult(
        _RIVAL,
        scenario_name(scenario),
        f"{reached:.2f}{_one_more(scenario, rival, ours)} times {title(result, rival)}",
        reached >= wanted,
        floor,
    )
    mine, theirs = (scenario["baselines"][baseline]["peak_memory_bytes"] / 1e6 for baseline in (ours, rival))
    yield GoalResult(_MEMORY, scenario_name(scenario), f"{mine:,.0f} against {theirs:,.0f} MB", mine < theirs)


def _overhead(result: dict[str, Any], scenario: dict[str, Any]) -> Iterator[GoalResult]:
    ours, rival = first_of_ours(result, scenario), best_rival(result, scenario)
    mine = overhead_cpu_ms(scenario, ours) if ours else None
    if mine is None:
        return
    theirs = overhead_cpu_ms(scenario, rival) if rival else None
    overhead = f"{number(mine)} CPU-ms" + (f"; {title(result, rival)}: {number(theirs)}" if rival and theirs else "")
    if scenario["photos"] == "small":
        holds, decode = mine <= OVERHEAD_SMALL_CPU_MS, ""
    elif theirs:
        holds, decode = mine <= OVERHEAD_LARGE_SHARE_OF_RIVAL * theirs, f"{mine / theirs:.0%} of the rival's; "
    else:
        return
    yield GoalResult(_OVERHEAD, scenario_name(scenario), overhead, holds, decode + _by_stage(scenario, str(ours)))


def _by_stage(scenario: dict[str, Any], baseline: str) -> str:
    stages = scenario["baselines"][baseline]["overhead"]["stages_cpu_ms"]
    return "of which " + ", ".join(
        f"{name} {number(spent)}" for name, spent in stages.items() if "of which" not in name
    )


def _end_to_end(result: dict[str, Any], scenario: dict[str, Any]) -> Iterator[GoalResult]:
    ours = first_of_ours(result, scenario)
    if ours is None:
        return
    overhead, models = overhead_cpu_ms(scenario, ours), models_alone_cpu_ms(result, scenario, ours)
    if overhead is None or not models:
        return
    reached = 1 + overhead / models
    floor = ""
    if reached > END_TO_END:
        floor = f"{number(overhead)} CPU-ms beside {number(models)} CPU-ms of the models"
        if parts := scenario["parts_cpu_ms"].get(ours):
            decode = max((spent for name, spent in parts.items() if "decode" in name), default=0.0)
            floor += f"; with the decode alone the ratio would be {1 + decode / models:.2f}"
    yield GoalResult(_END_TO_END, scenario_name(scenario), f"{reached:.2f}", reached <= END_TO_END, floor)


def _share_of_peak(result: dict[str, Any]) -> Iterator[GoalResult]:
    """The models' rate relative to the best plain product or convolution, per CPU-second, over all scenarios."""
    gflop = sum(GFLOP_PER_IMAGE.values())
    for name, precision in result["precision"].items():
        if result["baselines"][name]["role"] != "ours" or not result["floor"]["peak_gflops_per_core"].get(precision):
            continue
        found = [models_alone_cpu_ms(result, scenario, name) for scenario in result["scenarios"]]
        spent = sorted(each for each in found if each)
        if not spent:
            continue
        peak = result["floor"]["peak_gflops_per_core"][precision]
        reached = gflop / (spent[len(spent) // 2] / 1000)
        yield GoalResult(
            _PEAK,
            title(result, name),
            f"{reached / peak:.0%}",
            reached >= SHARE_OF_PEAK * peak,
            f"{reached:.0f} of {peak:.0f} GFLOP per CPU-second; {gflop:.1f} GFLOP per photo",
        )


def _fidelity(result: dict[str, Any]) -> Iterator[GoalResult]:
    for kind, found in result["floor"]["fidelity"].items():
        if found:
            yield GoalResult(
                _FIDELITY,
                KINDS[kind],
                f"{found['mean']:.2f} on average of {found['photos']} photos",
                found["mean"] <= FIDELITY_STEPS,
                f"{found['most_of_a_photo']:.2f} for the worst photo",
            )
