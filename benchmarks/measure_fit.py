"""How should non-square photos become squares? A linear probe on groceries, cropped, padded and squashed: `--help`.

Nearly all of the grocery photos are square already, so that every fit gives them the same pixels and measuring on them as
they are says nothing. Two test sets do differ: windows of a phone's shape cut out of the square photos at random places
(the same windows for every fit; the probe is trained on such windows too), and the 143 training photos that still have
their 3:4, each classified by a probe that has not seen it.
"""

from __future__ import annotations

import argparse
import io
import math
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args, get_type_hints

import numpy as np
from PIL import Image

from shelf_assets.vision.preprocess import Geometry, to_tensor

FITS: tuple[str, ...] = get_args(get_type_hints(Geometry)["fit"])
SHAPES = {"3:4": (3, 4), "9:16": (9, 16)}
FOLDS = 5
# Chosen once, on folds of the training windows (crop, 3:4): 100, 300, 1,000 and 3,000 gave the same to a point.
RIDGE = 1_000.0
SEED = 7


@dataclass(frozen=True)
class Photo:
    """A labelled photo: its path, its class of 81 and its class of 43."""

    path: Path
    fine: int
    coarse: int


def photos_of(grocery: Path, split: str) -> list[Photo]:
    """The photos of `train` or `val` as the data set lists them."""
    lines = (grocery / f"{split}.txt").read_text().splitlines()
    fields = [line.split(", ") for line in lines if line]
    return [Photo(grocery / path, int(fine), int(coarse)) for path, fine, coarse in fields]


def window(photo: Photo, shape: tuple[int, int], rng: np.random.Generator) -> bytes:
    """A window of the given shape, upright or lying by chance, at a chance place; as PNG, so that nothing else is lost."""
    with Image.open(photo.path) as image:
        short, long = shape if rng.random() < 0.5 else shape[::-1]
        scale = min(image.width / short, image.height / long)
        width, height = int(short * scale), int(long * scale)
        left = int(rng.integers(image.width - width + 1))
        top = int(rng.integers(image.height - height + 1))
        file = io.BytesIO()
        image.crop((left, top, left + width, top + height)).save(file, "PNG", compress_level=1)
        return file.getvalue()


def features_by_fit(encoded: list[bytes], embed: Callable[[np.ndarray], np.ndarray]) -> dict[str, np.ndarray]:
    """float32 features, N × 1280, of the same photos under each fit."""
    return {
        fit: embed_all((to_tensor(data, Geometry(fit=fit)) for data in encoded), embed)  # type: ignore[arg-type]
        for fit in FITS
    }


