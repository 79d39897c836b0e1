"""The page docs/benchmarks/pipeline.md, made from the JSON: machine, baselines, goals, stages, parts, method."""

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
        "## Results\n\n" + _baselines(result),
        "## Goals\n\n" + _goals(result),
        "## Where the time goes\n\n" + _stages(result),
        "## Cost of a photo outside the models, part by part\n\n" + _parts(result),
        "## Agreement of answers\n\n" + _agreement(result),
        "## How it was measured\n\n" + _method(result),
    ]
    return "\n\n".join(parts) + "\n"


def _head(result: dict[str, Any]) -> str:
    machine, options = result["machine"], result["options"]
    has = [flag for flag, there in machine["flags"].items() if there]
    lacks = [flag for flag, there in machine["flags"].items() if not there]
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    return (
        "# This pipeline compared with baselines\n\n"
        "Written by `make bench`; the measurements are in [pipeline.json](pipeline.json).\n\n"
        f"**Machine:** {machine['cpu']} (family/model {machine['cpu_family_model']}), {machine['cores']} cores, "
        f"{machine['memory_gb']} GB; has {', '.join(has) or 'none of the relevant flags'}; lacks "
        f"{', '.join(lacks) or 'none'}. {_arithmetic(machine['flags'])} Load average at the start: "
        f"{machine['load_average_1m']}.\n\n"
        f"**Work:** a day's photos to two Delta tables, labels of {result['models'][0]} and vectors of {result['models'][1]} "
        f"(seeded random weights), batches of {options['batch_size']}, {options['threads']} threads. "
        f"Photos: {'; '.join(_photo_facts(result))}.\n\n"
        "![CPU milliseconds per photo, one bar per baseline](pipeline.png)\n\n"
        f"Made {result['made_at']} in {result['bench_seconds']} s with {versions}."
    )


def _arithmetic(flags: dict[str, bool]) -> str:
    bf16 = any(flags.get(flag) for flag in ("avx512_bf16", "amx_bf16"))
    int8 = any(flags.get(flag) for flag in ("avx512_vnni", "avx_vnni", "amx_int8"))
    if bf16 and int8:
        return "It computes in bf16 and int8."
    if bf16 or int8:
        return f"It computes in {'bf16' if bf16 else 'int8'}, but not in {'int8' if bf16 else 'bf16'}."
    return "It has no bf16 arithmetic and no int8 dot products: results in those precisions are emulated."


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
        "models alone, CPU-ms per photo",
        "overhead, CPU-ms per photo",
        "peak MB",
        "its CPU ÷ ours",
        "same answers as plain PyTorch",
    )
    runs = result["options"]["runs"]
    paragraphs = [
        table(header, rows),
        f"{'One run' if runs == 1 else f'Medians of {runs} runs in turn'}, in brackets the range (memory: the maximum). "
        "\u201cOurs\u201d is the row in bold; more than 1 in the last column but one means that ours is cheaper. Overhead is all "
        "CPU time outside the models for one more photo; the fourth column also contains the fixed cost of a run. "
        "A dash: the runs differ by more than the value itself.",
    ]
    if absent:
        lines = [f"- {reason} ({', '.join(_shown(result, where))})" for reason, where in absent.items()]
        paragraphs.append("Not measured:\n\n" + "\n".join(lines))
    return "\n\n".join(paragraphs)


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
    return table(("goal", "where", "measured", "", "limit, or composition"), rows) + (
        "\n\nIn CPU time, medians of whole runs; one more photo leaves out the fixed cost of a run (commits, listings, "
        "starting workers), which is negligible on a day of thousands. The best rival is the one with the least CPU time there."
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
        "without models, CPU-ms per photo",
    )
    started = ", ".join(
        f"{title(result, baseline)} {spent['cpu_seconds']:.0f} CPU-s" for baseline, spent in result["start_up"].items()
    )
    return table(header, rows) + (
        "\n\nA stage's CPU time is that of its process during the stage, including reading ahead for the next stage; a worker "
        "process counts in the stage that waits for its end. For Ray, whose work is in other processes, only the wall time of a "
        f"stage is meaningful. Imports and loading are not included above: {started}."
    )


def _parts(result: dict[str, Any]) -> str:
    rows = []
    for scenario in result["scenarios"]:
        for baseline, parts in scenario["parts_cpu_ms"].items():
            rows += [
                (scenario_name(scenario), title(result, baseline), name, number(spent)) for name, spent in parts.items()
            ]
    return table(("photos, store", "baseline", "part", "CPU-ms"), rows) + (
        "\n\nEach part alone, per photo, on at most 24 photos, including starting threads and opening files. A commit is given "
        "per commit: it costs the same for one photo and for thousands."
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
        "\n\nRelative to the answers of plain PyTorch. Random weights separate photos poorly, so equal labels prove little; the "
        "distance of the cosines from those of different photos shows that both baselines see the same pixels."
    )


def _method(result: dict[str, Any]) -> str:
    options = result["options"]
    stub = "; ".join(f"{KINDS[kind]}: {count}" for kind, count in _stub_counts(result).items())
    return (
        f"Each baseline is a process of its own. The baselines run in turn, {_times(options['runs'])} each, on the same photos, "
        f"models and weights, with {options['threads']} threads of torch and {options['loader_workers']} workers. CPU seconds are "
        "user and system time of a baseline's process and its descendants; the S3 server (SeaweedFS on loopback) is not counted, "
        "though it shares the cores. Memory is the sum of the PSS of those processes, sampled five times a second. Photos on disk "
        "are in the page cache for every baseline. Ratios are taken within a run, then the median.\n\n"
        "Overhead is measured, not subtracted: the baseline runs without inference on many photos and on two, and the difference "
        f"is the cost of one more photo ({_times(options['stub_runs'])}; photos: {stub}).\n\n"
        "- **This pipeline:** listing, validation, sha256, duplicates, tensors to Arrow shards, both models in one pass, three "
        "Delta tables by the lake's rules, through the product's own functions; without Dagster.\n"
        "- **Plain PyTorch:** boto3 and smart_open (or open), Pillow, torchvision transforms, a DataLoader, eager float32, one "
        "decode per model, two Delta writes.\n"
        "- **PyTorch DataLoader, well tuned:** one decode for both models, torchvision's JPEG decoder and v2 transforms on uint8, "
        "the Amazon S3 Connector for PyTorch, inference_mode, channels_last, bf16 where the CPU has it.\n"
        "- **Daft:** download, the same decode in a UDF, both models in a class UDF. Its own decode ignores EXIF, and its own "
        "resize is more expensive.\n"
        "- **Ray Data:** files as bytes, the same decode in a map, both models in one actor, its Delta writer. Starting the actor "
        "counts as start-up. Its services run during the whole bench.\n"
        "- **clip-retrieval's loop:** its runner and its folder reader, with a mapper for both models. Its dependencies conflict "
        "with ours, so its code is unpacked without them.\n\n"
        "All rivals run the models in the same way, so their models alone are measured once. None of them validates photos, hashes "
        "them, finds duplicates or keeps tensors. All apply the EXIF rotation, so that answers can be compared. All measurements "
        "are reported. Repeated large photos differ in a comment segment, so that no baseline treats them as duplicates."
    )


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _stub_counts(result: dict[str, Any]) -> dict[str, int]:
    return {scenario["photos"]: scenario["facts"]["stub_photos"] for scenario in result["scenarios"]}
