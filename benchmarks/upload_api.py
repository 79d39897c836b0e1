"""Photos per second of the upload API, compared with decoding and encoding the same photos alone. `--help`.

wrk sends real bodies to a real server over loopback, on the same cores, so the result includes the sender's CPU time. The
floor is a loop over the same photos in one process per decoder of the API: decode, rotate, encode.
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import psutil
from PIL import Image

from benchmarks.meters import machine
from benchmarks.photos import REPO_ROOT, photo_set

WANTED_OF_FLOOR = 0.7
_SCRIPT = Path(__file__).with_name("upload_api.lua")
_START_SECONDS = 60.0
# Rate limits are out of reach, so that only the work is measured.
_OPEN = {
    "SHELF_HTTP_KEY_REQUESTS": "1000000/second",
    "SHELF_HTTP_KEY_BYTES": "1000000000000/second",
    "SHELF_HTTP_KEY_PIXELS": "1000000000000/second",
    "SHELF_HTTP_ADDRESS_REQUESTS": "1000000/second",
    "SHELF_HTTP_ADDRESS_BYTES": "1000000000000/second",
    "SHELF_HTTP_ADDRESS_PIXELS": "1000000000000/second",
}


@dataclass(frozen=True)
class Load:
    """Photos of about `size_bytes`, of `size_px`, sent over `connections` at once."""

    name: str
    size_bytes: int
    size_px: tuple[int, int]
    connections: int


LOADS = (Load("300 kB", 300_000, (1600, 1200), 8), Load("4 MB", 4_000_000, (4032, 3024), 4))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.upload_api", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="of floor and API in turn (%(default)s)")
    parser.add_argument("--seconds", type=int, default=15, help="of each measurement (%(default)s)")
    parser.add_argument("--minutes", type=float, default=5, help="of steady load for the memory (%(default)s)")
    parser.add_argument("--out", type=Path, default=REPO_ROOT / "docs" / "benchmarks", help="folder of the results")
    arguments = parser.parse_args()
    if shutil.which("wrk") is None:
        parser.error("wrk is not installed; on Debian: apt-get install wrk")
    # A terminated bench also ends the server and deletes the folder.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="shelf-upload-api-") as folder:
        sent = [(load, _files(load, Path(folder))) for load in LOADS]
        found = [_rounds(load, files, Path(folder), arguments.rounds, arguments.seconds) for load, files in sent]
        # Last: memory does not depend on other work on the machine.
        for each, (load, files) in zip(found, sent, strict=True):
            print(f"{load.name}: {arguments.minutes:g} minutes of steady load", flush=True)
            each["steady"] = _steady(load, files, Path(folder), arguments.minutes * 60)
    result = {
        "machine": machine(),
        "rounds": arguments.rounds,
        "seconds": arguments.seconds,
        "minutes": arguments.minutes,
        "loads": found,
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "upload-api.json").write_text(json.dumps(result, indent=1) + "\n")
    text = page(result)
    (arguments.out / "upload-api.md").write_text(text)
    print(text)


def _files(load: Load, folder: Path) -> list[Path]:
    paths = []
    for number, (_, data) in enumerate(photo_set("large", 4).files):
        paths.append(folder / f"{load.size_bytes}-{number}.jpg")
        paths[-1].write_bytes(photo_of(data, load))
    return paths


def _rounds(load: Load, paths: list[Path], folder: Path, rounds: int, seconds: int) -> dict[str, Any]:
    photos = [path.read_bytes() for path in paths]
    decoders = len(os.sched_getaffinity(0))
    turns = []
    with _server(folder / "home") as (url, token, server):
        for number in range(rounds):
            floor = _floor(photos, decoders, seconds)
            before = _spent_ms(server)
            sent = _wrk(url, token, paths, load.connections, seconds)
            spent = {name: round((ms - before[name]) / sent["requests"], 2) for name, ms in _spent_ms(server).items()}
            turns.append({"floor_per_second": floor, "bare_ms": round(1e3 * decoders / floor, 2), **spent, **sent})
            print(f"{load.name}, round {number + 1} of {rounds}: floor {floor:.1f}/s, {sent}", flush=True)
    return {
        "name": load.name,
        "mean_bytes": sum(map(len, photos)) // len(photos),
        "megapixels": load.size_px[0] * load.size_px[1] / 1e6,
        "connections": load.connections,
        "turns": turns,
    }


def _spent_ms(server: psutil.Process) -> dict[str, float]:
    """CPU time so far: of the server's own code, of the system for it, of its decoders, of the senders."""
    own, decoders = server.cpu_times(), [child.cpu_times() for child in server.children(recursive=True)]
    sender = resource.getrusage(
        resource.RUSAGE_CHILDREN
    )  # includes the floor's processes, but not between two measurements
    return {
        # Replaced decoders included.
        "decoder_ms": 1e3
        * (sum(each.user + each.system for each in decoders) + own.children_user + own.children_system),
        "server_ms": 1e3 * own.user,
        "system_ms": 1e3 * own.system,
        "sender_ms": 1e3 * (sender.ru_utime + sender.ru_stime),
    }


