"""Safe commits: a declared table on delta-rs, read at one version and committed optimistically. The only way to write a table.

Which rows a commit writes belongs in `rules`, the columns of a row in `schemas`, packing and deleting files in `maintenance`.

Safety depends on Delta's application transactions: a commit names the lock(s) it decided under, and delta-rs refuses it if a
commit after the version that was read carries the same name. The loser reads again and calls its rule again. So two runs of
one day never write a row twice, and two days in parallel never accept the same bytes twice, on disk and on S3 alike.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from urllib.parse import unquote, urlsplit

import polars as pl
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, TableNotFoundError

from shelf_assets.lake.errors import store_errors
from shelf_assets.lake.hash_index.build import help_along as help_index
from shelf_assets.lake.hash_index.build import is_behind
from shelf_assets.lake.hash_index.rows import IndexedRows
from shelf_assets.lake.known_rows import KnownRows, ScannedRows
from shelf_assets.lake.object_store import ObjectStore
from shelf_assets.lake.rules.change import Change, days_of, same_rows
from shelf_assets.lake.rules.erase_rows import erase_rows, rows_to_erase
from shelf_assets.lake.rules.registry import RuleFunction, build_rules
from shelf_assets.lake.rules.slowly_changing import valid_at
from shelf_assets.lake.schemas import Partitioning, Rule, SchemaError, TableSpec, conform, require_day
from shelf_assets.lake.table_layout import add_missing_columns, create_table, refuse_other_layout

log = logging.getLogger(__name__)

# 8 processes × 10 commits on one table need up to 15 attempts; a hundred is far more and still ends.
MAX_ATTEMPTS = 100
LONGEST_PAUSE_SECONDS = 2.0


class CommitConflict(RuntimeError):
    """Other writers won every attempt. Nothing was written; running again is safe."""


@dataclass(frozen=True)
class Commit:
    """Result of a commit: the table's version afterwards; `committed` is False if there was nothing to write.

    `other_days` are days beside the caller's whose rows changed as well: a duplicate there became the original.
    """

    version: int
    committed: bool
    rows_new: int
    other_days: tuple[date, ...] = ()
    rows_erased: int = 0


@dataclass(frozen=True)
class Erased:
    """Result of `LakeTable.erase`: erased rows per day (None: of a table without days), and the version afterwards.

    `version` is None if the table does not exist.
    """

    rows_by_day: Mapping[date | None, int] = field(default_factory=dict)
    version: int | None = None

    @property
    def rows(self) -> int:
        return sum(self.rows_by_day.values())


class LakeTable:
    """A declared Delta table at `uri` (a folder or s3://…), with the storage options of delta-rs and the function of its rule."""

    def __init__(
        self,
        spec: TableSpec,
        uri: str,
        storage_options: Mapping[str, str] | None = None,
        rule: RuleFunction | None = None,
    ) -> None:
        self.spec = spec
        self.uri = uri
        self.storage_options = dict(storage_options or {})
        self.rule = rule or build_rules()[spec.rule]

    @property
    def objects(self) -> ObjectStore:
        """The table's folder: its data files and its log."""
        return ObjectStore.of_delta(self.uri, self.storage_options)

    def open(self, version: int | None = None) -> DeltaTable | None:
        """The table at this version or its newest one; None before its first commit. Every other failure is raised."""
        with store_errors(f"opening table {self.spec.name}", self.uri):
            try:
                return DeltaTable(self.uri, version=version, storage_options=self.storage_options)
            except TableNotFoundError:
                self._require_bucket()
                return None

    def version(self) -> int | None:
        table = self.open()
        return None if table is None else table.version()

    def scan(
        self, first_day: date | None = None, last_day: date | None = None, *, opened: DeltaTable | None = None
    ) -> pl.LazyFrame:
        """Rows of the days from first_day to last_day (both included; default: all rows), in the declared columns.

        Reads the version that the caller has `opened`, by default the newest. SchemaError for days of a table without days.
        """
        frame = self._scan(opened or self.open())
        if first_day is not None:
            self._require_days()
            frame = frame.filter(pl.col("day") >= require_day(first_day))
        if last_day is not None:
            self._require_days()
            frame = frame.filter(pl.col("day") <= require_day(last_day))
        return frame

    def scan_valid_at(self, moment: datetime, *, opened: DeltaTable | None = None) -> pl.LazyFrame:
        """Rows of a table with validity that are valid at a moment (with time zone): at most one per entity."""
        if self.spec.partitioning is not Partitioning.VALIDITY:
            raise SchemaError(f"{self.spec.name} has no validity; it is partitioned by {self.spec.partitioning}")
        if not isinstance(moment, datetime) or moment.tzinfo is None:
            raise SchemaError(f"{self.spec.name}: the moment must be a datetime with time zone, not {moment!r}")
        return valid_at(self._scan(opened or self.open()), pl.lit(moment.astimezone(UTC)))

    def known_rows(self, opened: DeltaTable | None = None) -> KnownRows:
        """The rows of the version that is `opened`, by default the newest, for the queries of rules and checks."""
        opened = opened or self.open()
        frame = self._scan(opened)
        return IndexedRows(opened, frame, self.objects) if opened and self.is_indexed else ScannedRows(frame)

    def scan_files(self, paths: Sequence[str]) -> pl.LazyFrame:
        """Rows of these data files, as the table's log names them, in the declared columns."""
        return self._parquet([f"{self.uri}/{path}" for path in paths])

    @property
    def is_indexed(self) -> bool:
        """Whether a hash index answers the queries over all days; other rules query their own days only."""
        return self.spec.rule is Rule.MERGE_OBJECTS

    def commit(self, rows: pl.DataFrame, *, days: Sequence[date] = (), info: Mapping[str, str] | None = None) -> Commit:
        """Write the rows that the table's rule selects from `rows`; at most one new version, none if nothing is new.

        If `days` is given, a row of another day raises SchemaError. `info` (run id, …) is stored in the commit's metadata.
        Raises SchemaError, or CommitConflict after MAX_ATTEMPTS.
        """
        rows = conform(rows, self.spec)
        self._refuse_foreign_days(rows, days)

        known: KnownRows | None = None

        def decide(table: DeltaTable) -> Change | None:
            nonlocal known
            known = self.known_rows(table)
            return self.rule(rows, known, self.spec) if rows.height else None

        commit = self._commit(decide, days_of(rows, self.spec), info or {}, MAX_ATTEMPTS)
        if commit.committed and isinstance(known, IndexedRows) and is_behind(known):
            help_index(self)
        return commit

    def rewrite(
        self,
        day: date | None,
        *,
        needed: Callable[[DeltaTable], bool],
        attempts: int,
        info: Mapping[str, str] | None = None,
    ) -> Commit:
        """Write the rows of a day (None: of a table without days) in place of themselves, in as few files as possible.

        Takes the lock of the day's writers, so that neither loses the other's rows. delta-rs' own OPTIMIZE takes no lock, and
        two of them at once duplicate every row. `needed` is called with each version that is tried. Raises CommitConflict
        after `attempts`.
        """
        days = self._require_partition(day)

        def decide(table: DeltaTable) -> Change | None:
            return same_rows(self.known_rows(table), day, self.spec) if needed(table) else None

        return self._commit(decide, days, info or {}, attempts)

    def erase(self, keys: pl.DataFrame, *, info: Mapping[str, str] | None = None) -> Erased:
        """Erase the rows that equal a row of `keys` in all columns of `keys`, on every day: one commit per day.

        Takes the locks of the days' writers: no other row is lost, and no concurrent rewrite brings an erased row back. A
        writer that commits a new row with an erased key afterwards adds that row. The commits name days, never keys. The
        old data files, and statistics in the log, still contain the erased values until `purge.purge` deletes them.
        Raises SchemaError for unknown columns, or CommitConflict after MAX_ATTEMPTS (days before it are erased).
        """
        opened = self.open()
        if opened is None:
            return Erased()
        erased: dict[date | None, int] = {}
        version = opened.version()
        for day in rows_to_erase(keys, self.known_rows(opened), self.spec)["day"]:
            days = self._require_partition(day)

            def decide(table: DeltaTable, days: Sequence[date] = days) -> Change | None:
                frame = self._scan(table)
                part = frame.filter(pl.col("day").is_in(days)) if days else frame
                return erase_rows(keys, ScannedRows(part), self.spec)

            commit = self._commit(decide, days, info or {}, MAX_ATTEMPTS)
            version = commit.version
            if commit.rows_erased:
                erased[day] = commit.rows_erased
        return Erased(erased, version)

    def _commit(
        self,
        decide: Callable[[DeltaTable], Change | None],
        days: Sequence[date],
        info: Mapping[str, str],
        attempts: int,
    ) -> Commit:
        for attempt in range(attempts):
            table = self._ensure()
            try:
                change = decide(table)
            except (OSError, pl.exceptions.PolarsError) as error:
                # Purging deletes files of older versions at once: then a newer version exists, and reading it works.
                if self.version() == table.version():
                    raise
                log.info(
                    "%s: version %s cannot be read any more (%s); deciding again",
                    self.spec.name,
                    table.version(),
                    error,
                )
                _pause(attempt)
                continue
            if change is None:
                return Commit(table.version(), committed=False, rows_new=0)
            try:
                with store_errors(f"writing table {self.spec.name}", self.uri):
                    self._write(table, change, self._locks(days), info)
            except CommitFailedError as conflict:
                log.info("%s: another writer committed first (%s); deciding again", self.spec.name, conflict)
                _pause(attempt)
                continue
            other_days = tuple(sorted(set(change.replaced_days) - set(days)))
            return Commit(table.version(), True, change.rows_new, other_days, change.rows_erased)
        raise CommitConflict(
            f"{self.spec.name}: {attempts} commits in a row lost to other writers; nothing was written, run it again"
        )

    def _write(self, table: DeltaTable, change: Change, locks: Sequence[str], info: Mapping[str, str]) -> None:
        properties = CommitProperties(
            custom_metadata=dict(info),
            app_transactions=[Transaction(lock, time.time_ns()) for lock in locks],
            max_commit_retries=MAX_ATTEMPTS,
        )
        frame = conform(change.rows, self.spec).to_arrow(compat_level=pl.CompatLevel.oldest())
        if change.replaced_days:
            listed = ", ".join(f"'{day.isoformat()}'" for day in sorted(change.replaced_days))
            predicate = f"day IN ({listed})" if len(change.replaced_days) > 1 else f"day = {listed}"
            write_deltalake(table, frame, mode="overwrite", predicate=predicate, commit_properties=properties)
        elif change.replaces_table:
            write_deltalake(table, frame, mode="overwrite", commit_properties=properties)
        else:
            write_deltalake(table, frame, mode="append", commit_properties=properties)

    def _locks(self, days: Sequence[date]) -> list[str]:
        # merge_objects looks for duplicates on all days; every other rule of a table by day reads its own days only.
        if self.is_indexed or not self.spec.is_by_day:
            return [self.spec.name]
        return [f"{self.spec.name}/{day}" for day in days]

    def _require_days(self) -> None:
        if not self.spec.is_by_day:
            raise SchemaError(f"{self.spec.name} has no days; it is partitioned by {self.spec.partitioning}")

    def _require_partition(self, day: date | None) -> tuple[date, ...]:
        """The day as a tuple; empty for the one partition of a table without days."""
        if day is None and not self.spec.is_by_day:
            return ()
        self._require_days()
        return (require_day(day),)

    def _refuse_foreign_days(self, rows: pl.DataFrame, days: Sequence[date]) -> None:
        if not days:
            return
        self._require_days()
        own = {require_day(day) for day in days}
        if foreign := sorted(set(rows["day"].unique().to_list()) - own):
            raise SchemaError(
                f"{self.spec.name}: rows of {', '.join(map(str, foreign))} in a run of {', '.join(map(str, sorted(own)))}"
            )

    def _ensure(self) -> DeltaTable:
        """Open the table; create it and add declared columns as needed."""
        for attempt in range(MAX_ATTEMPTS):
            try:
                table = self.open() or create_table(self.spec, self.uri, self.storage_options)
                refuse_other_layout(table, self.spec)
                add_missing_columns(table, self.spec)
            except CommitFailedError:
                _pause(attempt)  # another process creates or extends the table at the same time: use its result
                continue
            return table
        raise CommitConflict(f"{self.spec.name}: could not create or extend the table at {self.uri}")

    def _require_bucket(self) -> None:
        # A bucket that does not exist has no table either: reading it as empty would hide a misspelt SHELF_LAKE_URL.
        if self.uri.startswith("s3://"):
            next(self.objects.list("_delta_log"), None)

    def _scan(self, table: DeltaTable | None) -> pl.LazyFrame:
        if table is None:
            return self.spec.empty().lazy()
        frame = self._files(table) if "%" in table.table_uri else self._delta(table)
        existing = frame.collect_schema()
        return frame.select(
            pl.col(name) if name in existing else pl.lit(None, dtype=dtype).alias(name)
            for name, dtype in self.spec.schema.items()
        )

    def _delta(self, table: DeltaTable) -> pl.LazyFrame:
        return pl.scan_delta(table, storage_options=self.storage_options or None)

    def _files(self, table: DeltaTable) -> pl.LazyFrame:
        # polars 2.1 looks for files under the escaped path if the folder's name contains a space: give it the unescaped paths.
        return self._parquet(table.file_uris())

    def _parquet(self, uris: Sequence[str]) -> pl.LazyFrame:
        if not uris:
            return self.spec.empty().lazy()
        return pl.scan_parquet(
            [uri if uri.startswith("s3://") else unquote(urlsplit(uri).path) for uri in uris],
            schema=self.spec.schema,
            hive_schema={"day": pl.Date} if self.spec.is_by_day else None,
            missing_columns="insert",
            glob=False,
            storage_options=self.storage_options or None,
        )


def _pause(attempt: int) -> None:
    time.sleep(random.uniform(0, min(LONGEST_PAUSE_SECONDS, 0.02 * 2 ** min(attempt, 10))))
