"""Training data of the packaged projection: frozen features of photos, and vectors of their names.

Features are cached as .npy in a working folder, with keys made from their inputs; they are not part of the project.
"""

from __future__ import annotations

import csv
import hashlib
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from shelf_assets.vision.digests import canonical_digest
from shelf_assets.vision.engine import decode_each
from shelf_assets.vision.preprocess import Geometry, Undecodable

if TYPE_CHECKING:
    from shelf_assets.models.classifier import Classifier
    from shelf_assets.models.embedder import Embedder

log = logging.getLogger(__name__)

# The name alone and in three usual sentences, so that the projection does not depend on one wording.
TEMPLATES = ("{}", "a photo of {}", "{} on a shop shelf", "fresh {} in a grocery store")
_BATCH = 32


@dataclass(frozen=True)
class Photos:
    """N photos as frozen features: `views` is V × N × 1280 (as taken, mirrored), `imagenet` N × 1000 probabilities.

    `fine` and `coarse` are class numbers of the photos; their names are in a Vocabulary.
    """

    views: np.ndarray
    imagenet: np.ndarray
    fine: np.ndarray
    coarse: np.ndarray


@dataclass(frozen=True)
class Vocabulary:
    """Class names of two levels as text vectors, templates × classes × 384; `coarse_of` maps fine to coarse classes."""

    fine_names: tuple[str, ...]
    coarse_names: tuple[str, ...]
    coarse_of: np.ndarray
    fine: np.ndarray
    coarse: np.ndarray


@dataclass(frozen=True)
class Source:
    """One collection of photos with its class names; photos of a source are compared with that source's names only."""

    train: Photos
    val: Photos
    words: Vocabulary


def grocery(folder: Path, towers: Towers) -> Source:
    """GroceryStoreDataset (Klasson et al., WACV 2019): 81 fine classes in 43 coarse ones, with the published splits."""
    with (folder / "classes.csv").open(newline="") as file:
        rows = list(csv.reader(file))[1:]
    coarse = dict(sorted((int(row[3]), _readable(row[2])) for row in rows))
    fine = [_readable(row[0]) for row in rows]
    coarse_of = np.array([int(row[3]) for row in rows])
    # "golden delicious" does not say that it is an apple, so the coarse name is added.
    full = [name if coarse[of] in name else f"{name} {coarse[of]}" for name, of in zip(fine, coarse_of, strict=True)]
    words = towers.vocabulary(full, list(coarse.values()), coarse_of)
    return Source(_split(folder, "train", towers), _split(folder, "val", towers), words)


def drawn(folder: Path, towers: Towers) -> Source:
    """Drawn products as `python -m tools.drawn_products.training_set` writes them: a fine and a coarse name for each."""
    with (folder / "classes.csv").open(newline="") as file:
        rows = list(csv.reader(file))[1:]
    words = towers.vocabulary([row[0].lower() for row in rows], [row[1].lower() for row in rows], np.arange(len(rows)))
    return Source(_split(folder, "train", towers), _split(folder, "val", towers), words)


def _split(folder: Path, split: str, towers: Towers) -> Photos:
    """The photos that `<split>.txt` lists, one a line: relative path, fine class, coarse class."""
    listed = [line.split(", ") for line in (folder / f"{split}.txt").read_text().splitlines()]
    paths = [folder / path for path, _, _ in listed]
    key = canonical_digest([hashlib.sha256(path.read_bytes()).hexdigest() for path in paths])
    views, imagenet = towers.features(key, len(paths), (path.read_bytes() for path in paths))
    labels = np.array([[int(fine_class), int(coarse_class)] for _, fine_class, coarse_class in listed])
    return Photos(views, imagenet, labels[:, 0], labels[:, 1])


class Towers:
    """The two frozen towers, with a folder in which their outputs are cached."""

    def __init__(self, classifier: Classifier, embedder: Embedder, cache: Path) -> None:
        self.classifier, self.embedder, self.cache = classifier, embedder, cache
        cache.mkdir(parents=True, exist_ok=True)

    def features(self, key: str, count: int, photos: Iterable[bytes]) -> tuple[np.ndarray, np.ndarray]:
        """Features (2 × N × 1280, fp32) and ImageNet probabilities (N × 1000) of photos, decoded as in production."""
        geometry = Geometry()
        key = canonical_digest([key, geometry.digest(), self.classifier.spec.model_digest])[:16]
        paths = [self.cache / f"{key}-{name}.npy" for name in ("views", "imagenet")]
        if not all(path.exists() for path in paths):
            views: list[list[np.ndarray]] = [[], []]
            imagenet = []
            for number, batch in enumerate(_batches(decode_each(photos, geometry))):
                log.info("features %d of %d", min(count, (number + 1) * _BATCH), count)
                seen, probabilities = self._features_of(batch)
                views[0].append(seen)
                views[1].append(self._features_of(batch[:, :, :, ::-1])[0])
                imagenet.append(probabilities)
            np.save(paths[0], np.stack([np.concatenate(view) for view in views]))
            np.save(paths[1], np.concatenate(imagenet))
        return np.load(paths[0]), np.load(paths[1])

    def _features_of(self, batch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        import torch

        model = self.classifier.model
        with torch.inference_mode():
            seen = model.forward_head(model.forward_features(self.classifier.pixels(batch)), pre_logits=True)
            return seen.float().numpy(), torch.softmax(model.get_classifier()(seen).float(), dim=1).numpy()

    def vocabulary(self, fine: Sequence[str], coarse: Sequence[str], coarse_of: np.ndarray) -> Vocabulary:
        """The vocabulary of two levels of names."""
        return Vocabulary(tuple(fine), tuple(coarse), coarse_of, self.text_vectors(fine), self.text_vectors(coarse))

    def imagenet_words(self) -> np.ndarray:
        """Vectors of ImageNet's class names: templates × 1000 × 384."""
        return self.text_vectors([name.lower() for name in self.classifier.names])

    def text_vectors(self, names: Sequence[str]) -> np.ndarray:
        """Unit vectors of names in every template: templates × names × 384."""
        path = self.cache / f"{canonical_digest([TEMPLATES, list(names), self.text_digest])[:16]}-words.npy"
        if not path.exists():
            np.save(
                path,
                np.stack(
                    [self.embedder.embed_texts([template.format(name) for name in names]) for template in TEMPLATES]
                ),
            )
        return np.load(path)

    @property
    def text_digest(self) -> str:
        """Digest of the text tower's weights."""
        return self.embedder.spec.file("text").sha256


def _batches(tensors: Iterable[np.ndarray | Undecodable]) -> Iterator[np.ndarray]:
    batch: list[np.ndarray] = []
    for tensor in tensors:
        if isinstance(tensor, Undecodable):
            raise tensor  # a training set is curated, so a broken file is a mistake
        batch.append(tensor)
        if len(batch) == _BATCH:
            yield np.stack(batch)
            batch = []
    if batch:
        yield np.stack(batch)


def _readable(name: str) -> str:
    return name.replace("-", " ").lower()