def photo_of(jpeg: bytes, load: Load) -> bytes:
    """The picture in the load's size, at the JPEG quality whose file size is nearest to the load's."""
    with Image.open(io.BytesIO(jpeg)) as image:
        picture = image.convert("RGB").resize(load.size_px)
    best = b""
    for quality in range(40, 99, 3):
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=quality)
        if not best or abs(file.tell() - load.size_bytes) < abs(len(best) - load.size_bytes):
            best = file.getvalue()
    return best


def _floor(photos: list[bytes], processes: int, seconds: int) -> float:
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        pool.map(_warm, range(processes), chunksize=1)
        done = pool.starmap(_decode_and_encode, [(photos, seconds)] * processes, chunksize=1)
    return sum(done)


def _warm(_: int) -> None:
    import shelf_assets.photos.sanitizer  # noqa: F401

    time.sleep(0.5)  # so that each process of the pool gets one


def _decode_and_encode(photos: list[bytes], seconds: int) -> float:
    """Photos per second of one process."""
    import simplejpeg

    from shelf_assets.photos.sanitizer import decode_upright
    from shelf_assets.settings import load_settings
    from shelf_assets.vision.headers import read_header

    quality = load_settings().photos.jpeg_quality
    begun, count = time.perf_counter(), 0
    while time.perf_counter() - begun < seconds:
        data = photos[count % len(photos)]
        simplejpeg.encode_jpeg(
            decode_upright(data, read_header(data, "jpeg")), quality=quality, colorspace="RGB", colorsubsampling="420"
        )
        count += 1
    return count / (time.perf_counter() - begun)


@contextmanager
def _server(home: Path) -> Iterator[tuple[str, str, psutil.Process]]:
    """The upload API on a free port over a lake in a folder: URL, token, process."""
    from shelf_assets.build import open_lake
    from shelf_assets.http.keys import Keys
    from shelf_assets.settings import load_settings

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    lake = open_lake(load_settings(home=home, lake__url=(home / "lake").as_uri()))
    _, token = Keys(lake.objects).create("bench", {"upload"}, datetime.now(UTC))
    command = [sys.executable, "-m", "shelf_assets.cli.app", "serve", "intake", "--port", str(port)]
    environment = os.environ | _OPEN | {"SHELF_HOME": str(home), "SHELF_LAKE_URL": lake.url}
    with (home / "server.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=REPO_ROOT, env=environment, stdout=log, stderr=log)
    try:
        _wait(f"http://127.0.0.1:{port}/readyz", process)
        yield f"http://127.0.0.1:{port}", token, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(timeout=60)


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=2).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise RuntimeError("the upload API did not start")


