"""A failing store: photos are not lost or changed, uploads are complete or absent, and a dead store is reported.

A proxy in front of a real S3 server makes the failures. A full disk is tested in test_delta_failures.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import obstore
import polars as pl
import pytest
from obstore.store import MemoryStore

from shelf_assets.lake.errors import StoreUnavailable
from shelf_assets.lake.lake import Lake
from shelf_assets.lake.object_store import ObjectStore, RetryOptions, StoredObject, day_prefix
from shelf_assets.lake.tensor_store import Tensor
from shelf_assets.lake.unsupported_keys import UnsupportedKey, is_unsupported
from shelf_assets.vision.engine import batched
from shelf_assets.vision.engine.reader import Bounds, read_each
from shelf_assets_tests.conftest import LakeUnderTest
from shelf_assets_tests.faulty_proxy import Fault, Faults, faulty_proxy
from shelf_assets_tests.lake.rows import DAY, sha
from shelf_assets_tests.servers import refusing_port

PHOTOS = 48
BOUNDS = Bounds(in_flight_objects=16, in_flight_bytes=256_000_000, work_slots=2, skip_above_bytes=25_000_000)
# Shorter waits than in production. BRISK tries as often as the default; HASTY gives up soon.
BRISK = RetryOptions(first_pause_seconds=0.01, longest_pause_seconds=0.1)
HASTY = RetryOptions(tries_again=2, first_pause_seconds=0.01, longest_pause_seconds=0.02, silence_seconds=0.3)
SIZE_PX = 128


def body(n: int, size_bytes: int = 30_000) -> bytes:
    return np.random.default_rng(n).bytes(size_bytes)


def land(store: ObjectStore, count: int, size_bytes: int = 30_000) -> dict[str, bytes]:
    photos = {f"{day_prefix(DAY)}{n:04}.jpg": body(n, size_bytes) for n in range(count)}
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(store.put, photos.keys(), photos.values()))
    return photos


def at(lake: Lake, url: str, patience: RetryOptions = BRISK) -> ObjectStore:
    """The lake's objects at another endpoint."""
    return ObjectStore(lake.url, lake.objects.s3_config | {"endpoint": url}, patience)


@contextmanager
def failing(lake: Lake, faults: Faults, patience: RetryOptions = BRISK) -> Iterator[ObjectStore]:
    with faulty_proxy(lake.objects.s3_config["endpoint"], faults) as url:
        yield at(lake, url, patience)


def tensors(count: int) -> list[Tensor]:
    rng = np.random.default_rng(0)
    return [Tensor(f"i{n}", sha(n), rng.integers(0, 256, (3, SIZE_PX, SIZE_PX), dtype=np.uint8)) for n in range(count)]


def wanted(count: int) -> pl.DataFrame:
    return pl.DataFrame({"image_id": [f"i{n}" for n in range(count)], "sha256": [sha(n) for n in range(count)]})


@contextmanager
def tensor_lake(lake: Lake, faults: Faults, patience: RetryOptions = BRISK) -> Iterator[Lake]:
    with faulty_proxy(lake.objects.s3_config["endpoint"], faults) as url:
        spoiled = ImpatientLake(lake.url, {**lake.storage_options, "endpoint": url})
        object.__setattr__(spoiled, "patience", patience)
        yield spoiled


@dataclasses.dataclass(frozen=True)
class ImpatientLake(Lake):
    """A lake whose store waits only briefly between tries."""

    patience: RetryOptions = BRISK

    @property
    def objects(self) -> ObjectStore:
        store = super().objects
        return ObjectStore(store.root_url, store.s3_config, self.patience)


@pytest.mark.s3
@pytest.mark.parametrize(
    "fault", ["slow_down", "server_error", "reset", "lost_answer", "broken_body", "truncated_body", "delay"]
)
def test_photos_are_read_unchanged_through_a_failing_store(s3_lake: LakeUnderTest, fault: Fault) -> None:
    landed = land(s3_lake.lake.objects, PHOTOS)
    faults = Faults({fault: 0.25})
    with failing(s3_lake.lake, faults) as store:
        listed = sorted(store.list(day_prefix(DAY)), key=lambda stored: stored.key)

        def pair(stored: StoredObject, data: bytes | None) -> tuple[str, bytes | None]:
            return stored.key, data

        read = list(read_each(listed, store.find, pair, BOUNDS))
    assert faults.met[fault] >= PHOTOS / 8, "too few failures for this test"
    assert [key for key, _ in read] == sorted(landed) and dict(read) == landed


@pytest.mark.s3
def test_interrupted_listing_returns_every_key_once(s3_lake: LakeUnderTest) -> None:
    landed = land(s3_lake.lake.objects, 2_300, size_bytes=10)
    faults = Faults({"broken_body": 0.15, "truncated_body": 0.15, "slow_down": 0.1}, seed=2)
    with failing(s3_lake.lake, faults) as store:
        for _ in range(4):
            assert [stored.key for stored in store.list(day_prefix(DAY))] == sorted(landed)
    assert len(faults.met) == 3


