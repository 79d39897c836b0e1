"""The measured photos: real ones where the shared data exists, else drawn ones; the bytes of each are unique."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

Kind = Literal["small", "large"]

REPO_ROOT = Path(__file__).resolve().parents[1]
SHARED_DATA = Path(os.environ.get("SHELF_TEST_DATA", REPO_ROOT.parent / "shared" / "data"))
DRAWN_SEED = 11
LARGE_SIZE_PX = (4032, 3024)


@dataclass(frozen=True)
class PhotoSet:
    """Named JPEG files. `source` describes their origin; `distinct` is the number of different pictures."""

    kind: Kind
    source: str
    files: list[tuple[str, bytes]]
    distinct: int

    def facts(self) -> dict[str, object]:
        sizes = [len(data) for _, data in self.files]
        megapixels = [_pixels(data) / 1e6 for _, data in self.files]
        return {
            "source": self.source,
            "photos": len(self.files),
            "distinct": self.distinct,
            "mean_bytes": round(sum(sizes) / len(sizes)),
            "mean_megapixels": round(sum(megapixels) / len(megapixels), 2),
        }


def photo_set(kind: Kind, count: int, drawn: bool = False) -> PhotoSet:
    """`count` photos of a kind; if there are fewer real ones, they repeat with another comment segment."""
    folder = SHARED_DATA / ("grocery/val" if kind == "small" else "phone-photos")
    paths = [] if drawn else sorted(folder.rglob("*.jpg"))
    if paths:
        # Evenly over the sorted files, so that a small set still has every kind of photo.
        chosen = [paths[i * len(paths) // min(count, len(paths))] for i in range(min(count, len(paths)))]
        originals = [path.read_bytes() for path in chosen]
        source = "grocery photos, 348 px" if kind == "small" else "phone photos, 8 to 16 megapixels"
    else:
        originals = list(_drawn(kind, count))
        source = f"drawn photos, {'348 px' if kind == 'small' else '12 megapixels'}"
    files = [
        (f"{number:05d}.jpg", with_comment(originals[number % len(originals)], f"copy {number}".encode()))
        for number in range(count)
    ]
    return PhotoSet(kind, source, files, min(count, len(originals)))


def with_comment(jpeg: bytes, comment: bytes) -> bytes:
    """Add a comment segment after the JPEG's application segments: other bytes, equal pixels."""
    position = 2
    while jpeg[position] == 0xFF and 0xE0 <= jpeg[position + 1] <= 0xEF:
        position += 2 + int.from_bytes(jpeg[position + 2 : position + 4], "big")
    segment = b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment
    return jpeg[:position] + segment + jpeg[position:]


def _drawn(kind: Kind, count: int) -> Iterator[bytes]:
    from tools.drawn_products.draw import draw_product
    from tools.drawn_products.products import PRODUCTS

    for number in range(count if kind == "small" else min(count, 4)):
        rng = np.random.default_rng([DRAWN_SEED, number])
        size_px = (960, 720) if number % 2 else (720, 960)
        picture = draw_product(PRODUCTS[number % len(PRODUCTS)], rng, size_px)
        yield _enlarged(picture, number) if kind == "large" else _jpeg(_fitted(picture), quality=90)


def _fitted(picture: Image.Image) -> Image.Image:
    scale = 348 / min(picture.size)
    return picture.resize((round(picture.width * scale), round(picture.height * scale)), Image.Resampling.LANCZOS)


def _enlarged(picture: Image.Image, seed: int) -> bytes:
    # With sensor noise the file is as large, and as expensive to decode, as a real phone photo.
    pixels = np.asarray(picture.resize(LARGE_SIZE_PX, Image.Resampling.BICUBIC), dtype=np.int16)
    noise = np.random.default_rng(seed).integers(-9, 10, size=pixels.shape, dtype=np.int16)
    return _jpeg(Image.fromarray((pixels + noise).clip(0, 255).astype(np.uint8)), quality=88)


def _jpeg(picture: Image.Image, quality: int) -> bytes:
    target = io.BytesIO()
    picture.save(target, "JPEG", quality=quality)
    return target.getvalue()


def _pixels(data: bytes) -> int:
    with Image.open(io.BytesIO(data)) as picture:
        return picture.width * picture.height
