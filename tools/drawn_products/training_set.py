"""Draw the photos on which the embedded projection is trained: `python -m tools.drawn_products.training_set --out FOLDER`.

The folder is laid out like GroceryStoreDataset: `classes.csv` (a product's name and its plainest word), `train.txt` and
`val.txt` (path, fine class, coarse class). `val` has a quarter as many photos and is drawn with the next seed.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np

from tools.drawn_products.draw import draw_product
from tools.drawn_products.products import PRODUCTS


def write_training_set(out: Path, per_product: int, seed: int, side_px: int = 320) -> None:
    """Write `per_product` training photos of every product, as square PNG, with their lists."""
    out.mkdir(parents=True, exist_ok=True)
    with (out / "classes.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["product", "word"])
        rows.writerows([product.name, product.words[0]] for product in PRODUCTS)
    _write_split(out, "train", per_product, seed, side_px)
    _write_split(out, "val", max(1, per_product // 4), seed + 1, side_px)


def _write_split(out: Path, split: str, per_product: int, seed: int, side_px: int) -> None:
    (out / split).mkdir(exist_ok=True)
    rng = np.random.default_rng(seed)
    lines = []
    for number in range(per_product):
        for place, product in enumerate(PRODUCTS):
            path = f"{split}/{number * len(PRODUCTS) + place:05d}.png"
            draw_product(product, rng, (side_px, side_px)).save(out / path, "PNG")
            lines.append(f"{path}, {place}, {place}\n")
    (out / f"{split}.txt").write_text("".join(lines))


def main() -> None:
    """Read the arguments and write the folder."""
    parser = argparse.ArgumentParser(prog="python -m tools.drawn_products.training_set", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the photos and lists")
    parser.add_argument("--per-product", type=int, default=24, help="training photos of each product")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    write_training_set(options.out, options.per_product, options.seed)


if __name__ == "__main__":
    main()