@pytest.mark.s3
@pytest.mark.timeout(60)
@pytest.mark.parametrize("fault", ["slow_down", "reset", "hang", "truncated_body", "nobody"])
def test_unavailable_store_is_named_after_bounded_retries(s3_lake: LakeUnderTest, fault: str) -> None:
    landed = land(s3_lake.lake.objects, 1)
    [key] = landed
    shares: dict[Fault, float] = {} if fault == "nobody" else {fault: 1.0}  # type: ignore[dict-item]
    with faulty_proxy(s3_lake.lake.objects.s3_config["endpoint"], Faults(shares)) as proxy:
        url = f"http://127.0.0.1:{refusing_port()}" if fault == "nobody" else proxy
        store = at(s3_lake.lake, url, HASTY)
        attempts: dict[str, Callable[[], object]] = {
            f"listing {day_prefix(DAY)}": lambda: list(store.list(day_prefix(DAY))),
            f"reading {key}": lambda: store.get(key),
        }
        if fault != "truncated_body":  # an answer to a PUT has no body
            attempts["writing new"] = lambda: store.put("new", b"x")
        for doing, attempt in attempts.items():
            with pytest.raises(StoreUnavailable, match=f"{doing} in {s3_lake.url} failed: ") as raised:
                attempt()
            if fault != "truncated_body":
                assert "after 2 retries, max_retries: 2" in str(raised.value), "the message must name the retries"


@pytest.mark.s3
def test_tensors_are_unchanged_through_a_failing_store(s3_lake: LakeUnderTest) -> None:
    made = tensors(500)  # two shards of several parts
    faults = Faults({"slow_down": 0.1, "server_error": 0.1, "reset": 0.1, "lost_answer": 0.1, "delay": 0.1})
    with tensor_lake(s3_lake.lake, faults) as lake:
        lake.tensors(DAY, "geometry", SIZE_PX).write(made, shard_images=400)
    whole = s3_lake.lake.tensors(DAY, "geometry", SIZE_PX)
    assert whole.index().entries.height == 500
    reading = Faults({"broken_body": 0.15, "truncated_body": 0.15, "slow_down": 0.1, "reset": 0.1})
    with tensor_lake(s3_lake.lake, reading) as lake:
        found = {
            image_id: pixels
            for batch in batched(lake.tensors(DAY, "geometry", SIZE_PX).read(wanted(500)), 64)
            for image_id, pixels in zip(batch.image_ids, batch.pixels, strict=True)
        }
    assert min(faults.met.total(), reading.met.total()) >= 4, f"too few failures: {faults.met}, {reading.met}"
    assert all(np.array_equal(found[tensor.image_id], tensor.pixels) for tensor in made)


@pytest.mark.s3
def test_shard_with_a_failed_part_never_appears(s3_lake: LakeUnderTest) -> None:
    down = True
    faults = Faults({"server_error": 1.0}, only=lambda method, path: down and "partNumber=2" in path)
    made = tensors(1_000)
    with tensor_lake(s3_lake.lake, faults, dataclasses.replace(BRISK, tries_again=0)) as lake:
        day = lake.tensors(DAY, "geometry", SIZE_PX)
        with pytest.raises(StoreUnavailable), day.writer(shard_images=2_000) as writer:
            for tensor in made:
                try:
                    writer.add(tensor)
                except StoreUnavailable:
                    down = False  # the store works again when the rest of the shard is closed
                    raise
        assert not down, "the lost part must raise while tensors are added"
        assert day.index().entries.is_empty(), "a broken shard must not be in the index"
        assert not list(lake.objects.list(day.prefix)), "no partial object may appear"
        day.write(made, shard_images=2_000)
        assert sum(len(batch.image_ids) for batch in batched(day.read(wanted(1_000)), 64)) == 1_000


@pytest.mark.s3
def test_upload_with_truncated_answer_succeeds(s3_lake: LakeUnderTest) -> None:
    data = body(1, 20_000_000)
    faults = Faults({"truncated_body": 1.0}, only=lambda method, path: method == "POST" and "uploadId=" in path)
    with failing(s3_lake.lake, faults) as store:
        with store.open_writer("whole") as file:
            file.write(data)
        assert faults.met == {"truncated_body": 1}
    assert s3_lake.lake.objects.get("whole") == data


@pytest.mark.s3
def test_abandoned_writer_leaves_no_object(s3_lake: LakeUnderTest) -> None:
    store = s3_lake.lake.objects
    file = store.open_writer("half")
    file.write(body(1, 20_000_000))
    del file
    assert not store.exists("half")


