"""What a tensor at rest costs, in which format and shard size, and when storing it pays against decoding again: `--help`.

The product's own shards are measured through the product; the other formats are written and read in memory, as small here
as they are with their libraries' own calls.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import polars as pl

from benchmarks.meters import Span, machine, timed
from benchmarks.photos import Kind, PhotoSet, photo_set
from benchmarks.place import DAY, Place, open_store
from benchmarks.shard_formats_page import page
from benchmarks.tensor_formats import FORMATS, SHAPE
from benchmarks.turns import command
from shelf_assets.lake.tensor_store import Tensor
from shelf_assets.vision.engine import batched
from shelf_assets.vision.preprocess import Geometry, to_tensor

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


if __name__ == "__main__":
    command("benchmarks.shard_formats", __doc__, "shards", run, page)
