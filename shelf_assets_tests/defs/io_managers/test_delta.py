"""The cases in which dagster-deltalake's IO manager loses days, in real runs with this one: no day is lost."""

from collections.abc import Callable, Sequence
from datetime import date, timedelta

import dagster as dg
import polars as pl
import pytest
from deltalake import DeltaTable

from shelf_assets.defs.io_managers.delta import DeltaIOManager
from shelf_assets.defs.partitions import daily
from shelf_assets.lake import delta
from shelf_assets.lake.schemas import SchemaError
from shelf_assets.registry import tables
from shelf_assets_tests.conftest import LakeUnderTest
from shelf_assets_tests.lake.rows import stage_runs
from shelf_assets_tests.lake.writers import GROWN

FIRST = date(2025, 3, 3)  # a Monday
WEEK = [FIRST + timedelta(days=n) for n in range(7)]
weekly = dg.WeeklyPartitionsDefinition(start_date="2025-01-06", day_offset=1, timezone="UTC")


def producer(change: Callable[[pl.DataFrame], object] = lambda frame: frame) -> dg.AssetsDefinition:
    """`stage_runs`, one row for each day of the run."""

    @dg.asset(
        name="stage_runs",
        partitions_def=daily,
        io_manager_key="delta_io",
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def produced(context: dg.AssetExecutionContext):
        window = context.partition_time_window
        days = [window.start.date() + timedelta(days=n) for n in range((window.end - window.start).days)]
        return change(pl.concat([stage_runs([f"run-{day}"], day) for day in days]))

    return produced


def run(
    assets: Sequence[dg.AssetsDefinition],
    lake: LakeUnderTest,
    day: date | None = None,
    last_day: date | None = None,
    selection: Sequence[str] | None = None,
    partition_key: str | None = None,
) -> dg.ExecuteInProcessResult:
    tags = None
    if day and last_day:
        tags = {"dagster/asset_partition_range_start": str(day), "dagster/asset_partition_range_end": str(last_day)}
    elif day:
        partition_key = str(day)
    return dg.materialize(
        assets,
        resources={"delta_io": DeltaIOManager(lake.lake)},
        partition_key=partition_key,
        tags=tags,
        selection=selection,
    )


def resting_days(lake: LakeUnderTest) -> list[date]:
    return sorted(lake.lake.table("stage_runs").scan().collect()["day"])


def reader(
    partitions_def: dg.PartitionsDefinition | None,
    seen: list,
    annotation: type = pl.DataFrame,
    mapping: dg.PartitionMapping | None = None,
) -> dg.AssetsDefinition:
    """A consumer of `stage_runs` that records its input."""

    @dg.asset(partitions_def=partitions_def, ins={"rows": dg.AssetIn("stage_runs", partition_mapping=mapping)})
    def consumer(rows: annotation) -> None:  # type: ignore[valid-type]
        seen.append(rows)

    return consumer


@pytest.fixture
def week(lake: LakeUnderTest) -> LakeUnderTest:
    run([producer()], lake, WEEK[0], WEEK[-1])
    return lake


def test_writing_one_day_keeps_the_others(lake: LakeUnderTest) -> None:
    for day in (WEEK[0], WEEK[2], WEEK[1], WEEK[0]):
        assert run([producer()], lake, day).success
    assert resting_days(lake) == WEEK[:3]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda frame: frame.with_columns(pl.col("day").cast(pl.String)), "String"),
        (lambda frame: frame.with_columns(pl.col("day").cast(pl.Datetime("us"))), "Datetime"),
        (
            lambda frame: frame.with_columns(pl.col("day").cast(pl.Datetime("us")).dt.replace_time_zone("UTC")),
            "Datetime",
        ),
    ],
)
def test_day_column_that_is_no_date_is_refused(disk_lake: LakeUnderTest, change: Callable, named: str) -> None:
    run([producer()], disk_lake, WEEK[0], WEEK[2])
    with pytest.raises(SchemaError, match=rf"stage_runs\.day must be a Date, not {named}"):
        run([producer(change)], disk_lake, WEEK[1])
    assert resting_days(disk_lake) == WEEK[:3]


def test_row_of_another_day_is_refused(disk_lake: LakeUnderTest) -> None:
    shifted = producer(lambda frame: frame.with_columns(pl.col("day").dt.offset_by("1d")))
    with pytest.raises(SchemaError, match="rows of 2025-03-04 in a run of 2025-03-03"):
        run([shifted], disk_lake, WEEK[0])


def test_range_run_over_an_existing_table_writes_every_day(lake: LakeUnderTest) -> None:
    run([producer()], lake, WEEK[3])
    result = run([producer()], lake, WEEK[1], WEEK[5])
    assert resting_days(lake) == WEEK[1:6]
    [event] = result.asset_materializations_for_node("stage_runs")[:1]
    assert event.metadata["rows_new"].value == 4
    assert event.metadata["dagster/partition_row_count"].value == 5


def test_weekly_reader_gets_all_days_of_its_week(week: LakeUnderTest) -> None:
    run([producer()], week, WEEK[-1] + timedelta(days=1))
    seen: list[pl.DataFrame] = []
    run([producer(), reader(weekly, seen)], week, partition_key=str(FIRST), selection=["consumer"])
    assert sorted(seen[0]["day"]) == WEEK


