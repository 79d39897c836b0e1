"""Train, score and store the projection of the embedded embedder: `python -m shelf_assets.training.clip_projection --help`.

`projection_data` makes its training data, `projection_fit` fits it, and `projection_scores` scores it.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from shelf_assets.models.classifier import load_classifier
from shelf_assets.models.embedded import PACKAGED, PROJECTION, embedded_config, embedded_spec
from shelf_assets.models.embedder import load_embedder
from shelf_assets.models.spec import WeightsFile
from shelf_assets.training.projection_data import Source, Towers, drawn, grocery
from shelf_assets.training.projection_fit import Projection, Recipe, fit
from shelf_assets.training.projection_scores import conse, held_out_scores, scores
from shelf_assets.vision.digests import file_digest

if TYPE_CHECKING:
    from collections.abc import Sequence

log = logging.getLogger(__name__)

# A quarter of the coarse classes. Three draws, because the choice of 11 classes changes the score more than any parameter.
_HELD_OUT_CLASSES = 11
_HELD_OUT_DRAWS = 3
_BUILT_ON = (
    "the features of EfficientNet-Lite0 and the vectors of all-MiniLM-L6-v2 that it was fitted to: "
    "see embedded.json for their terms"
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit, score, and write clip_projection.safetensors and its card into the output folder."""
    options = _arguments(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    options.work.mkdir(parents=True, exist_ok=True)
    towers = _towers(options.work)
    recipe = Recipe(seed=options.seed)
    sources = [grocery(options.grocery, towers)]
    if options.drawn:
        sources.append(drawn(options.drawn, towers))
    words = towers.imagenet_words()
    projection = _store(fit(sources, words, recipe), options.out)
    card = {
        "sha256": file_digest(options.out / PROJECTION),
        "license": "Apache-2.0",
        "built_on": _BUILT_ON,
        "command": (
            "python -m shelf_assets.training.clip_projection --grocery GroceryStoreDataset "
            f"{'--drawn DrawnProducts ' if options.drawn else ''}--seed {options.seed}"
        ),
        "seed": options.seed,
        "recipe": asdict(recipe),
        "data": _data(sources),
        "scores": _scores(projection, sources, words, recipe),
    }
    (options.out / "clip_projection.json").write_text(json.dumps(card, indent=2) + "\n")
    log.info("%s", json.dumps(card["scores"], indent=2))


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="shelf_assets.training.clip_projection", description=__doc__)
    parser.add_argument("--grocery", type=Path, required=True, help="folder of GroceryStoreDataset")
    parser.add_argument("--out", type=Path, default=PACKAGED, help="where the projection and its card go")
    parser.add_argument("--work", type=Path, default=Path("build/clip_projection"), help="where features are kept")
    parser.add_argument("--drawn", type=Path, help="folder of drawn products (tools.drawn_products.training_set)")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(arguments)


def _towers(work: Path) -> Towers:
    """The frozen towers. The embedder gets an empty projection, because only its text tower is used."""
    config = embedded_config()["embedder"]["open_clip"]
    classifier = load_classifier(embedded_spec("classifier", "fp32"), device="cpu")
    empty = Projection(
        np.zeros((config["embed_dim"], classifier.model.num_features), np.float32),
        np.zeros(config["embed_dim"], np.float32),
    )
    _store(empty, work)
    path = work / PROJECTION
    file = WeightsFile("projection", PROJECTION, file_digest(path), path)
    embedder = load_embedder(embedded_spec("embedder", "fp32", projection=file), device="cpu")
    return Towers(classifier, embedder, work)


def _store(projection: Projection, folder: Path) -> Projection:
    """Write the projection in fp16 and return the written values, which are the ones to score."""
    from safetensors.numpy import load_file, save_file

    folder.mkdir(parents=True, exist_ok=True)
    halves = {"weight": projection.weight.astype(np.float16), "bias": projection.bias.astype(np.float16)}
    save_file(halves, folder / PROJECTION)
    # safetensors makes the file readable by its owner only, but a package is installed for all users.
    (folder / PROJECTION).chmod(0o644)
    stored = load_file(folder / PROJECTION)
    return Projection(stored["weight"].astype(np.float32), stored["bias"].astype(np.float32))


def _data(sources: Sequence[Source]) -> dict[str, dict[str, int]]:
    names = ("GroceryStoreDataset (MIT; Klasson et al., WACV 2019)", "drawn products of tools.drawn_products")
    return {
        name: {
            "train_photos": len(source.train.fine),
            "val_photos": len(source.val.fine),
            "fine_classes": len(source.words.fine_names),
            "coarse_classes": len(source.words.coarse_names),
        }
        for name, source in zip(names, sources, strict=False)
    }


def _scores(
    projection: Projection, sources: Sequence[Source], words: np.ndarray, recipe: Recipe
) -> dict[str, dict[str, float]]:
    val = sources[0].val
    found = {
        "grocery_val": scores(projection(val.views[0]), val, sources[0].words),
        "grocery_val_conse": scores(conse(val.imagenet, words), val, sources[0].words),
    }
    if len(sources) > 1:
        other = sources[1]
        found["drawn_val"] = scores(projection(other.val.views[0]), other.val, other.words)
        found["drawn_val_conse"] = scores(conse(other.val.imagenet, words), other.val, other.words)
    found |= _held_out(sources, words, recipe)
    return {name: {key: round(value, 3) for key, value in each.items()} for name, each in found.items()}


def _held_out(sources: Sequence[Source], words: np.ndarray, recipe: Recipe) -> dict[str, dict[str, float]]:
    """Fits without 11 coarse classes of grocery, scored on these; without drawn products, which share some names."""
    source = sources[0]
    fitted, baseline = [], []
    for draw in range(_HELD_OUT_DRAWS):
        rng = np.random.default_rng(draw)
        held_out = np.sort(rng.permutation(len(source.words.coarse_names))[:_HELD_OUT_CLASSES])
        blind = fit(sources[:1], words, recipe, held_out)
        fitted.append(held_out_scores(blind(source.val.views[0]), source.val, source.words, held_out))
        baseline.append(held_out_scores(conse(source.val.imagenet, words), source.val, source.words, held_out))
    return {"grocery_held_out": _mean(fitted), "grocery_held_out_conse": _mean(baseline)}


def _mean(draws: list[dict[str, float]]) -> dict[str, float]:
    return {key: float(np.mean([draw[key] for draw in draws])) for key in draws[0]}


if __name__ == "__main__":
    main()
