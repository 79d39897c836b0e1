"""The stage `image_quality`: sharpness, brightness and contrast of each accepted photo, from its tensor, without a model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from shelf_assets.lake.schemas import Column, prediction_table
from shelf_assets.pipeline.stage import Answer, DayView, PredictionStage, StageCheck
from shelf_assets.vision.digests import canonical_digest

if TYPE_CHECKING:
    from shelf_assets.pipeline.models import PredictionModels

# Increment it with every change of the resulting numbers: it is part of the digest.
VERSION = 1
# ITU-R BT.601 in 256ths: eight bits of luminance by integers, the same on every machine.
RED_256THS, GREEN_256THS, BLUE_256THS = 77, 150, 29
# With sensors and JPEG, black and white are off by a level or two.
DARKEST, BRIGHTEST = 2, 253
# On 22 drawn photos: at least 154 if unchanged, a median of 37 if blurred by one pixel of the tensor, at most 21 by two.
BLURRED_BELOW = 60.0

IMAGE_QUALITY = prediction_table(
    "image_quality",
    "One row per accepted image and method: sharpness, brightness and contrast of its tensor.",
    {
        "laplacian_variance": Column(
            pl.Float32, "Variance of the luminance's Laplacian, 0 and more: low where blurred."
        ),
        "is_blurred": Column(pl.Boolean, f"Whether `laplacian_variance` is below {BLURRED_BELOW:g}."),
        "brightness_mean": Column(pl.Float32, "Mean luminance, 0 to 255."),
        "contrast_std": Column(pl.Float32, "Standard deviation of the luminance, 0 to 127.5."),
        "clipped_dark_share": Column(pl.Float32, f"Share of pixels with a luminance of at most {DARKEST}, 0 to 1."),
        "clipped_bright_share": Column(
            pl.Float32, f"Share of pixels with a luminance of at least {BRIGHTEST}, 0 to 1."
        ),
    },
)
_HIGHEST = {
    "laplacian_variance": 1_040_400.0,  # (4 × 255)², because the Laplacian lies in ±1,020
    "brightness_mean": 255.0,
    "contrast_std": 127.5,
    "clipped_dark_share": 1.0,
    "clipped_bright_share": 1.0,
}


@dataclass(frozen=True)
class Method:
    """The identity of the method in its rows."""

    model_id: str = f"image-quality-{VERSION}"
    model_digest: str = canonical_digest(
        {
            "method": "image-quality",
            "version": VERSION,
            "luminance": [RED_256THS, GREEN_256THS, BLUE_256THS],
            "clipped": [DARKEST, BRIGHTEST],
            "blurred_below": BLURRED_BELOW,
        }
    )
    backend: str = "numpy"
    precision: str = "fp32"


class _Scratch:
    """Arrays that are reused for photos of one size: new ones would cost as much as the arithmetic."""

    def __init__(self, height_px: int, width_px: int) -> None:
        inside = (height_px - 2, width_px - 2)
        self.luminance, self.part = (np.empty((height_px, width_px), np.uint16) for _ in range(2))
        self.laplacian = np.empty(inside, np.int16)
        self.floats, self.floats_inside = np.empty((height_px, width_px), np.float32), np.empty(inside, np.float32)


def measured(pixels: np.ndarray, scratch: _Scratch | None = None) -> tuple[float, bool, float, float, float, float]:
    """The table's own columns for one photo (uint8, 3 × H × W, RGB; at least 3 × 3 pixels), in order."""
    work = scratch or _Scratch(*pixels.shape[1:])
    red, green, blue = pixels
    luminance = np.multiply(red, np.uint16(RED_256THS), out=work.luminance)
    luminance += np.multiply(green, np.uint16(GREEN_256THS), out=work.part)
    luminance += np.multiply(blue, np.uint16(BLUE_256THS), out=work.part)
    luminance >>= np.uint16(8)
    signed = luminance.view(np.int16)
    laplacian = np.multiply(signed[1:-1, 1:-1], np.int16(4), out=work.laplacian)
    for neighbour in (signed[:-2, 1:-1], signed[2:, 1:-1], signed[1:-1, :-2], signed[1:-1, 2:]):
        laplacian -= neighbour
    _, sharpness = _mean_and_variance(laplacian, work.floats_inside)
    brightness, variance = _mean_and_variance(luminance, work.floats)
    dark, bright = (int(np.count_nonzero(clipped)) for clipped in (luminance <= DARKEST, luminance >= BRIGHTEST))
    clipped_shares = dark / luminance.size, bright / luminance.size
    return sharpness, sharpness < BLURRED_BELOW, brightness, variance**0.5, *clipped_shares


