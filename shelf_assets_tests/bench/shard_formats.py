"""What a tensor at rest costs, in which format and shard size, and when storing it pays against decoding again: `--help`.

The product's own shards are measured through the product; the other formats are written and read in memory, as small here
as they are with their libraries' own calls.
"""

from __future__ import annotations

import argparse
import io
import json
import signal
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import simplejpeg
from PIL import Image
from safetensors.numpy import load, save

from shelf_assets.lake.shards import Tensor
from shelf_assets.vision.engine import batched
from shelf_assets.vision.preprocess import Geometry, to_tensor
from shelf_assets_tests.bench.meters import Span, machine, timed
from shelf_assets_tests.bench.photos import REPO_ROOT, Kind, PhotoSet, photo_set
from shelf_assets_tests.bench.place import DAY, Place, open_store

SHAPE = (3, 224, 224)
SHARD_SIZES = (64, 256, 1024, 4096)
PHOTOS: dict[Kind, int] = {"small": 256, "large": 26}
BATCH = 32

# Euros, of the order of the public prices of the large clouds; a CPU core is half of the settings' two shared cores.
EUR_PER_CORE_HOUR = 0.025
EUR_PER_GB_MONTH = 0.023
EUR_PER_1000_GETS = 0.0004
EUR_PER_1000_PUTS = 0.005
PHOTOS_A_MONTH = 5_000 * 30
KEPT_DAYS = (3, 7, 30)


@dataclass(frozen=True)
class Format:
    """How N × 3 × 224 × 224 pixels become bytes and pixels again."""

    write: Callable[[np.ndarray], bytes]
    read: Callable[[bytes], Iterator[np.ndarray]]


def _table(pixels: np.ndarray) -> pa.RecordBatch:
    width = pixels[0].nbytes
    values = pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), len(pixels), [None, pa.py_buffer(pixels)])
    return pa.record_batch([values], names=["pixels"])


def _views(column: pa.FixedSizeBinaryArray) -> np.ndarray:
    flat = np.frombuffer(column.buffers()[1], np.uint8).reshape(-1, *SHAPE)
    return flat[column.offset : column.offset + len(column)]


def _write_arrow(pixels: np.ndarray, compression: str | None) -> bytes:
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_stream(sink, _table(pixels[:1]).schema, options=options) as writer:
        for start in range(0, len(pixels), 64):
            writer.write_batch(_table(pixels[start : start + 64]))
    return sink.getvalue().to_pybytes()


def _read_arrow(data: bytes) -> Iterator[np.ndarray]:
    for batch in pa.ipc.open_stream(data):
        yield from _views(batch.column(0))


def _write_parquet(pixels: np.ndarray, compression: str) -> bytes:
    sink = pa.BufferOutputStream()
    table = pa.Table.from_batches([_table(pixels)])
    pq.write_table(
        table, sink, compression=compression, use_dictionary=False, row_group_size=64, write_statistics=False
    )
    return sink.getvalue().to_pybytes()


def _read_parquet(data: bytes) -> Iterator[np.ndarray]:
    for batch in pq.ParquetFile(pa.BufferReader(data)).iter_batches(batch_size=64):
        yield from _views(batch.column(0))


def _read_raw(data: bytes) -> Iterator[np.ndarray]:
    yield from np.frombuffer(data, np.uint8).reshape(-1, *SHAPE)


def _encoded(pixels: np.ndarray, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0))).save(file, **options)
    return file.getvalue()


