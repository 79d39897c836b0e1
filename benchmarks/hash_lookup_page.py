"""The page of `hash_lookup`, made from its JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

_MILLION = 1_000_000
_STORES = {"hash-lookup": "In a folder", "hash-lookup-s3": "In an S3 server on loopback"}


def page(results: Mapping[str, Mapping[str, Any]]) -> str:
    """The page of the available results: of a folder, of an S3 server."""
    paragraphs = [_head(next(iter(results.values())))]
    for name, title in _STORES.items():
        if name in results:
            paragraphs += [f"## {title}", *_of_store(results[name])]
    return "\n\n".join(paragraphs) + "\n"


def _head(result: Mapping[str, Any]) -> str:
    real_days, photos = result["real_days"], f"{result['photos_a_day']:,}"
    return (
        "# The look-up of duplicates from 1 to 100 million known hashes\n\n"
        "`python -m benchmarks.hash_lookup` (and `--s3`). Each value is the median of "
        f"{result['repeats']} commits, in\nwall milliseconds; in brackets CPU milliseconds. Before each commit on disk the index "
        "is evicted from the page cache. On a machine with other\nwork, see its load, only the CPU times are "
        "comparable.\n\n"
        f"**Real data.** The last {real_days} days of {photos} photos are rows of `raw_images`, with everything that a "
        "measured\ncommit may read: the 35 days before and after, for near duplicates, and the days of the "
        f"{result['copies']}\ncopies in each new day. The days before them are generated: two entries for each hash in the hash "
        "index (the photo's\nbytes, and its group), in one run beside that of the real days, and names of data files in the "
        "table's log and in the\nindex's manifest. Their rows do not exist; a commit that read one would fail.\n\n"
        f"**Commits** go through `LakeTable.commit`, locks and rules included: a new day of {photos} photos, one late "
        "photo on\nan old day, and one overwritten photo, whose duplicates and group are looked up as well."
    )


def summary(result: Mapping[str, Any]) -> list[str]:
    """The commits as a section of another page."""
    points = result["points"]
    return [
        "## Commits of raw_images as the known hashes grow",
        _rows(_heads(points), _metrics(list(points[0]["metrics"])[:3], points)),
        f"{_growth(points)} How it was measured, and what the index costs: [hash-lookup.md](hash-lookup.md).",
    ]


def _heads(points: list[Mapping[str, Any]]) -> tuple[str, ...]:
    return ("", *(f"{point['hashes'] / _MILLION:,.0f} million, {point['days']:,} days" for point in points))


def _of_store(result: Mapping[str, Any]) -> list[str]:
    here, points = result["machine"], result["points"]
    heads = _heads(points)
    names = list(points[0]["metrics"])
    return [
        f"{here['cores']} cores of {here['cpu']}, shared with other work (load {here['load_average_1m']} at the start); "
        f"total time {result['seconds'] / 60:.0f} minutes.",
        _rows(heads, _metrics(names, points)),
        _growth(points),
        "Bytes of the index that a commit reads, in MB:",
        _rows(heads, [(name, *(_mb(point["metrics"][name]["index_bytes"]) for point in points)) for name in names[:3]]),
        "The index, and what its maintenance costs:",
        _rows(
            heads,
            [
                ("runs", *(f"{len(point['runs'])}" for point in points)),
                ("entries, millions", *(f"{sum(point['runs']) / _MILLION:,.0f}" for point in points)),
                ("rows indexed per second", *(f"{point['index_rows_a_second']:,}" for point in points)),
                ("merge of all runs: s (CPU)", *(_of_merge(point, _seconds) for point in points)),
                ("the merged run, MB", *(_of_merge(point, lambda merge: _mb(merge["bytes"])) for point in points)),
                (
                    "additional memory of the merge, MB",
                    *(_of_merge(point, lambda merge: _mb(merge["peak_memory_bytes"])) for point in points),
                ),
                ("additional memory of the commits, MB", *(_mb(point["peak_memory_bytes"]) for point in points)),
            ],
        ),
    ]


def _metrics(names: list[str], points: list[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    return [(name, *(_ms(point["metrics"][name]) for point in points)) for name in names]


def _growth(points: list[Mapping[str, Any]]) -> str:
    """The cost of the largest point relative to the smallest, at the same number of days."""
    first = points[0]
    last = [point for point in points if point["days"] == first["days"]][-1]
    ratios = [
        f"{name} {_ratio(first, last, name, 'wall_ms')} ({_ratio(first, last, name, 'cpu_ms')})"
        for name in list(first["metrics"])[:3]
    ]
    return f"From {first['hashes'] / _MILLION:,.0f} to {last['hashes'] / _MILLION:,.0f} million hashes: {', '.join(ratios)}."


def _ratio(first: Mapping[str, Any], last: Mapping[str, Any], name: str, unit: str) -> str:
    return f"{last['metrics'][name][unit] / first['metrics'][name][unit]:.2f}×"


def _ms(metric: Mapping[str, float]) -> str:
    return f"{metric['wall_ms']:,.0f} ({metric['cpu_ms']:,.0f})"


def _seconds(metric: Mapping[str, float]) -> str:
    return f"{metric['seconds']:,.1f} ({metric['cpu_seconds']:,.1f})"


def _of_merge(point: Mapping[str, Any], shown: Callable[[Mapping[str, Any]], str]) -> str:
    return shown(point["merge"]) if "merge" in point else ""


def _mb(size_bytes: float) -> str:
    return f"{size_bytes / 1e6:,.2f}" if size_bytes < 1e7 else f"{size_bytes / 1e6:,.0f}"


def _rows(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [heads, tuple("---" if number == 0 else "---:" for number in range(len(heads))), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
