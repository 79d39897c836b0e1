"""The page of `big_tables`: its figures in tables. Nothing is measured here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.hash_lookup_page import summary

_COMMITS = ("a whole day", "a late photo", "an overwritten photo")


def page(result: Mapping[str, Any], hash_lookup: Mapping[str, Any] | None = None) -> str:
    """The page of a result, with the commits of `hash_lookup` where that was measured as well."""
    by_days = {int(days): figures for days, figures in result["by_days"].items()}
    last = by_days[max(by_days)]
    commits = [name for name in last if name.startswith(_COMMITS)]
    looks = [name for name in last if name not in commits]
    late_ms = sum(last[name]["wall_ms"] for name in commits if name.startswith("a late photo"))
    paragraphs = [
        _head(result),
        "## What rests",
        _resting(result),
        "## A commit",
        "Through `LakeTable.commit`, rules and locks included. A late photo is one row on a day that is there; an overwritten one "
        "takes the place of its old row, for which its day is written again.",
        _by_days(commits, by_days),
        f"A late photo's three commits take {late_ms / 1000:,.1f} s at {max(by_days)} days: one writer makes "
        f"{3600 / (late_ms / 1000):,.0f} of them an hour.",
        "## A look",
        _by_days(looks, by_days),
        "## No vector is read that nobody asked for",
        _narrow(result["narrow"]),
        "## Maintenance of every table",
        "After all of the above: what `shelf maintain` finds in a lake without maintenance so far. A second run finds nothing.",
        _maintenance(result["maintenance"]["tables"]),
        _costs(result["maintenance"]["cost of every day, DuckDB"]),
        "## A day of small appends",
        _small_appends(result["small_appends"]),
        "## Opening a table of many commits",
        _rows(("", "ms"), [(name, _ms(figure)) for name, figure in result["log"].items()]),
        "delta-rs writes a checkpoint every 100 commits by itself, so that no table of ours has more than that to read; "
        "maintenance writes one for what came since.",
        *(summary(hash_lookup) if hash_lookup else []),
    ]
    return "\n\n".join(paragraphs) + "\n"


def _head(result: Mapping[str, Any]) -> str:
    here = result["machine"]
    return (
        f"# The tables as days grow: {result['days']} days of {result['photos_a_day']:,} photos\n\n"
        f"`python -m benchmarks.big_tables --days {result['days']} --photos {result['photos_a_day']}` on "
        f"{here['cores']} cores of {here['cpu']}, shared with other work (load {here['load_average_1m']} at the start):\n"
        f"generated rows and unit vectors of 512 float32, in a folder on disk, all by one process in {result['seconds'] / 60:.0f} "
        f"minutes. Every figure is the median of {result['repeats']}, in milliseconds of the clock; in brackets those of CPU."
    )


def _resting(result: Mapping[str, Any]) -> str:
    tables = result["maintenance"]["tables"]
    rows = [
        (name, f"{told['before']['rows']:,}", f"{told['before']['files']:,}", f"{result['bytes'][name] / 1e6:,.0f}")
        for name, told in tables.items()
    ]
    return _rows(("table", "rows", "files", "MB, log included"), rows)


def _by_days(names: list[str], by_days: Mapping[int, Mapping[str, Any]]) -> str:
    heads = ("", *(f"{days} days" for days in by_days))
    return _rows(heads, [(name, *(_ms(figures[name]) for figures in by_days.values())) for name in names])


def _narrow(narrow: Mapping[str, Any]) -> str:
    rows = [(what, f"{figure['read_bytes'] / 1e6:,.0f}", _ms(figure)) for what, figure in narrow.items()]
    return _rows(("query, DuckDB", "MB read", "ms"), rows)


def _small_appends(figures: Mapping[str, Any]) -> str:
    rows = [
        (f"{name}: {what}", _ms(before), _ms(told["after"][what]))
        for name, told in figures.items()
        if isinstance(told, Mapping)
        for what, before in told["before"].items()
    ]
    said = f"{figures['appends']} appends of {figures['photos_each']} photos to a day that is there, then maintenance."
    return f"{said}\n\n{_rows(('', 'before', 'after maintenance'), rows)}"


def _maintenance(tables: Mapping[str, Any]) -> str:
    rows = [
        (
            name,
            f"{told['before']['files']:,} → {told['after']['files']:,}",
            f"{told['packed_days']:,}",
            f"{told['rows_read_back']:,}",
            f"{told['vacuumed_files']:,} ({told['vacuumed_bytes'] / 1e6:,.0f})",
            f"{told['before']['log_entries']:,} → {told['after']['log_entries']:,}",
            f"{told['seconds']:,.1f} ({told['cpu_seconds']:,.1f})",
            f"{told['peak_memory_bytes'] / 1e6:,.0f}",
            f"{told['again_seconds']:,.1f}",
        )
        for name, told in tables.items()
    ]
    heads = (
        "table",
        "files",
        "days packed",
        "rows read back",
        "deleted (MB)",
        "commits since a checkpoint",
        "s (CPU)",
        "MB more",
    )
    return _rows((*heads, "s, again"), rows)


def _costs(costs: Mapping[str, Any]) -> str:
    return (
        f"What the year cost by day and stage, asked of `stage_runs` by DuckDB: {_ms(costs['before'])} ms before, "
        f"{_ms(costs['after'])} after."
    )


def _ms(figure: Mapping[str, float]) -> str:
    return f"{figure['wall_ms']:,.0f} ({figure['cpu_ms']:,.0f})"


def _rows(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [heads, tuple("---" if number == 0 else "---:" for number in range(len(heads))), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
