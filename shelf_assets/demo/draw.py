"""A day of drawn photos as files: products, formats, times, copies, broken ones. Painting does not belong here."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

import numpy as np
from PIL import Image

from shelf_assets.demo.camera import Shot, any_shot, take
from shelf_assets.demo.defects import DEFECTS, broken_file
from shelf_assets.demo.produce import PRODUCE
from shelf_assets.demo.products import PRODUCTS, Product
from shelf_assets.demo.scene import any_scene

# Scenes are painted at most this long and stretched by the camera: a phone's pictures are no sharper than that.
_SCENE_PX = 820
_ORIENTATION_TAG, _MODEL_TAG, _TIME_TAG = 0x0112, 0x0110, 0x0132
# How stored pixels lie when the EXIF orientation says n (EXIF 2.32, tag 0x0112): the way back from upright.
_AS_STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@dataclass(frozen=True)
class DrawnPhoto:
    """One file as a shopper's phone sends it.

    name is unique among all days of a seed. product is None for broken files, defect None for good ones.
    copy_of is the name of the photo whose bytes these are, copy_of_day the day on which that one arrives.
    """

    name: str
    data: bytes
    product: Product | None
    defect: str | None
    received_at: datetime
    copy_of: str | None = None
    copy_of_day: date | None = None


@dataclass(frozen=True)
class _Slot:
    """One place in the day's arrivals. original counts the day's own good photos; copy_from is (day, original)."""

    name_stem: str
    received_at: datetime
    original: int | None = None
    copy_from: tuple[date, int] | None = None
    defect: str | None = None


@dataclass(frozen=True)
class _File:
    data: bytes
    ending: str
    product: Product


def draw_product(
    product: Product, rng: np.random.Generator, size: tuple[int, int], shot: Shot | None = None
) -> Image.Image:
    """One photo of the product, RGB of size (width_px, height_px): any place, any light, unless a shot is given."""
    width_px, height_px = size
    share = min(1.0, _SCENE_PX / max(size))
    scene = any_scene(product, max(32, round(width_px * share)), max(32, round(height_px * share)), rng)
    return take(scene, any_shot(rng) if shot is None else shot, size, rng)


def encode(
    picture: Image.Image, file_format: str, quality: int, orientation: int = 1, taken_at: datetime | None = None
) -> bytes:
    """The upright picture as "JPEG", "PNG" or "WEBP" bytes, its pixels stored as the EXIF orientation (1-8) says."""
    stored = picture.transpose(_AS_STORED[orientation]) if orientation in _AS_STORED else picture
    exif = Image.Exif()
    if orientation != 1 or taken_at is not None:
        exif[_ORIENTATION_TAG] = orientation
        exif[_MODEL_TAG] = "Drawn Phone 1"
    if taken_at is not None:
        exif[_TIME_TAG] = taken_at.strftime("%Y:%m:%d %H:%M:%S")
    buffer = io.BytesIO()
    if file_format == "PNG":
        stored.save(buffer, "PNG", compress_level=1, exif=exif)
    elif file_format == "WEBP":
        stored.save(buffer, "WEBP", quality=quality, method=0, exif=exif)
    else:
        stored.save(buffer, "JPEG", quality=quality, progressive=quality > 92, exif=exif)
    return buffer.getvalue()


def draw_day(seed: int, day: date, photos: int = 48) -> Iterator[DrawnPhoto]:
    """The day's photos in the order in which they arrive; the same arguments give the same bytes.

    Of 48, two are byte-for-byte copies of earlier ones of the day, two are copies of photos of the day before (drawn
    with the same seed and number; on the first day that anyone draws these are simply two more photos), and six are
    broken. Fewer photos have fewer of each; from eight on there is at least one of each.
    """
    slots = _plan(seed, day, photos)
    originals_to_copy = {slot.copy_from[1] for slot in slots if slot.copy_from and slot.copy_from[0] == day}
    stems = {slot.original: slot.name_stem for slot in slots if slot.original is not None}
    kept: dict[int, _File] = {}
    for place, slot in enumerate(slots):
        if slot.defect is not None:
            rng = np.random.default_rng([seed, day.toordinal(), 3, place])
            picture = (
                draw_product(PRODUCTS[int(rng.integers(len(PRODUCTS)))], rng, (480, 360))
                if slot.defect in ("truncated", "unsupported_format")
                else Image.new("RGB", (1, 1))
            )
            data, ending = broken_file(slot.defect, picture, rng)
            yield DrawnPhoto(f"{slot.name_stem}.{ending}", data, None, slot.defect, slot.received_at)
        elif slot.original is not None:
            file = _draw_original(seed, day, slot.original)
            if slot.original in originals_to_copy:
                kept[slot.original] = file
            yield DrawnPhoto(f"{slot.name_stem}.{file.ending}", file.data, file.product, None, slot.received_at)
        elif slot.copy_from is not None:
            from_day, original = slot.copy_from
            if from_day == day:
                file, stem = kept[original], stems[original]
            else:
                file = _draw_original(seed, from_day, original)
                stem = next(s.name_stem for s in _plan(seed, from_day, photos) if s.original == original)
            name, copied = f"{slot.name_stem}.{file.ending}", f"{stem}.{file.ending}"
            yield DrawnPhoto(name, file.data, file.product, None, slot.received_at, copied, from_day)


def _plan(seed: int, day: date, photos: int) -> list[_Slot]:
    """Who arrives when: cheap, so that a copy can look up the names of the day before."""
    if photos < 0:
        raise ValueError(f"a day has 0 or more photos, not {photos}")
    if seed < 0:
        raise ValueError(f"a seed is 0 or more, not {seed}")
    rng = np.random.default_rng([seed, day.toordinal(), 1])
    least = 1 if photos >= 8 else 0
    broken, same_day, earlier = max(least, round(photos / 8)), max(least, photos // 20), max(least, photos // 24)
    originals = photos - broken - same_day - earlier
    first_defect = int(rng.integers(len(DEFECTS)))
    arrivals: list[tuple[int | None, tuple[date, int] | None, str | None]] = []
    arrivals += [(k, None, None) for k in range(originals)]
    arrivals += [(None, None, DEFECTS[(first_defect + k) % len(DEFECTS)]) for k in range(broken)]
    copied = [int(k) for k in rng.permutation(max(1, originals))]
    arrivals += [(None, (day - timedelta(days=1), k), None) for k in copied[:earlier]]
    arrivals = [arrivals[int(k)] for k in rng.permutation(len(arrivals))]
    for k in copied[earlier : earlier + same_day]:
        at = next(place for place, (original, _, _) in enumerate(arrivals) if original == k)
        arrivals.insert(int(rng.integers(at + 1, len(arrivals) + 1)), (None, (day, k), None))
    # Shoppers upload between early morning and midnight, most of them in the afternoon.
    seconds = np.sort(rng.beta(3.2, 2.6, photos) * (86_399 - 18_000) + 18_000)
    midnight = datetime.combine(day, time(), UTC)
    slots = []
    for place, (original, copy_from, defect) in enumerate(arrivals):
        received_at = midnight + timedelta(seconds=round(float(seconds[place]), 3))
        slots.append(_Slot(f"IMG_{received_at:%Y%m%d_%H%M%S}_{place:03d}", received_at, original, copy_from, defect))
    return slots


def _draw_original(seed: int, day: date, original: int) -> _File:
    """One good photo of a day; it depends on nothing but its number, so it can be drawn again another day."""
    # Loose produce is in the deck twice: people photograph it most.
    deck = [*PRODUCTS, *(p for p in PRODUCTS if p.look.shape in PRODUCE)]
    order = np.random.default_rng([seed, day.toordinal(), 0]).permutation(len(deck))
    product = deck[int(order[original % len(deck)])]
    rng = np.random.default_rng([seed, day.toordinal(), 2, original])
    # A few in every day, and small ones: both take many times as long to write as a JPEG.
    file_format = "PNG" if original % 19 == 5 else "WEBP" if original % 13 == 7 else "JPEG"
    longest = int(500 + 1100 * rng.beta(1.3, 2.0)) if file_format == "JPEG" else int(rng.integers(500, 720))
    shortest = round(longest * (0.75, 0.75, 0.667, 1.0, 0.5625)[int(rng.integers(5))])
    size = (longest, shortest) if rng.random() < 0.45 else (shortest, longest)
    picture = draw_product(product, rng, size)
    turned = file_format == "JPEG" and rng.random() < 0.3
    orientation = int(rng.choice([6, 6, 6, 8, 8, 3, 2, 4, 5, 7])) if turned else 1
    taken_at = datetime.combine(day, time(12), UTC) if rng.random() < 0.5 else None
    quality = int(rng.choice([95, 90, 85, 80, 70, 55, 40]))
    return _File(
        encode(picture, file_format, quality, orientation, taken_at),
        {"JPEG": "jpg"}.get(file_format, file_format.lower()),
        product,
    )