def test_unpartitioned_reader_gets_all_days(week: LakeUnderTest) -> None:
    seen: list[pl.DataFrame] = []
    run([producer(), reader(None, seen)], week, selection=["consumer"])
    assert sorted(seen[0]["day"]) == WEEK


def test_daily_reader_gets_its_day_only(week: LakeUnderTest) -> None:
    seen: list[pl.DataFrame] = []
    run([producer(), reader(daily, seen)], week, WEEK[4], selection=["consumer"])
    assert seen[0]["day"].to_list() == [WEEK[4]]


def test_reader_of_two_single_days_gets_only_those(week: LakeUnderTest) -> None:
    seen: list[pl.DataFrame] = []
    mapping = dg.SpecificPartitionsPartitionMapping([str(WEEK[1]), str(WEEK[4])])
    run([producer(), reader(None, seen, mapping=mapping)], week, selection=["consumer"])
    assert sorted(seen[0]["day"]) == [WEEK[1], WEEK[4]]


def test_trailing_window_is_read_whole(week: LakeUnderTest) -> None:
    seen: list[pl.DataFrame] = []
    mapping = dg.TimeWindowPartitionMapping(start_offset=-3)
    run([producer(), reader(daily, seen, mapping=mapping)], week, WEEK[5], selection=["consumer"])
    assert sorted(seen[0]["day"]) == WEEK[2:6]


def test_lazy_input_stays_lazy(week: LakeUnderTest) -> None:
    seen: list[pl.LazyFrame] = []
    run([producer(), reader(weekly, seen, pl.LazyFrame)], week, partition_key=str(FIRST), selection=["consumer"])
    assert isinstance(seen[0], pl.LazyFrame)
    assert seen[0].select(pl.len()).collect().item() == 7


def test_delta_table_input_gives_access_to_the_history(week: LakeUnderTest) -> None:
    """dagster-deltalake's DeltaTableResource, with the store's configuration and its secrets, on disk and on S3."""
    seen: list[DeltaTable] = []
    run([producer(), reader(weekly, seen, DeltaTable)], week, partition_key=str(FIRST), selection=["consumer"])
    assert isinstance(seen[0], DeltaTable)
    assert seen[0].version() == week.lake.table("stage_runs").version()
    assert seen[0].history(1)[0]["dagster_run_id"]


def test_lazy_output_is_written_whole(lake: LakeUnderTest) -> None:
    run([producer(lambda frame: frame.lazy())], lake, WEEK[0], WEEK[2])
    assert resting_days(lake) == WEEK[:3]


def test_output_that_is_no_frame_is_refused(disk_lake: LakeUnderTest) -> None:
    with pytest.raises(TypeError, match="stage_runs: expected a polars frame, got list"):
        run([producer(lambda frame: frame.to_dicts())], disk_lake, WEEK[0])


def test_new_column_keeps_old_rows(lake: LakeUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    run([producer()], lake, WEEK[0])
    monkeypatch.setitem(tables(), "stage_runs", GROWN)
    run([producer(lambda frame: frame.with_columns(energy_joules=pl.lit(2.0)))], lake, WEEK[1])
    rows = lake.lake.table("stage_runs").scan().sort("day").collect()
    assert rows["energy_joules"].to_list() == [None, 2.0]


def test_materialization_records_rows_version_and_commit(lake: LakeUnderTest) -> None:
    result = run([producer()], lake, WEEK[0])
    [event] = result.asset_materializations_for_node("stage_runs")
    told = {name: value.value for name, value in event.metadata.items()}
    assert told["dagster/partition_row_count"] == told["rows_new"] == 1
    assert told["dagster/uri"] == f"{lake.url}/tables/stage_runs" and told["dagster/table_name"] == "stage_runs"
    table = lake.lake.table("stage_runs").open()
    assert table is not None and told["table_version"] == table.version() and told["committed"] is True
    assert table.history(1)[0]["dagster_run_id"] == result.run_id
    [again] = run([producer()], lake, WEEK[0]).asset_materializations_for_node("stage_runs")
    assert again.metadata["committed"].value is False and again.metadata["rows_new"].value == 0
    assert again.metadata["table_version"].value == told["table_version"]


def test_error_while_opening_a_table_loses_no_day(disk_lake: LakeUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    run([producer()], disk_lake, WEEK[0], WEEK[-1])
    opened = delta.DeltaTable
    calls = []

    def fails_once(*arguments: object, **options: object):
        calls.append(arguments)
        if len(calls) == 1:
            raise OSError("connection reset by peer")
        return opened(*arguments, **options)

    with monkeypatch.context() as once:
        once.setattr(delta, "DeltaTable", fails_once)
        with pytest.raises(Exception, match="connection reset"):
            run([producer()], disk_lake, WEEK[2])
    assert resting_days(disk_lake) == WEEK
    assert run([producer()], disk_lake, WEEK[2]).success and resting_days(disk_lake) == WEEK


def test_empty_day_succeeds_without_a_new_version(lake: LakeUnderTest) -> None:
    run([producer()], lake, WEEK[0])
    version = lake.lake.table("stage_runs").version()
    assert run([producer(lambda frame: frame.clear())], lake, WEEK[1]).success
    assert lake.lake.table("stage_runs").version() == version
    assert resting_days(lake) == WEEK[:1]