def _decoded(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB")).transpose(2, 0, 1)


def _jpeg(pixels: np.ndarray) -> bytes:
    return simplejpeg.encode_jpeg(np.ascontiguousarray(pixels.transpose(1, 2, 0)), quality=90, colorsubsampling="420")


def _write_tar(pixels: np.ndarray, encode: Callable[[np.ndarray], bytes]) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as tar:
        for number, each in enumerate(pixels):
            data = encode(each)
            member = tarfile.TarInfo(f"{number:05}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return target.getvalue()


def _read_tar(data: bytes, decode: Callable[[bytes], np.ndarray]) -> Iterator[np.ndarray]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for member in tar:
            file = tar.extractfile(member)
            assert file is not None
            yield decode(file.read())


FORMATS: dict[str, Format] = {
    "Arrow, as now": Format(partial(_write_arrow, compression=None), _read_arrow),
    "Arrow, lz4": Format(partial(_write_arrow, compression="lz4"), _read_arrow),
    "Arrow, zstd": Format(partial(_write_arrow, compression="zstd"), _read_arrow),
    "Parquet": Format(partial(_write_parquet, compression="none"), _read_parquet),
    "Parquet, zstd": Format(partial(_write_parquet, compression="zstd"), _read_parquet),
    "raw, as in .npy": Format(lambda pixels: pixels.tobytes(), _read_raw),
    "safetensors": Format(lambda pixels: save({"pixels": pixels}), lambda data: iter(load(data)["pixels"])),
    "tar of PNG": Format(
        partial(_write_tar, encode=partial(_encoded, format="PNG", compress_level=1)),
        partial(_read_tar, decode=_decoded),
    ),
    "tar of lossless WebP": Format(
        partial(_write_tar, encode=partial(_encoded, format="WEBP", lossless=True, quality=0, method=0)),
        partial(_read_tar, decode=_decoded),
    ),
    "tar of JPEG q90 (lossy)": Format(
        partial(_write_tar, encode=_jpeg),
        partial(_read_tar, decode=lambda data: simplejpeg.decode_jpeg(data).transpose(2, 0, 1)),
    ),
}


def batches(pixels: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """What a model takes: copies of 32 at a time, so that a view costs no less than it should."""
    held: list[np.ndarray] = []
    for each in pixels:
        held.append(each)
        if len(held) == BATCH:
            yield np.stack(held)
            held = []
    if held:
        yield np.stack(held)


class Figures:
    """CPU-ms and wall-ms of named works, taken in turn; told as medians."""

    def __init__(self) -> None:
        self.taken: dict[str, list[tuple[float, float]]] = {}

    def take(self, name: str, items: int, work: Callable[[], Any]) -> Any:
        span = Span()
        with timed(span):
            result = work()
        self.taken.setdefault(name, []).append((1000 * span.cpu_seconds / items, 1000 * span.wall_seconds / items))
        return result

    def cpu_ms(self, name: str) -> float:
        return round(median(cpu for cpu, _ in self.taken[name]), 4)

    def per_second(self, name: str) -> int:
        return round(1000 / median(wall for _, wall in self.taken[name]))


def measure_formats(tensors: dict[Kind, np.ndarray], turns: int) -> list[dict[str, Any]]:
    rows = []
    for kind, pixels in tensors.items():
        figures = Figures()
        told: dict[str, dict[str, Any]] = {}
        for turn in range(turns + 1):
            if turn == 1:
                figures = Figures()  # the first turn only warms up
            for name, format_ in FORMATS.items():
                data = figures.take(f"{name} write", len(pixels), partial(format_.write, pixels))
                read = figures.take(f"{name} read", len(pixels), lambda f=format_, d=data: list(batches(f.read(d))))
                if turn == 0:
                    difference = np.abs(np.concatenate(read).astype(np.int16) - pixels).mean()
                    told[name] = {
                        "photos": kind,
                        "format": name,
                        "bytes_per_image": round(len(data) / len(pixels)),
                        "mean_difference_of_255": round(float(difference), 2),
                    }
        for name, row in told.items():
            rows.append(
                row | {"write_cpu_ms": figures.cpu_ms(f"{name} write"), "read_cpu_ms": figures.cpu_ms(f"{name} read")}
            )
    return rows


def _stored(tensors: np.ndarray, count: int) -> tuple[list[Tensor], pl.DataFrame]:
    made = [Tensor(f"i{n:06}", f"{n:064x}", tensors[n % len(tensors)]) for n in range(count)]
    return made, pl.DataFrame({"image_id": [t.image_id for t in made], "sha256": [t.sha256 for t in made]})


def measure_sizes(place: Place, tensors: np.ndarray, turns: int) -> list[dict[str, Any]]:
    """The product's own writer and reader, at least 1,024 tensors and one shard a turn."""
    figures = Figures()
    for turn in range(turns):
        for size in SHARD_SIZES:
            made, wanted = _stored(tensors, max(size, 1024))
            _write_and_read(
                figures, place.for_run(f"size-{size}-{turn}"), made, wanted, size, (f"{size} write", f"{size} read")
            )
    return [
        {
            "store": place.store,
            "shard_images": size,
            "shard_megabytes": round(size * np.prod(SHAPE) / 1e6),
            "write_cpu_ms": figures.cpu_ms(f"{size} write"),
            "write_per_second": figures.per_second(f"{size} write"),
            "read_cpu_ms": figures.cpu_ms(f"{size} read"),
            "read_per_second": figures.per_second(f"{size} read"),
        }
        for size in SHARD_SIZES
    ]


def _write_and_read(
    figures: Figures, place: Place, made: list[Tensor], wanted: pl.DataFrame, size: int, names: tuple[str, str]
) -> None:
    day = place.results().tensors(DAY, "geometry-digest", SHAPE[-1])
    figures.take(names[0], len(made), lambda: day.write(made, size))
    read = figures.take(
        names[1], len(made), lambda: sum(len(batch.image_ids) for batch in batched(day.read(wanted), BATCH))
    )
    assert read == len(made)
    place.clear()


def measure_pay_off(place: Place, photo: PhotoSet, tensors: np.ndarray, turns: int) -> dict[str, Any]:
    """Reading and decoding each photo again, beside storing its tensor and reading that back."""
    figures, there = Figures(), place.for_photos(photo.kind)
    there.land(photo)
    objects = there.photos().objects
    keys = [stored.key for stored in objects.list(there.prefix)]
    made, wanted = _stored(tensors, 1024)
    for turn in range(turns):
        figures.take("get", len(keys), lambda: [len(objects.get(key)) for key in keys])
        figures.take("redecode", len(keys), lambda: [to_tensor(objects.get(key), Geometry()).sum() for key in keys])
        run = place.for_run(f"pay-{photo.kind}-{turn}")
        _write_and_read(figures, run, made, wanted, 1024, ("store", "read back"))
    return {"store": place.store, "photos": photo.kind} | priced(figures, photo.facts()["mean_bytes"])


def priced(figures: Figures, photo_bytes: Any) -> dict[str, Any]:
    """What the CPU milliseconds are in euros of a month, and after how many uses storing has paid."""
    redecode_ms, store_ms = figures.cpu_ms("redecode"), figures.cpu_ms("store")
    read_ms = figures.cpu_ms("read back")
    saved_ms = redecode_ms - read_ms
    redecode_eur = _cpu_eur(redecode_ms) + PHOTOS_A_MONTH / 1000 * EUR_PER_1000_GETS
    # A shard of 1,024 is a listing, its index twice and 16 ranges to read, and 22 requests to write.
    read_eur = _cpu_eur(read_ms) + PHOTOS_A_MONTH / 1024 * 19 / 1000 * EUR_PER_1000_GETS
    write_eur = _cpu_eur(store_ms) + PHOTOS_A_MONTH / 1024 * 22 / 1000 * EUR_PER_1000_PUTS
    rest_eur = {days: PHOTOS_A_MONTH * np.prod(SHAPE) / 1e9 * days / 30 * EUR_PER_GB_MONTH for days in KEPT_DAYS}
    return {
        "mean_photo_bytes": photo_bytes,
        "get_cpu_ms": figures.cpu_ms("get"),
        "redecode_cpu_ms": redecode_ms,
        "store_cpu_ms": store_ms,
        "read_back_cpu_ms": read_ms,
        "uses_to_pay_in_cpu": round(store_ms / saved_ms, 2) if saved_ms > 0 else None,
        "redecode_eur_month": round(redecode_eur, 4),
        "read_back_eur_month": round(read_eur, 4),
        "write_eur_month": round(write_eur, 4),
        "rest_eur_month": {str(days): round(float(eur), 4) for days, eur in rest_eur.items()},
        "uses_to_pay_in_euros": {
            str(days): round(float((write_eur + eur) / (redecode_eur - read_eur)), 1) for days, eur in rest_eur.items()
        },
    }


def _cpu_eur(cpu_ms: float) -> float:
    return PHOTOS_A_MONTH * cpu_ms / 3_600_000 * EUR_PER_CORE_HOUR


def run(turns: int, say: Callable[[str], None]) -> dict[str, Any]:
    photos = {kind: photo_set(kind, count) for kind, count in PHOTOS.items()}
    tensors = {
        kind: np.stack([to_tensor(data, Geometry()) for _, data in photo.files]) for kind, photo in photos.items()
    }
    result: dict[str, Any] = {
        "machine": machine(),
        "turns": turns,
        "photos": {kind: photo.facts() for kind, photo in photos.items()},
        "prices": {
            "eur_per_core_hour": EUR_PER_CORE_HOUR,
            "eur_per_gb_month": EUR_PER_GB_MONTH,
            "eur_per_1000_gets": EUR_PER_1000_GETS,
            "eur_per_1000_puts": EUR_PER_1000_PUTS,
        },
        "formats": measure_formats(tensors, turns),
        "sizes": [],
        "pay_off": [],
    }
    say("formats done")
    with tempfile.TemporaryDirectory(prefix="shelf-shards-") as folder:
        for store in ("disk", "s3"):
            with open_store(store, Path(folder) / store) as place:  # type: ignore[arg-type]
                result["sizes"] += measure_sizes(place, tensors["small"], turns)
                say(f"shard sizes on {store} done")
                result["pay_off"] += [
                    measure_pay_off(place, photo, tensors[kind], turns) for kind, photo in photos.items()
                ]
                say(f"pay-off on {store} done")
    return result


def page(result: dict[str, Any]) -> str:
    here = result["machine"]
    lines = [
        "# Tensors at rest",
        "",
        f"`python -m shelf_assets_tests.bench.shard_formats` on {here['cores']} cores of {here['cpu']}; load average at the",
        f"start {here['load_average_1m']}. Medians of {result['turns']} turns, all ways in each turn. CPU milliseconds per image,",
        "of the client alone: what SeaweedFS spends on loopback is not counted, though it runs on the same cores, so that",
        "images/s on S3 are what both reach together, with whatever else the machine did. Pixels are uint8, 3 × 224 × 224, of",
        "; ".join(f"{facts['photos']} {facts['source']}" for facts in result["photos"].values()) + ".",
        "Reading ends in copied batches of 32, as a model takes them. What follows from it:",
        "[decision 008](../decisions/008-tensor-shards.md).",
        "",
        "## Formats, in memory",
        "",
        "| format | photos | bytes/image | write, CPU-ms | read, CPU-ms | mean difference, of 255 |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for row in result["formats"]:
        lines.append(
            f"| {row['format']} | {row['photos']} | {row['bytes_per_image']:,} | {row['write_cpu_ms']:.3f} "
            f"| {row['read_cpu_ms']:.3f} | {row['mean_difference_of_255']:g} |"
        )
    lines += [
        "",
        "## Shard sizes, this project's writer and reader",
        "",
        "| store | images a shard | MB | write, CPU-ms | images/s | read, CPU-ms | images/s |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for row in result["sizes"]:
        lines.append(
            f"| {row['store']} | {row['shard_images']:,} | {row['shard_megabytes']} | {row['write_cpu_ms']:.3f} "
            f"| {row['write_per_second']:,} | {row['read_cpu_ms']:.3f} | {row['read_per_second']:,} |"
        )
    lines += [
        "",
        "## Storing against decoding again",
        "",
        "CPU milliseconds per image; one thread reads and decodes. A use is one more reading of the same tensor: another model,",
        "another run. The first use always decodes.",
        "",
        "| store | photos | GET | GET + decode | store | read back | uses until storing has paid, in CPU |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for row in result["pay_off"]:
        lines.append(
            f"| {row['store']} | {row['photos']}, {row['mean_photo_bytes'] / 1000:,.0f} kB | {row['get_cpu_ms']:.3f} "
            f"| {row['redecode_cpu_ms']:.2f} | {row['store_cpu_ms']:.3f} | {row['read_back_cpu_ms']:.3f} "
            f"| {row['uses_to_pay_in_cpu']} |"
        )
    prices = result["prices"]
    lines += [
        "",
        "The same on S3 in euros of a month of 5,000 photos a day. Assumed: "
        f"€{prices['eur_per_core_hour']} a core and hour, €{prices['eur_per_gb_month']} a GB and month, "
        f"€{prices['eur_per_1000_gets']} for 1,000 GETs, €{prices['eur_per_1000_puts']} for 1,000 PUTs, "
        "no traffic between regions.",
        "",
        "| photos | one use decoded again | one use read back | writing | resting 3, 7, 30 days | uses until storing has paid |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for row in result["pay_off"]:
        if row["store"] == "s3":
            rest = " / ".join(f"{eur:.3f}" for eur in row["rest_eur_month"].values())
            uses = " / ".join(f"{uses:g}" for uses in row["uses_to_pay_in_euros"].values())
            lines.append(
                f"| {row['photos']} | {row['redecode_eur_month']:.3f} | {row['read_back_eur_month']:.4f} "
                f"| {row['write_eur_month']:.3f} | {rest} | {uses} |"
            )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m shelf_assets_tests.bench.shard_formats", description=__doc__)
    parser.add_argument("--turns", type=int, default=5, help="turns, of which medians are told (%(default)s)")
    parser.add_argument("--out", type=Path, default=REPO_ROOT / "docs" / "benchmarks", help="folder of the results")
    asked = parser.parse_args()
    # Ended from outside, the server and the temporary folder go as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    result = run(asked.turns, lambda line: print(line, flush=True))
    asked.out.mkdir(parents=True, exist_ok=True)
    (asked.out / "shards.json").write_text(json.dumps(result, indent=1) + "\n")
    (asked.out / "shards.md").write_text(page(result))
    print(asked.out / "shards.md")


if __name__ == "__main__":
    main()
