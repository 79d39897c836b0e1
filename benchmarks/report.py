"""The page docs/benchmarks/pipeline.md, made from the JSON alone: machine, baselines, goals, stages, parts, method."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.goals import check_goals
from benchmarks.tables import (
    KINDS,
    LACKING,
    first_of_ours,
    models_alone_cpu_ms,
    number,
    overhead_cpu_ms,
    ratio,
    scenario_name,
    table,
    title,
)


def markdown(result: dict[str, Any]) -> str:
    """The whole page."""
    parts = [
        _head(result),
        "## Ways\n\n" + _baselines(result),
        "## Goals\n\n" + _goals(result),
        "## Where the time goes\n\n" + _stages(result),
        "## What a photo costs beside the models, part by part\n\n" + _parts(result),
        "## Same answers\n\n" + _agreement(result),
        "## How it was measured\n\n" + _method(result),
    ]
    return "\n\n".join(parts) + "\n"


def _head(result: dict[str, Any]) -> str:
    machine, options = result["machine"], result["options"]
    has = [flag for flag, there in machine["flags"].items() if there]
    lacks = [flag for flag, there in machine["flags"].items() if not there]
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    return (
        "# This pipeline beside the other baselines of doing its work\n\n"
        "Written by `make bench`; the figures are in [pipeline.json](pipeline.json).\n\n"
        f"**Machine:** {machine['cpu']} (family/model {machine['cpu_family_model']}), {machine['cores']} cores, "
        f"{machine['memory_gb']} GB; has {', '.join(has) or 'none of the flags looked for'}; lacks "
        f"{', '.join(lacks) or 'none'}. {_arithmetic(machine['flags'])} Load average when it began: "
        f"{machine['load_average_1m']}.\n\n"
        f"**Work:** a day's photos to two Delta tables, labels of {result['models'][0]} and vectors of {result['models'][1]} "
        f"(seeded random weights), batches of {options['batch_size']}, {options['threads']} threads. "
        f"Photos: {'; '.join(_photo_facts(result))}.\n\n"
        "![CPU milliseconds per photo, each way a bar](pipeline.png)\n\n"
        f"Made {result['made_at']} in {result['bench_seconds']} s with {versions}."
    )


def _arithmetic(flags: dict[str, bool]) -> str:
    bf16 = any(flags.get(flag) for flag in ("avx512_bf16", "amx_bf16"))
    int8 = any(flags.get(flag) for flag in ("avx512_vnni", "avx_vnni", "amx_int8"))
    if bf16 and int8:
        return "It computes in bf16 and int8."
    if bf16 or int8:
        return f"It computes in {'bf16' if bf16 else 'int8'}, but not in {'int8' if bf16 else 'bf16'}."
    return (
        "It has arithmetic for neither bf16 nor int8 dot products: what is said of those precisions is its emulation."
    )


def _photo_facts(result: dict[str, Any]) -> Iterator[str]:
    seen = {}
    for scenario in result["scenarios"]:
        facts = scenario["facts"]
        seen[scenario["photos"]] = (
            f"{facts['photos']} {facts['source']}, {facts['distinct']} of them distinct pictures, on average "
            f"{facts['mean_megapixels']} MP and {facts['mean_bytes'] / 1000:,.0f} kB"
        )
    return iter(seen.values())


def _baselines(result: dict[str, Any]) -> str:
    rows: list[tuple[str, ...]] = []
    absent: dict[str, list[str]] = {}
    for scenario in result["scenarios"]:
        ours = first_of_ours(result, scenario)
        for baseline in result["baselines"]:
            if reason := scenario["failed"].get(baseline):
                absent.setdefault(f"{title(result, baseline)}: {reason}", []).append(scenario_name(scenario))
            elif found := scenario["baselines"].get(baseline):
                rows.append(
                    (
                        scenario_name(scenario),
                        title(result, baseline) if baseline != ours else f"**{title(result, baseline)}**",
                        number(found["images_per_second"]),
                        number(found["cpu_seconds_per_1000"]),
                        number(models_alone_cpu_ms(result, scenario, baseline)),
                        number(overhead_cpu_ms(scenario, baseline)),
                        f"{found['peak_memory_bytes'] / 1e6:,.0f}",
                        ratio(scenario["ratios"][baseline][ours]) if ours and baseline != ours else LACKING,
                        _same(scenario["agreement"].get(baseline)),
                    )
                )
    header = (
        "photos, store",
        "baseline",
        "images/s",
        "CPU-s per 1,000",
        "models alone, CPU-ms a photo",
        "all but the models, CPU-ms a photo",
        "peak MB",
        "its CPU ÷ ours",
        "same answers as the plain way",
    )
    runs = result["options"]["runs"]
    said = [
        table(header, rows),
        f"{'One run' if runs == 1 else f'Medians of {runs} runs in turn'}, in brackets the range (memory: the most). "
        "\u201cOurs\u201d is the row in bold; more than 1 in the last column but one means that ours is cheaper. Columns five and "
        "six do not add up to the fourth, which also holds what a run costs however small. A dash: the runs differ by more than "
        "the figure itself.",
    ]
    if absent:
        lines = [f"- {reason} ({', '.join(_shown(result, where))})" for reason, where in absent.items()]
        said.append("Not measured:\n\n" + "\n".join(lines))
    return "\n\n".join(said)


def _shown(result: dict[str, Any], where: list[str]) -> list[str]:
    return ["everywhere"] if len(where) == len(result["scenarios"]) else where


def _same(found: dict[str, Any] | None) -> str:
    if found is None:
        return LACKING
    return (
        f"{found['photos_both']} of {found['photos_reference']}, top label {found['same_top1']:.0%}, "
        f"cosine {found['embedding_cosine_mean']:.4f}"
    )


def _goals(result: dict[str, Any]) -> str:
    rows = [
        (one.goal, one.where, one.measured, "holds" if one.holds else "**does not hold**", one.floor)
        for one in check_goals(result)
    ]
    return table(("goal", "where", "measured", "", "floor, or what it is made of"), rows) + (
        "\n\nIn CPU time, medians of whole runs; one more photo leaves out what a run costs however small (commits, listings, "
        "starting workers), which on a day of thousands does not count. The best rival is the one with the least CPU time there."
    )


def _stages(result: dict[str, Any]) -> str:
    rows = []
    for scenario in result["scenarios"]:
        for baseline, found in scenario["baselines"].items():
            overhead = (found["overhead"] or {}).get("stages_cpu_ms", {})
            for stage, spent in found["stages"].items():
                rows.append(
                    (
                        scenario_name(scenario),
                        title(result, baseline),
                        stage,
                        number(spent["cpu"]),
                        number(spent["wall"]),
                        number(overhead.get(stage)),
                    )
                )
    header = (
        "photos, store",
        "baseline",
        "stage",
        "CPU-s per 1,000",
        "wall-s per 1,000",
        "without models, CPU-ms a photo",
    )
    started = ", ".join(
        f"{title(result, baseline)} {spent['cpu_seconds']:.0f} CPU-s" for baseline, spent in result["start_up"].items()
    )
    return table(header, rows) + (
        "\n\nA stage's CPU time is that of its process while the stage lasts, so what its threads read ahead for the next stage is "
        "in it; workers count where their end is waited for. For Ray, whose work is in other processes, only the wall time of a "
        f"stage says something. Imports and loading are in no figure above: {started}."
    )


def _parts(result: dict[str, Any]) -> str:
    rows = []
    for scenario in result["scenarios"]:
        for baseline, parts in scenario["parts_cpu_ms"].items():
            rows += [
                (scenario_name(scenario), title(result, baseline), name, number(spent)) for name, spent in parts.items()
            ]
    return table(("photos, store", "baseline", "part", "CPU-ms"), rows) + (
        "\n\nEach part alone, on at most 24 photos, a photo; starting its threads and opening its files included. A commit is "
        "given whole: it costs the same for one photo and for thousands."
    )


def _agreement(result: dict[str, Any]) -> str:
    rows = []
    for scenario in result["scenarios"]:
        for baseline, found in scenario["agreement"].items():
            rows.append(
                (
                    scenario_name(scenario),
                    title(result, baseline),
                    f"{found['photos_both']} of {found['photos_reference']}",
                    f"{found['same_top1']:.0%}",
                    f"{found['largest_score_difference']:.1e}",
                    f"{found['embedding_cosine_mean']:.5f}",
                    f"{found['embedding_cosine_least']:.5f}",
                    f"{found['cosine_of_neighbouring_photos_mean']:.4f}",
                )
            )
    header = (
        "photos, store",
        "baseline",
        "photos answered by both",
        "same top label",
        "largest difference of its score",
        "cosine of embeddings, mean",
        "least",
        "for contrast: cosine of different photos",
    )
    return table(header, rows) + (
        "\n\nBeside the plain baseline's answers. Random weights tell photos apart poorly, so equal labels prove little; the distance "
        "of the cosines from that of different photos is what says that both baselines see the same pixels."
    )


def _method(result: dict[str, Any]) -> str:
    options = result["options"]
    stub = "; ".join(f"{KINDS[kind]}: {count}" for kind, count in _stub_counts(result).items())
    return (
        f"Each baseline is a process of its own, and they work in turn, {_times(options['runs'])} each, on the same photos, models and "
        f"weights, with {options['threads']} threads of torch and {options['loader_workers']} workers. CPU seconds are user and "
        "system time of a baseline's process and all below it; the S3 server (SeaweedFS on loopback) is not counted, though it shares "
        "the cores. Memory is the sum of the PSS of those processes, sampled five times a second. Photos on disk are in the page "
        "cache for every baseline. Ratios are taken within a run, then the median.\n\n"
        "\u201cAll but the models\u201d is measured, not subtracted: the way runs with models that answer at once, on many photos "
        f"and on two, and the difference is what one more photo costs ({_times(options['stub_runs'])}; photos: {stub}).\n\n"
        "- **This pipeline:** listing, judging, sha256, duplicates, tensors to Arrow shards, both models in one pass, three Delta "
        "tables by the ledger's rules, through the product's own functions; Dagster's start-up is left out.\n"
        "- **The plain baseline:** boto3 and smart_open (or open), Pillow, torchvision transforms, a DataLoader, eager float32, one "
        "decode a model, two Delta writes.\n"
        "- **PyTorch DataLoader done well:** one decode for both models, torchvision's JPEG decoder and v2 transforms on uint8, "
        "the Amazon S3 Connector for PyTorch, inference_mode, channels_last, bf16 where the CPU has it.\n"
        "- **Daft:** download, the same decode in a UDF, both models in a class UDF. Its own decode ignores EXIF, and its own "
        "resize is dearer.\n"
        "- **Ray Data:** files as bytes, the same decode in a map, both models in one actor, its Delta writer. Starting the actor "
        "counts as start-up. Its services stay up during the whole bench.\n"
        "- **clip-retrieval's loop:** its runner and its reader of folders, with a mapper for both models. It needs an environment "
        "of its own, so its code is unpacked without its dependencies.\n\n"
        "The rivals run the models alike, so their models alone are measured once. None of them judges photos, hashes them, finds "
        "duplicates or keeps tensors. All turn photos upright by EXIF, so that answers can be compared. Nothing that was measured "
        "is left out. Large photos that come more than once differ in a comment segment, so that no way may take one for a "
        "duplicate."
    )


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _stub_counts(result: dict[str, Any]) -> dict[str, int]:
    return {scenario["photos"]: scenario["facts"]["stub_photos"] for scenario in result["scenarios"]}
