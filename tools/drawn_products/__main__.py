"""Draw a set of photos into a folder: `python -m tools.drawn_products --out FOLDER --photos 50 --seed 7`."""

from __future__ import annotations

import argparse
from pathlib import Path

from tools.drawn_products.photo_set import LEAST_PHOTOS, draw_photo, plan_photos


def main() -> None:
    """Write each photo under its name; files of the folder that are not in the set are left alone."""
    parser = argparse.ArgumentParser(prog="python -m tools.drawn_products", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the photos; made where it is missing")
    parser.add_argument("--photos", type=int, default=50, help=f"how many, {LEAST_PHOTOS} or more")
    parser.add_argument("--seed", type=int, default=7, help="equal seeds give equal files")
    options = parser.parse_args()
    plans = plan_photos(options.seed, options.photos)
    options.out.mkdir(parents=True, exist_ok=True)
    for plan in plans:
        (options.out / plan.name).write_bytes(draw_photo(plan))


if __name__ == "__main__":
    main()
