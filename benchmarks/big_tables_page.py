"""The page of `big_tables`, made from its JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.hash_lookup_page import summary

_COMMITS = ("a whole day", "a late photo", "an overwritten photo")


def page(result: Mapping[str, Any], hash_lookup: Mapping[str, Any] | None = None) -> str:
    """The page of a result, with the commits of `hash_lookup` if that was measured too."""
    by_days = {int(days): metrics for days, metrics in result["by_days"].items()}
    last = by_days[max(by_days)]
    commits = [name for name in last if name.startswith(_COMMITS)]
    reads = [name for name in last if name not in commits]
    late_ms = sum(last[name]["wall_ms"] for name in commits if name.startswith("a late photo"))
    paragraphs = [
        _head(result),
        "## Stored data",
        _stored(result),
        "## A commit",
        "Through `LakeTable.commit`, rules and locks included. A late photo adds one row to an existing day; an overwritten photo "
        "replaces its row, for which the day is written again.",
        _by_days(commits, by_days),
        f"A late photo's three commits take {late_ms / 1000:,.1f} s at {max(by_days)} days: one writer makes "
        f"{3600 / (late_ms / 1000):,.0f} of them per hour.",
        "## A read",
        _by_days(reads, by_days),
        "## A query without vectors reads none",
        _narrow(result["narrow"]),
        "## Maintenance of every table",
        "After all of the above, in a lake without earlier maintenance. A second maintenance finds nothing to do.",
        _maintenance(result["maintenance"]["tables"]),
        _costs(result["maintenance"]["cost of every day, DuckDB"]),
        "## A day of small appends",
        _small_appends(result["small_appends"]),
        "## Opening a table of many commits",
        _rows(("", "ms"), [(name, _ms(metric)) for name, metric in result["log"].items()]),
        "delta-rs writes a checkpoint every 100 commits, so no reader of our tables reads more commits than that; "
        "maintenance writes one for the commits since.",
        *(summary(hash_lookup) if hash_lookup else []),
    ]
    return "\n\n".join(paragraphs) + "\n"


def _head(result: Mapping[str, Any]) -> str:
    here = result["machine"]
    return (
        f"# The tables as days grow: {result['days']} days of {result['photos_a_day']:,} photos\n\n"
        f"`python -m benchmarks.big_tables --days {result['days']} --photos {result['photos_a_day']}` on "
        f"{here['cores']} cores of {here['cpu']}, shared with other work (load {here['load_average_1m']} at the start):\n"
        f"generated rows and unit vectors of 512 float32, in a folder on disk, by one process in {result['seconds'] / 60:.0f} "
        f"minutes. All metrics are medians of {result['repeats']}, in wall ms; in brackets CPU ms."
        # A person adds `remark` to the JSON when the code has changed since the measurement.
        + (f"\n\n**Since then:** {result['remark']}" if "remark" in result else "")
    )


def _stored(result: Mapping[str, Any]) -> str:
    tables = result["maintenance"]["tables"]
    rows = [
        (name, f"{report['before']['rows']:,}", f"{report['before']['files']:,}", f"{result['bytes'][name] / 1e6:,.0f}")
        for name, report in tables.items()
    ]
    return _rows(("table", "rows", "files", "MB, log included"), rows)


def _by_days(names: list[str], by_days: Mapping[int, Mapping[str, Any]]) -> str:
    heads = ("", *(f"{days} days" for days in by_days))
    return _rows(heads, [(name, *(_ms(metrics[name]) for metrics in by_days.values())) for name in names])


def _narrow(narrow: Mapping[str, Any]) -> str:
    rows = [(what, f"{metric['read_bytes'] / 1e6:,.0f}", _ms(metric)) for what, metric in narrow.items()]
    return _rows(("query, DuckDB", "MB read", "ms"), rows)


def _small_appends(metrics: Mapping[str, Any]) -> str:
    rows = [
        (f"{name}: {what}", _ms(before), _ms(report["after"][what]))
        for name, report in metrics.items()
        if isinstance(report, Mapping)
        for what, before in report["before"].items()
    ]
    text = f"{metrics['appends']} appends of {metrics['photos_each']} photos to an existing day, then maintenance."
    return f"{text}\n\n{_rows(('', 'before', 'after maintenance'), rows)}"


def _maintenance(tables: Mapping[str, Any]) -> str:
    rows = [
        (
            name,
            f"{report['before']['files']:,} → {report['after']['files']:,}",
            f"{report['packed_days']:,}",
            f"{report['rows_read_back']:,}",
            f"{report['vacuumed_files']:,} ({report['vacuumed_bytes'] / 1e6:,.0f})",
            f"{report['before']['log_entries']:,} → {report['after']['log_entries']:,}",
            f"{report['seconds']:,.1f} ({report['cpu_seconds']:,.1f})",
            f"{report['peak_memory_bytes'] / 1e6:,.0f}",
            f"{report['again_seconds']:,.1f}",
        )
        for name, report in tables.items()
    ]
    heads = (
        "table",
        "files",
        "days packed",
        "rows read back",
        "deleted (MB)",
        "commits since a checkpoint",
        "s (CPU)",
        "additional MB",
    )
    return _rows((*heads, "s, second time"), rows)


def _costs(costs: Mapping[str, Any]) -> str:
    return (
        f"DuckDB query of `stage_runs` for the costs of all days by stage: {_ms(costs['before'])} ms before, "
        f"{_ms(costs['after'])} after."
    )


def _ms(metric: Mapping[str, float]) -> str:
    return f"{metric['wall_ms']:,.0f} ({metric['cpu_ms']:,.0f})"


def _rows(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [heads, tuple("---" if number == 0 else "---:" for number in range(len(heads))), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