def _mean_and_variance(values: np.ndarray, floats: np.ndarray) -> tuple[float, float]:
    np.copyto(floats, values)
    mean = int(values.sum(dtype=np.int64)) / values.size
    floats -= np.float32(mean)
    np.multiply(floats, floats, out=floats)
    return mean, float(floats.sum()) / floats.size


@dataclass
class QualityPredictor:
    """Measures photos on the calling thread, 0.13 CPU-ms each at 224 px."""

    preprocess_digest: str
    asset: str = IMAGE_QUALITY.name
    spec: Method = field(default_factory=Method)
    device: str = "cpu"
    batch_images: int | None = None
    is_single_threaded: bool = True

    def submit(self, pixels: np.ndarray) -> Callable[[], pl.DataFrame]:
        scratch = _Scratch(*pixels.shape[2:])
        names = [name for name in IMAGE_QUALITY.columns if name in _HIGHEST or name == "is_blurred"]
        schema = {name: IMAGE_QUALITY.schema[name] for name in names}
        rows = pl.DataFrame([measured(photo, scratch) for photo in pixels], schema=schema, orient="row")
        return lambda: rows

    def close(self) -> None:
        """Nothing to close."""

    def facts(self) -> dict[str, object]:
        return {"device": self.device}


def predictor(models: PredictionModels) -> QualityPredictor:
    return QualityPredictor(canonical_digest({"geometry": models.geometry_digest}))


def _is_plausible(view: DayView) -> Answer:
    rows = view.rows(IMAGE_QUALITY.name).collect()
    # A Float32 may round a limit up; NaN is above every number in polars, so it is outside as well.
    inside = pl.all_horizontal(pl.col(name).is_between(0.0, highest * 1.0001) for name, highest in _HIGHEST.items())
    odd = rows.filter(~inside)
    named = ", ".join(odd["image_id"].head(5))
    return Answer(odd.is_empty(), f"{odd.height} rows outside the possible range: {named}" if odd.height else "")


# A day is compared with days of the month before it that have enough photos for a meaningful median.
_DAYS_BEFORE, _LEAST_DAYS, _LEAST_PHOTOS = 28, 7, 20
_BRIGHTNESS_LEVELS, _BLURRED_SHARE = 40.0, 0.25


def _is_like_the_days_before(view: DayView) -> Answer:
    month = view.lake.table(IMAGE_QUALITY.name).scan(view.day - timedelta(days=_DAYS_BEFORE), view.day)
    by_day = (
        month.filter(pl.col("model_digest") == Method().model_digest)
        .group_by("day")
        .agg(photos=pl.len(), brightness=pl.col("brightness_mean").median(), blurred=pl.col("is_blurred").mean())
        .filter(pl.col("photos") >= _LEAST_PHOTOS)
        .collect()
    )
    today, before = by_day.filter(day=view.day), by_day.filter(pl.col("day") != view.day)
    if today.is_empty() or before.height < _LEAST_DAYS:
        return Answer(True, metadata={"days_compared": before.height})
    brightness, blurred = today["brightness"].item(), today["blurred"].item()
    usual_brightness, usual_blurred = before.select(pl.col("brightness", "blurred").median()).row(0)
    return Answer(
        abs(brightness - usual_brightness) <= _BRIGHTNESS_LEVELS and abs(blurred - usual_blurred) <= _BLURRED_SHARE,
        f"median brightness {brightness:.0f} (usually {usual_brightness:.0f}), "
        f"{blurred:.0%} blurred (usually {usual_blurred:.0%})",
        {"days_compared": before.height, "median_brightness": brightness, "blurred_share": blurred},
    )


STAGE = PredictionStage(
    name="image_quality",
    table=IMAGE_QUALITY,
    predictor=predictor,
    uses_models=False,
    assumed_images_per_second=5_000.0,
    status_column="rated",
    checks=(
        StageCheck("quality_is_plausible", "Every number is finite and possible.", _is_plausible, is_blocking=True),
        StageCheck(
            "quality_is_like_the_days_before",
            f"Median brightness within {_BRIGHTNESS_LEVELS:.0f} levels and share of blurred photos within "
            f"{_BLURRED_SHARE:.0%} of the month before.",
            _is_like_the_days_before,
            is_blocking=False,
        ),
    ),
)