def _wrk(url: str, token: str, paths: list[Path], connections: int, seconds: int) -> dict[str, Any]:
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", str(_SCRIPT), url, "--"]
    done = subprocess.run([*command, token, *map(str, paths)], capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    accepted = found["requests"] - found["refused"]
    return found | {"accepted_per_second": round(accepted / found["seconds"], 2)}


def _steady(load: Load, paths: list[Path], folder: Path, seconds: float) -> dict[str, Any]:
    """Memory of a server and its decoders under the load: the median of each fifth of it, in MB."""
    samples: list[float] = []
    stop = threading.Event()

    def watch(server: psutil.Process) -> None:
        while not stop.wait(1.0):
            with suppress(psutil.NoSuchProcess):
                tree = [server, *server.children(recursive=True)]
                samples.append(sum(process.memory_full_info().pss for process in tree) / 1e6)

    with _server(folder / "steady") as (url, token, server):
        watcher = threading.Thread(target=watch, args=(server,))
        watcher.start()
        try:
            sent = _wrk(url, token, paths, load.connections, int(seconds))
        finally:
            stop.set()
            watcher.join()
    fifth = max(1, len(samples) // 5)
    fifths = [round(median(samples[at : at + fifth])) for at in range(0, fifth * 5, fifth)]
    return sent | {"memory_mb": fifths, "peak_mb": round(max(samples))}


def page(result: dict[str, Any]) -> str:
    """The page of a result."""
    here = result["machine"]
    lines = [
        "# The upload API under load",
        "",
        f"`python -m benchmarks.upload_api` on {here['cores']} cores of {here['cpu']}:",
        f"medians of {result['rounds']} paired rounds of {result['seconds']} seconds. wrk sends over loopback, on the same cores;",
        "every photo has unique bytes and is acknowledged after fsync. The floor is decoding and encoding alone, in one process",
        "per decoder of the API.",
        "",
        f"| photos | floor/s | accepted/s | of the floor, goal {WANTED_OF_FLOOR} | p50 ms | p95 ms | p99 ms | not accepted |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    missed = []
    for load in result["loads"]:
        turns = load["turns"]
        ratio = median(turn["accepted_per_second"] / turn["floor_per_second"] for turn in turns)
        middle = {name: median(turn[name] for turn in turns) for name in ("p50_ms", "p95_ms", "p99_ms")}
        lines.append(
            f"| {load['name']}, {load['megapixels']:.1f} MP, {load['connections']} at once "
            f"| {median(turn['floor_per_second'] for turn in turns):.1f} "
            f"| {median(turn['accepted_per_second'] for turn in turns):.1f} | {ratio:.2f} "
            f"| {middle['p50_ms']:.0f} | {middle['p95_ms']:.0f} | {middle['p99_ms']:.0f} "
            f"| {sum(turn['failed'] + turn['refused'] for turn in turns)} |"
        )
        if round(ratio, 2) < WANTED_OF_FLOOR:
            missed.append(load["name"])
    if missed:
        lines += ["", f"**For {' and '.join(missed)} the goal is not reached.**"]
    lines += [
        "",
        "CPU ms per photo; for the bare loop, milliseconds of a core. Decoder, system and sender share the cores with the server",
        "and are unavoidable.",
        f"The last column is what a share of {WANTED_OF_FLOOR} would leave for the server itself, which is Python code.",
        "",
        f"| photos | bare loop | decoder | server's system calls | sender | server itself | {WANTED_OF_FLOOR} leaves it |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for load in result["loads"]:
        names = ("bare_ms", "decoder_ms", "server_ms", "system_ms", "sender_ms")
        bare, decoder, server, system, sender = (median(turn[name] for turn in load["turns"]) for name in names)
        lines.append(
            f"| {load['name']} | {bare:.1f} | {decoder:.1f} | {system:.1f} | {sender:.1f} | {server:.1f} "
            f"| {bare / WANTED_OF_FLOOR - decoder - system - sender:.1f} |"
        )
    lines += [
        "",
        f"Memory of the server and its decoders in each fifth of {result['minutes']:g} minutes of the same load, MB (PSS):",
        "",
        "| photos | first | second | third | fourth | last | peak | accepted/s |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for load in result["loads"]:
        steady = load["steady"]
        shares = " | ".join(f"{share:,}" for share in steady["memory_mb"])
        lines.append(f"| {load['name']} | {shares} | {steady['peak_mb']:,} | {steady['accepted_per_second']:.1f} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
