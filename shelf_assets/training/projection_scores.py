"""Scores of a projection: accuracy, unseen classes, and search, each next to the ConSE baseline."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from shelf_assets.training.projection_data import Photos, Vocabulary

Project = Callable[[np.ndarray], np.ndarray]
# ConSE (Norouzi et al., ICLR 2014) averages the vectors of the ten most likely classes.
_CONSE_CLASSES = 10


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors (… × D) scaled to unit length."""
    length: np.ndarray = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.maximum(length, 1e-12)


def name_vectors(vectors: np.ndarray) -> np.ndarray:
    """One unit vector for each name, from its templates: templates × names × D to names × D."""
    return unit(vectors.mean(axis=0))


def conse(imagenet: np.ndarray, imagenet_words: np.ndarray) -> np.ndarray:
    """Baseline without training: class-name vectors weighted by the ten highest ImageNet probabilities."""
    words = name_vectors(imagenet_words)
    order = np.argsort(imagenet, axis=1)[:, -_CONSE_CLASSES:]
    weights = np.take_along_axis(imagenet, order, axis=1)
    return unit((weights[:, :, None] * words[order]).sum(axis=1))


def scores(pictures: np.ndarray, photos: Photos, words: Vocabulary) -> dict[str, float]:
    """Scores of N picture vectors against all names of both levels, and of all names as queries for the N photos."""
    fine, coarse = name_vectors(words.fine), name_vectors(words.coarse)
    return (
        _accuracy("fine", pictures @ fine.T, photos.fine)
        | _accuracy("coarse", pictures @ coarse.T, photos.coarse)
        | _search("fine", fine @ pictures.T, photos.fine)
        | _search("coarse", coarse @ pictures.T, photos.coarse)
    )


def held_out_scores(pictures: np.ndarray, photos: Photos, words: Vocabulary, held_out: np.ndarray) -> dict[str, float]:
    """Scores on photos of held-out coarse classes: among these classes only, and among all."""
    is_held = np.isin(photos.coarse, held_out)
    similar = pictures[is_held] @ name_vectors(words.coarse).T
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
    """Names as queries: share whose first photo is right, and mean average precision over names that have photos."""
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
