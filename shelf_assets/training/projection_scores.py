"""How good a projection is, told honestly: in its domain, on classes it never saw, as search, and beside
ConSE.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from shelf_assets.training.projection_data import Photos, Vocabulary

Project = Callable[[np.ndarray], np.ndarray]
# ConSE (Norouzi et al., ICLR 2014) mixes the vectors of the ten likeliest classes.
_CONSE_CLASSES = 10


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors (… × D) at unit length."""
    length: np.ndarray = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.maximum(length, 1e-12)


def spoken(vectors: np.ndarray) -> np.ndarray:
    """One unit vector for each name, from its templates: templates × names × D to names × D."""
    return unit(vectors.mean(axis=0))


def conse(imagenet: np.ndarray, imagenet_words: np.ndarray) -> np.ndarray:
    """The baseline that needs no training: class-name vectors weighted by the ten highest ImageNet
    probabilities.
    """
    words = spoken(imagenet_words)
    order = np.argsort(imagenet, axis=1)[:, -_CONSE_CLASSES:]
    weights = np.take_along_axis(imagenet, order, axis=1)
    return unit((weights[:, :, None] * words[order]).sum(axis=1))


def scores(pictures: np.ndarray, photos: Photos, words: Vocabulary) -> dict[str, float]:
    """Scores of N picture vectors against all names of both levels, and of all names as queries over the N
    photos.
    """
    fine, coarse = spoken(words.fine), spoken(words.coarse)
    return (
        _accuracy("fine", pictures @ fine.T, photos.fine)
        | _accuracy("coarse", pictures @ coarse.T, photos.coarse)
        | _search("fine", fine @ pictures.T, photos.fine)
        | _search("coarse", coarse @ pictures.T, photos.coarse)
    )


def held_out_scores(pictures: np.ndarray, photos: Photos, words: Vocabulary, held_out: np.ndarray) -> dict[str, float]:
    """Scores on the photos of held-out coarse classes: among these classes alone, and among all."""
    is_held = np.isin(photos.coarse, held_out)
    similar = pictures[is_held] @ spoken(words.coarse).T
    truth = photos.coarse[is_held]
    among = held_out[similar[:, held_out].argmax(axis=1)]
    found = _accuracy("all_classes", similar, truth)
    return {"top1": float((among == truth).mean()), "chance": 1 / len(held_out)} | found


def _accuracy(name: str, similar: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    best = np.argsort(-similar, axis=1)[:, :5]
    return {
        f"{name}_top1": float((best[:, 0] == truth).mean()),
        f"{name}_top5": float((best == truth[:, None]).any(axis=1).mean()),
    }


def _search(name: str, similar: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Each name as a query: is the first photo right, and the mean average precision over the names that have
    photos.
    """
    first, precisions = [], []
    for query, similarity in enumerate(similar):
        relevant = truth[np.argsort(-similarity)] == query
        if relevant.any():
            ranks = np.flatnonzero(relevant) + 1
            first.append(bool(relevant[0]))
            precisions.append(float((np.arange(1, len(ranks) + 1) / ranks).mean()))
    return {
        f"{name}_search_first": float(np.mean(first)),
        f"{name}_search_map": float(np.mean(precisions)),
    }
