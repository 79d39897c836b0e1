"""The figures in words and tables, for docs/benchmarks/pipeline.md. Measures nothing; all follows from the JSON."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

WANTED_SPEEDUP, WANTED_OVERHEAD = 4.0, 1.25
_WAYS = {
    "pipeline": "this pipeline",
    "plain": "plain way",
    "models": "models alone, as the pipeline runs them",
    "eager": "models alone, eager float32",
}
_KINDS = {"small": "348 px", "large": "8–16 MP"}


def markdown(result: dict[str, Any]) -> str:
    """The whole page."""
    parts = [
        _head(result),
        "## Whole way\n\n" + _whole(result),
        "## Ratios, run by run\n\n" + _ratio_table(result) + "\n\n" + _reading(result),
        "## One more photo: without what a run costs however small, CPU-ms\n\n" + _per_photo(result),
        "## Stage by stage: this pipeline, CPU-ms per photo\n\n" + _stages(result),
        "## What a photo costs beside the models, CPU-ms\n\n" + _parts(result),
        "## The models\n\n" + _models(result),
        "## Same answers\n\n" + _agreement(result),
        "## How it was measured\n\n" + _method(result),
    ]
    return "\n\n".join(parts) + "\n"


def _head(result: dict[str, Any]) -> str:
    machine, versions = result["machine"], result["versions"]
    has = [flag for flag, there in machine["flags"].items() if there]
    lacks = [flag for flag, there in machine["flags"].items() if not there]
    return (
        "# The pipeline beside the plain way and beside its models alone\n\n"
        "Written by `make bench`; the figures are in [pipeline.json](pipeline.json).\n\n"
        f"Machine: {machine['cpu']} (family/model {machine['cpu_family_model']}), {machine['cores']} cores, "
        f"{machine['memory_gb']} GB; has {', '.join(has) or 'none of the flags looked for'}; lacks "
        f"{', '.join(lacks) or 'none'}. "
        f"Load average when it began: {machine['load_average_1m']}. "
        f"torch {versions['torch']}, torchvision {versions['torchvision']}, timm {versions['timm']}, "
        f"open_clip {versions['open-clip-torch']}, {result['options']['threads']} threads. "
        f"Models: {' and '.join(result['models'])} (seeded random weights), {result['precision']['pipeline']} in "
        "the pipeline, "
        f"batches of {result['options']['batch_size']}. Made {result['made_at']} in {result['bench_seconds']} s.\n\n"
        "![CPU milliseconds per photo](pipeline.png)"
    )


def _whole(result: dict[str, Any]) -> str:
    rows = []
    for scenario in result["scenarios"]:
        for way, name in _WAYS.items():
            found = scenario["medians"][way]
            rows.append(
                (
                    _name(scenario),
                    name,
                    f"{found['images_per_second']:.2f}",
                    f"{found['cpu_seconds_per_1000']:.0f}",
                    f"{found['peak_memory_bytes'] / 1e6:,.0f}",
                )
            )
    header = ("photos, store", "way", "images/s", "CPU-s per 1,000 images", "peak memory, MB")
    return _table(header, rows) + (
        f"\n\n{_runs(result)} (memory: the most). Photos: " + "; ".join(_photo_facts(result)) + "."
    )


def _runs(result: dict[str, Any]) -> str:
    runs = result["options"]["runs"]
    return "One run" if runs == 1 else f"Medians of {runs} runs"


def _photo_facts(result: dict[str, Any]) -> Iterable[str]:
    seen = {}
    for scenario in result["scenarios"]:
        facts = scenario["facts"]
        seen[scenario["photos"]] = (
            f"{facts['photos']} {facts['source']}, {facts['distinct']} of them distinct pictures, on average "
            f"{facts['mean_megapixels']} MP and {facts['mean_bytes'] / 1000:,.0f} kB"
        )
    return seen.values()


def _ratio_table(result: dict[str, Any]) -> str:
    columns = {
        "plain_over_pipeline": "plain ÷ pipeline",
        "pipeline_over_models": "pipeline ÷ models alone",
        "plain_over_models": "plain ÷ models alone (the most any pipeline could win)",
        "eager_over_models": "eager models ÷ models alone",
    }
    rows = []
    for scenario in result["scenarios"]:
        for clock in ("cpu", "wall"):
            cells = [scenario["ratios"][f"{name}_{clock}"] for name in columns]
            shown = [f"{cell['median']:.2f} ({cell['least']:.2f}–{cell['most']:.2f})" for cell in cells]
            rows.append((_name(scenario), "CPU" if clock == "cpu" else "wall", *shown))
    return _table(("photos, store", "clock", *columns.values()), rows)


def _per_photo(result: dict[str, Any]) -> str:
    rows = []
    for scenario in result["scenarios"]:
        found = scenario["per_photo"]
        costs = [found[f"{name}_cpu_ms"] for name in ("pipeline", "plain", "models", "pipeline_fixed", "plain_fixed")]
        ratios = [found[name] for name in ("plain_over_pipeline", "pipeline_over_models", "plain_over_models")]
        rows.append((_name(scenario), *(f"{cost:.0f}" for cost in costs), *(f"{ratio:.2f}" for ratio in ratios)))
    header = (
        "photos, store",
        "pipeline",
        "plain way",
        "models alone",
        "once a run: pipeline",
        "once a run: plain way",
        "plain ÷ pipeline",
        "pipeline ÷ models alone",
        "plain ÷ models alone",
    )
    return _table(header, rows) + (
        "\n\nFrom each run and a run of two photos beside it. The fixed part is Delta commits and listings, and for the plain "
        "way the start of its loader's workers and their S3 clients, once a model; on a day of thousands only the cost of one "
        "more photo counts."
    )


def _reading(result: dict[str, Any]) -> str:
    """What was wanted, what holds here, and which floor forbids the rest."""
    lines = [
        f"Wanted: at least {WANTED_SPEEDUP:g} times the plain way, and no more than {WANTED_OVERHEAD:g} times the models "
        "alone (CPU seconds, medians; in brackets for one more photo, see below).",
        "",
    ]
    names = ("plain_over_pipeline", "pipeline_over_models", "plain_over_models")
    for scenario in result["scenarios"]:
        speedup, overhead, most = (scenario["ratios"][f"{name}_cpu"]["median"] for name in names)
        speedup_more, overhead_more, most_more = (scenario["per_photo"][name] for name in names)
        said = (
            f"- {_name(scenario)}: {speedup:.2f} ({speedup_more:.2f}) times the plain way: "
            f"{_held(speedup >= WANTED_SPEEDUP, speedup_more >= WANTED_SPEEDUP)}. "
            f"{overhead:.2f} ({overhead_more:.2f}) of the models alone: "
            f"{_held(overhead <= WANTED_OVERHEAD, overhead_more <= WANTED_OVERHEAD)}."
        )
        if speedup < WANTED_SPEEDUP:
            said += (
                f" With these models in {result['precision']['pipeline']} the most any pipeline could reach here is "
                f"{most:.2f} ({most_more:.2f}): the plain way's whole cost over the models' cost alone."
            )
        if overhead > WANTED_OVERHEAD:
            models = scenario["medians"]["models"]["cpu_seconds_per_1000"]
            decode = scenario["parts_cpu_ms"]["pipeline"]["decode to tensor"]
            judge = scenario["parts_cpu_ms"]["pipeline"]["judge"]
            said += (
                f" Of what lies over the models, {decode:.0f} CPU-ms are the decode and {judge:.0f} the judging of the photo "
                f"before it; a decode alone, with nothing else, would be {1 + decode / models:.2f} of the models."
            )
        lines.append(said)
    return "\n".join(lines) + "\n\n" + _floor_sentence(result)


def _floor_sentence(result: dict[str, Any]) -> str:
    floor, flags = result["floor"], result["machine"]["flags"]
    models = [scenario["medians"]["models"]["cpu_seconds_per_1000"] for scenario in result["scenarios"]]
    gflop = sum(floor["gflop_per_image"].values())
    precision = result["precision"]["pipeline"]
    said = (
        f"The floor is arithmetic. Both models are {gflop:.1f} GFLOP a photo. The best {precision} rate that torch reached here "
        f"in a plain product or convolution was {floor['peak_gflops_per_core']:.0f} GFLOP a CPU-second, at which they would "
        f"take {1000 * gflop / floor['peak_gflops_per_core']:.0f} CPU-ms; alone they took {min(models):.0f}–{max(models):.0f}."
    )
    if precision == "fp32" and not (flags["avx512_bf16"] or flags["amx_bf16"]):
        said += (
            " This CPU has no bf16 arithmetic (neither avx512_bf16 nor amx_bf16), so both ways compute in float32 and differ "
            "only in what lies around the models. Where a CPU has it the pipeline uses it, and the models' own cost falls too."
        )
    return said


def _stages(result: dict[str, Any]) -> str:
    names = list(result["scenarios"][0]["medians"]["pipeline"]["stage_cpu_ms"])
    rows = [
        (
            _name(scenario),
            *(f"{scenario['medians']['pipeline']['stage_cpu_ms'][name]:.1f}" for name in names),
            *(f"{scenario['medians']['pipeline']['stage_seconds'][name]:.2f}" for name in names[:3]),
        )
        for scenario in result["scenarios"]
    ]
    return _table(("photos, store", *names, *(f"{name}, wall s" for name in names[:3])), rows)


def _parts(result: dict[str, Any]) -> str:
    rows: list[tuple[str, ...]] = []
    for scenario in result["scenarios"]:
        ours, theirs = scenario["parts_cpu_ms"]["pipeline"], scenario["parts_cpu_ms"]["plain"]
        pairs = (
            ("read, twice", 2 * ours["read (of 2)"], 2 * theirs["read (of 2)"]),
            ("judge (sha256, full decode at 1/8)", ours["judge"], None),
            ("decode to 224 px (plain: twice)", ours["decode to tensor"], 2 * theirs["decode and transform (of 2)"]),
            ("write shard", ours["write shard"], None),
            ("read shard", ours["read shard"], None),
        )
        for name, mine, other in pairs:
            rows.append((_name(scenario), name, f"{mine:.2f}", "–" if other is None else f"{other:.2f}"))
        total = (sum(pair[1] for pair in pairs), sum(pair[2] or 0 for pair in pairs))
        rows.append((_name(scenario), "**sum**", f"**{total[0]:.2f}**", f"**{total[1]:.2f}**"))
        commits = (ours["each Delta commit, whole"], theirs["each Delta write, whole"])
        rows.append(
            (
                _name(scenario),
                "one Delta commit, of any size to thousands of rows",
                *(f"{cost:.0f}" for cost in commits),
            )
        )
    return _table(("photos, store", "part", "this pipeline", "plain way"), rows) + (
        "\n\nEach part alone, on at most 24 photos, the cost of starting its threads and opening its files included. "
        f"The pipeline commits three tables a day, the plain way two: spread over the {_counts(result)} photos of these runs "
        "they weigh on each photo, on a day of thousands they do not. What the plain way's loader spends on starting workers "
        "and on handing float32 tensors over is in the whole way above, not here."
    )


def _counts(result: dict[str, Any]) -> str:
    return " or ".join(dict.fromkeys(str(scenario["facts"]["photos"]) for scenario in result["scenarios"]))


def _models(result: dict[str, Any]) -> str:
    layouts = result["floor"]["forward_cpu_ms_by_layout"]
    rows = [(name, f"{spent:.0f}") for name, spent in layouts.items()]
    started = ", ".join(f"{_WAYS[way]} {spent['cpu_seconds']:.0f} CPU-s" for way, spent in result["startup"].items())
    return (
        _table(("model and memory layout", "forward, CPU-ms per photo"), rows)
        + f"\n\nImports, building the models and one warm-up batch are not in any images/s: {started}."
    )


def _agreement(result: dict[str, Any]) -> str:
    rows = []
    for scenario in result["scenarios"]:
        found = scenario["agreement"]
        rows.append(
            (
                _name(scenario),
                f"{found['photos_both']} of {found['photos_pipeline']} and {found['photos_plain']}",
                f"{found['same_top1']:.0%}",
                f"{found['largest_score_difference']:.1e}",
                f"{found['embedding_cosine_mean']:.5f}",
                f"{found['embedding_cosine_least']:.5f}",
                f"{found['cosine_of_neighbouring_photos_mean']:.4f}",
            )
        )
    header = (
        "photos, store",
        "photos answered by both",
        "same top label",
        "largest difference of its score",
        "cosine of embeddings, mean",
        "least",
        "for contrast: cosine of different photos",
    )
    return _table(header, rows) + (
        "\n\nRandom weights tell photos apart poorly, so equal labels prove little; the distance of the cosines "
        "from that of "
        "different photos is what says that both ways see the same pixels."
    )


def _method(result: dict[str, Any]) -> str:
    options = result["options"]
    return (
        f"Each way is a process of its own, and they work in turn, {options['runs']} times each, on the same "
        "photos, with "
        f"{options['threads']} threads of torch. CPU seconds are user and system time of that process and its "
        "children; the S3 server "
        "(SeaweedFS on loopback) is not counted, though it shares the cores. Memory is the sum of the PSS of the "
        "process and its "
        "children, sampled five times a second. Photos on disk are in the page cache for every way.\n\n"
        "- This pipeline: listing, judging, sha256, duplicates, tensors to Arrow shards, both models in one pass, "
        "three Delta tables "
        "by the ledger's rules, through the product's own functions; Dagster's start-up is left out.\n"
        "- Plain way: boto3 and smart_open (or open), PIL, torchvision transforms, a DataLoader with "
        f"{options['loader_workers']} "
        "workers, eager float32, one decode a model, two Delta writes. It does not judge, hash, find duplicates "
        "or keep tensors. "
        "It turns photos upright by EXIF, as the pipeline does, so that answers can be compared.\n"
        "- Models alone: the pipeline's own calls on tensors that lie in memory. Eager: the plain way's models on "
        "float32 that lies "
        "in memory.\n\n"
        "Nothing that was measured is left out. Large photos that come more than once differ in a comment "
        "segment, so that no way "
        "may take one for a duplicate."
    )


def _held(holds: bool, holds_for_one_more: bool) -> str:
    if holds == holds_for_one_more:
        return "holds" if holds else "does not hold"
    return "holds for these runs only" if holds else "holds for one more photo, not for runs this small"


def _name(scenario: dict[str, Any]) -> str:
    return f"{_KINDS[scenario['photos']]}, {scenario['store']}"


def _table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    titles = list(header)
    lines = ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])
