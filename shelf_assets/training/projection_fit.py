"""Fit the projection: one linear layer from the image tower's features into the text tower's space.

Ridge regression onto the vectors of the names gives the initial weights; contrastive training improves them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from shelf_assets.training.projection_data import Source
from shelf_assets.training.projection_scores import name_vectors, unit

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Recipe:
    """Hyperparameters, chosen on grocery's validation photos and held-out classes; docs/models.md has the scores."""

    ridge: float = 1000.0
    steps: int = 300
    batch: int = 256
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    temperature: float = 20.0
    imagenet_weight: float = 1.0
    search_weight: float = 1.0
    seed: int = 0


@dataclass(frozen=True)
class Projection:
    """The fitted layer: `weight` 384 × 1280 and `bias` 384, float32."""

    weight: np.ndarray
    bias: np.ndarray

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Unit vectors (N × 384) of features (N × 1280)."""
        return unit(features @ self.weight.T + self.bias)


def fit(
    sources: Sequence[Source], imagenet_words: np.ndarray, recipe: Recipe, held_out: np.ndarray | None = None
) -> Projection:
    """Fit on the training photos of all sources, without photos and names of the first source's `held_out` coarse classes."""
    sets = [
        _Set.of(source, held_out if place == 0 and held_out is not None else np.array([], int))
        for place, source in enumerate(sources)
    ]
    features = np.concatenate([each.views.reshape(-1, each.views.shape[-1]) for each in sets])
    mean, scale = features.mean(axis=0), features.std(axis=0) + 0.05
    targets = np.concatenate([each.targets(imagenet_words) for each in sets])
    start = _ridge((features - mean) / scale, targets, recipe.ridge)
    weight, bias = _sharpen(start, sets, imagenet_words, mean, scale, recipe)
    weight = weight / scale
    return Projection(weight.astype(np.float32), (bias - weight @ mean).astype(np.float32))


@dataclass(frozen=True)
class _Set:
    """Photos and names of one source without the held-out classes; classes are renumbered."""

    views: np.ndarray
    imagenet: np.ndarray
    fine: np.ndarray
    coarse: np.ndarray
    fine_words: np.ndarray
    coarse_words: np.ndarray

    @classmethod
    def of(cls, source: Source, held_out: np.ndarray) -> _Set:
        photos, words = source.train, source.words
        seen_coarse = np.setdiff1d(np.arange(len(words.coarse_names)), held_out)
        seen_fine = np.flatnonzero(~np.isin(words.coarse_of, held_out))
        kept = ~np.isin(photos.coarse, held_out)
        return cls(
            photos.views[:, kept],
            photos.imagenet[kept],
            np.searchsorted(seen_fine, photos.fine[kept]),
            np.searchsorted(seen_coarse, photos.coarse[kept]),
            words.fine[:, seen_fine],
            words.coarse[:, seen_coarse],
        )

    def targets(self, imagenet_words: np.ndarray) -> np.ndarray:
        """Target vector of each view: the mean of its two names and of its ImageNet classes."""
        named = name_vectors(self.fine_words)[self.fine] + name_vectors(self.coarse_words)[self.coarse]
        target = unit(named + unit(self.imagenet @ name_vectors(imagenet_words)))
        return np.tile(target, (len(self.views), 1))


def _ridge(features: np.ndarray, targets: np.ndarray, strength: float) -> tuple[np.ndarray, np.ndarray]:
    """Ridge regression with an unpenalised bias: weight and bias of a layer whose outputs have a mean length of 1."""
    middle = targets.mean(axis=0)
    gram = features.T @ features + strength * np.eye(features.shape[1], dtype=features.dtype)
    # Features are centred, so the bias is the mean of the targets.
    weight = np.linalg.solve(gram, features.T @ (targets - middle)).T
    length = np.linalg.norm(features @ weight.T + middle, axis=1).mean()
    return weight / length, middle / length


def _sharpen(
    start: tuple[np.ndarray, np.ndarray],
    sets: Sequence[_Set],
    imagenet_words: np.ndarray,
    mean: np.ndarray,
    scale: np.ndarray,
    recipe: Recipe,
) -> tuple[np.ndarray, np.ndarray]:
    import torch

    rng = np.random.default_rng(recipe.seed)
    layer = torch.nn.Linear(start[0].shape[1], start[0].shape[0])
    layer.load_state_dict({"weight": torch.tensor(start[0]), "bias": torch.tensor(start[1])})
    optimizer = torch.optim.AdamW(layer.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.learning_rate, total_steps=recipe.steps, pct_start=0.1
    )
    share = np.array([len(each.fine) for each in sets], float)
    for step in range(recipe.steps):
        each = sets[rng.choice(len(sets), p=share / share.sum())]
        chosen = rng.integers(len(each.fine), size=recipe.batch)
        view = rng.integers(len(each.views), size=recipe.batch)
        features = torch.tensor((each.views[view, chosen] - mean) / scale, dtype=torch.float32)
        vectors = torch.nn.functional.normalize(layer(features), dim=1)
        loss = _loss(vectors, each, chosen, imagenet_words, step, recipe)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return layer.weight.detach().numpy(), layer.bias.detach().numpy()


def _loss(
    vectors: torch.Tensor, each: _Set, chosen: np.ndarray, imagenet_words: np.ndarray, step: int, recipe: Recipe
) -> torch.Tensor:
    """Cross-entropy of names given photos, of photos given names, and with ImageNet's soft labels."""
    import torch

    functional = torch.nn.functional
    template = step % len(each.fine_words)
    soft = torch.tensor(each.imagenet[chosen])
    logits = recipe.temperature * vectors @ torch.tensor(imagenet_words[template]).T
    loss = -recipe.imagenet_weight * (soft * functional.log_softmax(logits, dim=1)).sum(dim=1).mean()
    levels = ((each.fine_words, each.fine), (each.coarse_words, each.coarse))
    for words, classes in levels:
        truth = torch.tensor(classes[chosen])
        logits = recipe.temperature * vectors @ torch.tensor(words[template]).T
        loss = loss + functional.cross_entropy(logits, truth)
        present = truth.unique()
        right = (truth[None] == present[:, None]).float()
        found = functional.log_softmax(logits.T[present], dim=1)
        loss = loss - recipe.search_weight * ((right * found).sum(dim=1) / right.sum(dim=1)).mean()
    return loss