def embed_all(tensors: Iterable[np.ndarray], embed: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    return np.concatenate([embed(np.stack(batch)) for batch in batches(tensors, 32)])


def batches(items: Iterable[np.ndarray], size: int) -> Iterator[list[np.ndarray]]:
    batch: list[np.ndarray] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def embedder(threads: int) -> Callable[[np.ndarray], np.ndarray]:
    """EfficientNet-Lite0's pooled features of a uint8 batch; the packaged weights, float32."""
    import torch

    from shelf_assets.models.classifier import load_classifier
    from shelf_assets.models.embedded import embedded_spec

    torch.set_num_threads(threads)
    classifier = load_classifier(embedded_spec("classifier", "fp32"), "cpu")

    def embed(batch: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            maps = classifier.model.forward_features(classifier.pixels(batch))
            return classifier.model.forward_head(maps, pre_logits=True).float().numpy()

    return embed


def probe(features: np.ndarray, labels: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Ridge regression to one-hot labels on standardised features; gives the most likely class."""
    mean, deviation = features.mean(axis=0), features.std(axis=0) + 1e-6
    inputs = (features - mean) / deviation
    targets = np.eye(labels.max() + 1, dtype=np.float32)[labels]
    prior = targets.mean(axis=0)
    gram = inputs.T @ inputs + RIDGE * np.eye(inputs.shape[1], dtype=np.float32)
    weights = np.linalg.solve(gram, inputs.T @ (targets - prior))
    return lambda others: (((others - mean) / deviation) @ weights + prior).argmax(axis=1)


def both_labels(photos: list[Photo]) -> dict[str, np.ndarray]:
    return {
        "43 coarse": np.array([photo.coarse for photo in photos]),
        "81 fine": np.array([photo.fine for photo in photos]),
    }


def on_windows(
    train: list[Photo], val: list[Photo], shape: tuple[int, int], draws: int, embed: Callable[[np.ndarray], np.ndarray]
) -> dict[tuple[str, str], np.ndarray]:
    """(fit, classes) to right or wrong for each window of the validation photos."""
    rng = np.random.default_rng(SEED)
    learned = features_by_fit([window(photo, shape, rng) for photo in train], embed)
    asked = [photo for photo in val for _ in range(draws)]
    given = features_by_fit([window(photo, shape, rng) for photo in asked], embed)
    truth, lessons = both_labels(asked), both_labels(train)
    return {
        (fit, classes): probe(learned[fit], lessons[classes])(given[fit]) == truth[classes]
        for fit in FITS
        for classes in truth
    }


def on_whole_photos(train: list[Photo], embed: Callable[[np.ndarray], np.ndarray]) -> dict[tuple[str, str], np.ndarray]:
    """(fit, classes) to right or wrong for each photo that is not square, by cross-validation over all of `train`."""
    encoded = [photo.path.read_bytes() for photo in train]
    is_square = np.array([_is_square(photo) for photo in train])
    squares = embed_all(
        (to_tensor(data, Geometry()) for data, square in zip(encoded, is_square, strict=True) if square), embed
    )
    others = features_by_fit([data for data, square in zip(encoded, is_square, strict=True) if not square], embed)
    fold_of = np.random.default_rng(SEED).permutation(len(train)) % FOLDS
    right = {}
    for fit in FITS:
        features = np.empty((len(train), squares.shape[1]), np.float32)
        features[is_square], features[~is_square] = squares, others[fit]
        for classes, labels in both_labels(train).items():
            hits = np.zeros(len(train), bool)
            for fold in range(FOLDS):
                held = (fold_of == fold) & ~is_square
                hits[held] = probe(features[fold_of != fold], labels[fold_of != fold])(features[held]) == labels[held]
            right[fit, classes] = hits[~is_square]
    return right


def _is_square(photo: Photo) -> bool:
    with Image.open(photo.path) as image:
        return image.width == image.height


def rows(name: str, right: dict[tuple[str, str], np.ndarray]) -> Iterator[str]:
    """Markdown rows: accuracy by fit, and how far the better of two is beyond chance (McNemar's z against crop)."""
    for classes in dict.fromkeys(classes for _, classes in right):
        cells = []
        for fit in FITS:
            hits, base = right[fit, classes], right["crop", classes]
            won, lost = int((hits & ~base).sum()), int((~hits & base).sum())
            z = (won - lost) / math.sqrt(max(1, won + lost))
            cells.append(f"{hits.mean():.3f}" + ("" if fit == "crop" else f" (z {z:+.1f})"))
        yield f"| {name} | {classes} | {len(hits):,} | " + " | ".join(cells) + " |"


def main() -> None:
    default_data = Path(__file__).resolve().parents[3] / "shared" / "data"
    parser = argparse.ArgumentParser(prog="python -m benchmarks.measure_fit", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--grocery",
        type=Path,
        default=Path(os.environ.get("SHELF_TEST_DATA", default_data)) / "grocery",
        help="the GroceryStoreDataset's folder (%(default)s)",
    )
    parser.add_argument("--train", type=int, default=None, help="photos to train on, about so many, taken evenly (all)")
    parser.add_argument("--draws", type=int, default=4, help="windows of each validation photo (%(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="torch's (%(default)s)")
    asked = parser.parse_args()
    train, val = photos_of(asked.grocery, "train"), photos_of(asked.grocery, "val")
    step = max(1, len(train) // (asked.train or len(train)))
    embed = embedder(asked.threads)
    print("| test photos | classes | n | " + " | ".join(FITS) + " |")
    print("|---|---|---|" + "---|" * len(FITS))
    for name, shape in SHAPES.items():
        for row in rows(f"{name} windows", on_windows(train[::step], val, shape, asked.draws, embed)):
            print(row, flush=True)
    thinned = [photo for number, photo in enumerate(train) if number % step == 0 or not _is_square(photo)]
    for row in rows("3:4 photos", on_whole_photos(thinned, embed)):
        print(row, flush=True)


if __name__ == "__main__":
    main()
