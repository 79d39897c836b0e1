"""How a commit is made safe: a declared table on delta-rs, created first, read at one version, committed optimistically.

The one way to write a table. Which rows may be written belongs in `ledger`, what a row is in `schemas`, when files are
packed or deleted in `upkeep`.

Safety rests on Delta's application transactions: a commit names the lock(s) it decided under, and delta-rs refuses it when
a commit after the version that was read carries the same name. The loser reads again and asks its rule again. So two runs
of one day never write a row twice and two days in parallel never accept the same bytes twice, on disk and on S3 alike.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from urllib.parse import unquote, urlsplit

import polars as pl
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, TableNotFoundError

from shelf_assets.lake.errors import explained
from shelf_assets.lake.ledger import RULES, Change, the_day_as_it_is
from shelf_assets.lake.near_duplicates import BY_DEFAULT, NearDuplicates
from shelf_assets.lake.object_store import ObjectStore
from shelf_assets.lake.schemas import Rule, SchemaError, TableSpec, conform, require_day

log = logging.getLogger(__name__)

# 8 processes × 10 commits on one table need up to 15 retries at worst; a hundred is far beyond, yet ends.
MAX_ATTEMPTS = 100
LONGEST_PAUSE_SECONDS = 2.0


class CommitConflict(RuntimeError):
    """Other writers won every attempt; nothing was written, running again is safe."""


@dataclass(frozen=True)
class Commit:
    """What a commit did. `version` is the table's version afterwards; `committed` is False when there was nothing to write.

    `other_days` are days beside the caller's whose rows changed as well: a duplicate there became the original.
    """

    version: int
    committed: bool
    rows_new: int
    other_days: tuple[date, ...] = ()


class LakeTable:
    """A declared Delta table at `uri` (a folder or s3://…), with the storage options of delta-rs.

    `near` says to raw_images which photos look alike, and what becomes of them.
    """

    def __init__(
        self,
        spec: TableSpec,
        uri: str,
        storage_options: Mapping[str, str] | None = None,
        near: NearDuplicates = BY_DEFAULT,
    ) -> None:
        self.spec = spec
        self.uri = uri
        self.storage_options = dict(storage_options or {})
        self.near = near

    @property
    def objects(self) -> ObjectStore:
        """The table's folder: its data files and its log."""
        return ObjectStore.of_delta(self.uri, self.storage_options)

    def open(self, version: int | None = None) -> DeltaTable | None:
        """The table at this version or its newest one, or None before its first commit. Any other failure is raised."""
        with explained(f"opening table {self.spec.name}", self.uri):
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
        """Rows of the days from first_day to last_day (both included; all days without), in the declared columns.

        Of the version that the caller has `opened`, else of the newest.
        """
        return self._within(self._scan(opened or self.open()), first_day, last_day)

    def commit(self, rows: pl.DataFrame, *, days: Sequence[date] = (), info: Mapping[str, str] | None = None) -> Commit:
        """Write what the table's rule allows of `rows`; at most one new version, none when nothing is new.

        `days` states which days the caller answers for: a row of another day is refused. `info` (run id, …) goes into the
        commit's metadata. Raises SchemaError, or CommitConflict after MAX_ATTEMPTS.
        """
        rows = conform(rows, self.spec)
        self._refuse_foreign_days(rows, days)
        own_days = rows["day"].unique().sort().to_list()

        def decide(table: DeltaTable) -> Change | None:
            return RULES[self.spec.rule](rows, self._scan(table), self.spec, self.near) if rows.height else None

        return self._commit(decide, own_days, info or {}, MAX_ATTEMPTS)

    def rewrite(
        self,
        day: date,
        *,
        needed: Callable[[DeltaTable], bool],
        attempts: int,
        info: Mapping[str, str] | None = None,
    ) -> Commit:
        """Put the day's rows in place of themselves, in as few files as their size asks for: no row comes, goes or changes.

        Under the lock of whoever writes that day, so that neither loses the other's rows. Not by delta-rs' own OPTIMIZE:
        it takes no lock, and two of them at once leave every row twice. `needed` is asked of each version that is tried.
        Raises CommitConflict after `attempts`.
        """

        def decide(table: DeltaTable) -> Change | None:
            return the_day_as_it_is(require_day(day), self._scan(table)) if needed(table) else None

        return self._commit(decide, [day], info or {}, attempts)

    def _commit(
        self,
        decide: Callable[[DeltaTable], Change | None],
        days: Sequence[date],
        info: Mapping[str, str],
        attempts: int,
    ) -> Commit:
        for attempt in range(attempts):
            table = self._ensure()
            change = decide(table)
            if change is None:
                return Commit(table.version(), committed=False, rows_new=0)
            try:
                with explained(f"writing table {self.spec.name}", self.uri):
                    self._write(table, change, self._locks(days), info)
            except CommitFailedError as conflict:
                log.info("%s: another writer came first (%s); deciding again", self.spec.name, conflict)
                _pause(attempt)
                continue
            other_days = sorted(set(change.replaced_days) - set(days))
            return Commit(table.version(), committed=True, rows_new=change.rows_new, other_days=tuple(other_days))
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
        else:
            write_deltalake(table, frame, mode="append", commit_properties=properties)

    def _locks(self, days: Sequence[date]) -> list[str]:
        # Which photo is the original is a question over all days; every other rule looks at its own days only.
        if self.spec.rule is Rule.MERGE_OBJECTS:
            return [self.spec.name]
        return [f"{self.spec.name}/{day}" for day in days]

    def _refuse_foreign_days(self, rows: pl.DataFrame, days: Sequence[date]) -> None:
        mine = {require_day(day) for day in days}
        if mine and (foreign := sorted(set(rows["day"].unique().to_list()) - mine)):
            raise SchemaError(
                f"{self.spec.name}: rows of {', '.join(map(str, foreign))} in a run of {', '.join(map(str, sorted(mine)))}"
            )

    def _ensure(self) -> DeltaTable:
        """Open the table, created if need be and grown to the declared columns."""
        empty = self.spec.empty().to_arrow(compat_level=pl.CompatLevel.oldest())
        for attempt in range(MAX_ATTEMPTS):
            try:
                table = self.open() or DeltaTable.create(
                    self.uri,
                    schema=empty.schema,
                    mode="ignore",
                    partition_by=["day"],
                    name=self.spec.name,
                    description=self.spec.grain,
                    storage_options=self.storage_options,
                )
                resting = [field.name for field in table.schema().fields]
                self._refuse_unknown_columns(resting)
                if added := [name for name in self.spec.columns if name not in resting]:
                    table.alter.add_columns(_delta_fields(self.spec, added))
                    log.info("%s: column(s) %s added", self.spec.name, ", ".join(added))
            except CommitFailedError:
                _pause(attempt)  # creation or growth raced with another process: what it made is what we want
                continue
            return table
        raise CommitConflict(f"{self.spec.name}: could not create or grow the table at {self.uri}")

    def _refuse_unknown_columns(self, resting: Sequence[str]) -> None:
        # Rewriting a day would drop the values of columns that this programme does not know.
        if unknown := [name for name in resting if name not in self.spec.columns]:
            raise SchemaError(
                f"{self.spec.name} at {self.uri} has the column(s) {', '.join(unknown)}, which lake/schemas.py does not "
                "declare: a newer version of this programme wrote them. Nothing was written; use that version"
            )

    def _require_bucket(self) -> None:
        # A bucket that does not exist has no table either: reading it as empty would hide a misspelt SHELF_LAKE_URL.
        if self.uri.startswith("s3://"):
            next(self.objects.list("_delta_log"), None)

    def _scan(self, table: DeltaTable | None) -> pl.LazyFrame:
        if table is None:
            return self.spec.empty().lazy()
        frame = self._files(table) if "%" in table.table_uri else self._delta(table)
        resting = frame.collect_schema()
        return frame.select(
            pl.col(name) if name in resting else pl.lit(None, dtype=dtype).alias(name)
            for name, dtype in self.spec.schema.items()
        )

    def _delta(self, table: DeltaTable) -> pl.LazyFrame:
        return pl.scan_delta(table, storage_options=self.storage_options or None)

    def _files(self, table: DeltaTable) -> pl.LazyFrame:
        # polars 2.1 looks for files under the escaped path when a folder's name holds a space; the version's own list of
        # files, unescaped, is what it would read.
        paths = [unquote(urlsplit(uri).path) for uri in table.file_uris()]
        if not paths:
            return self.spec.empty().lazy()
        return pl.scan_parquet(
            paths, schema=self.spec.schema, hive_schema={"day": pl.Date}, missing_columns="insert", glob=False
        )

    @staticmethod
    def _within(frame: pl.LazyFrame, first_day: date | None, last_day: date | None) -> pl.LazyFrame:
        if first_day is not None:
            frame = frame.filter(pl.col("day") >= require_day(first_day))
        if last_day is not None:
            frame = frame.filter(pl.col("day") <= require_day(last_day))
        return frame


def _delta_fields(spec: TableSpec, names: Sequence[str]) -> list:
    from deltalake import Schema

    arrow = spec.empty().select(names).to_arrow(compat_level=pl.CompatLevel.oldest()).schema
    return list(Schema.from_arrow(arrow).fields)


def _pause(attempt: int) -> None:
    time.sleep(random.uniform(0, min(LONGEST_PAUSE_SECONDS, 0.02 * 2 ** min(attempt, 10))))