@pytest.mark.s3
def test_transfers_use_no_files_on_the_local_disk(
    s3_lake: LakeUnderTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = tmp_path / "temporary"
    empty.mkdir()
    monkeypatch.setenv("TMPDIR", str(empty))
    monkeypatch.setattr(tempfile, "tempdir", None)
    before = open_files()
    store = s3_lake.lake.objects
    landed = land(store, 3, size_bytes=3_000_000)
    file = store.open_writer("large")
    file.write(body(1, 20_000_000))
    assert open_files() <= before and not list(empty.iterdir())
    file.close()
    reader = store.open_reader("large")
    assert len(reader.read(9_000_000)) == 9_000_000
    assert all(store.get(key) == data for key, data in landed.items())
    assert open_files() <= before and not list(empty.iterdir())


def open_files() -> set[str]:
    """Regular files that this process holds open, deleted ones included."""
    found = set()
    for link in Path("/proc/self/fd").iterdir():
        try:
            target = str(link.readlink())
        except FileNotFoundError:
            continue  # the descriptor of this listing itself
        if target.startswith("/") and not target.startswith(("/dev", "/proc")):
            found.add(target)
    return found


# SeaweedFS merges double slashes and refuses dots, so the only unsupported key that it stores has a line break.
ODD = f"{day_prefix(DAY)}0002\nof two lines.jpg"


def put_odd(lake: LakeUnderTest, data: bytes) -> None:
    if lake.url.startswith("file://"):
        (Path(lake.url.removeprefix("file://")) / ODD).write_bytes(data)
        return
    import boto3

    config = lake.lake.objects.s3_config
    client = boto3.client(
        "s3",
        endpoint_url=config["endpoint"],
        region_name=config["region"],
        aws_access_key_id=config["access_key_id"],
        aws_secret_access_key=config["secret_access_key"],
    )
    bucket, _, root = lake.url.removeprefix("s3://").partition("/")
    client.put_object(Bucket=bucket, Key=f"{root}/{ODD}", Body=data)


def test_unsupported_key_is_listed_read_and_deleted(lake: LakeUnderTest) -> None:
    store = lake.lake.objects
    landed = land(store, 1_200, size_bytes=10)
    before = {stored.key: stored for stored in store.list(day_prefix(DAY))}
    put_odd(lake, b"a photo")
    after = list(store.list(day_prefix(DAY)))
    assert sorted(stored.key for stored in after) == sorted([*landed, ODD]), "every key must be listed once"
    assert {stored.key: stored for stored in after if stored.key != ODD} == before, (
        "the other objects must be listed as before"
    )
    assert [stored.size_bytes for stored in after if stored.key == ODD] == [7]
    assert lake.lake.listing(DAY).height == 1_201


def test_an_object_with_an_unsupported_key_is_listed_but_not_read_or_deleted(lake: LakeUnderTest) -> None:
    store = lake.lake.objects
    landed = land(store, 1, size_bytes=10)
    put_odd(lake, b"a photo")
    assert store.find(ODD) is None and lake.lake.object_writer.find(ODD) is None
    with pytest.raises(UnsupportedKey, match="control characters"):
        store.get(ODD)
    with pytest.raises(UnsupportedKey):
        store.delete([*landed, ODD])
    assert {stored.key for stored in store.list(day_prefix(DAY))} == {*landed, ODD}, "no object may be deleted"


def test_a_key_that_leads_out_of_the_lake_is_refused(disk_lake: LakeUnderTest, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"x")
    for attempt in (disk_lake.lake.objects.get, lambda key: disk_lake.lake.objects.delete([key])):
        with pytest.raises(UnsupportedKey, match="dotted segments"):
            attempt("../secret")
    assert (tmp_path / "secret").exists()


@pytest.mark.parametrize(
    "key",
    [
        "a/b",
        "a//b",
        "/a",
        "a/",
        "a//",
        "a/./b",
        "..",
        "a/..b",
        "a/b..",
        "a\nb",
        "a\x7f",
        "ü/…",
        "a b/%2F#?",
        "\\",
        "a/.h",
    ],
)
def test_unsupported_keys_are_those_refused_by_obstore(key: str) -> None:
    store = MemoryStore()
    try:
        obstore.put(store, key, b"x")
    except ValueError:
        refused = True
    else:
        refused = False
    # obstore silently removes a leading slash and would look up another key.
    assert is_unsupported(key) == (refused or key.startswith("/"))


def test_retry_pauses_are_jittered_and_bounded() -> None:
    waits = [tuple(RetryOptions().pauses_seconds()) for _ in range(20)]
    assert len({pauses[1] for pauses in waits}) == 20, "without jitter all readers would retry at the same moment"
    assert all(len(pauses) == 7 and max(pauses) <= 5.0 for pauses in waits)
