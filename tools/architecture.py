"""Write the architecture from the code: docs/pictures/architecture.svg and the table of rooms in docs/architecture.md.

`python -m tools.architecture`. Stages, tables and rooms come from the package; what a newcomer reads beside them is here.
"""

from __future__ import annotations

from pathlib import Path

from shelf_assets.registry import STAGE_NAMES, prediction_stages, tables
from tools.rooms import imported_rooms, purpose_of, rooms
from tools.svg import Box, Drawing

DOCS = Path(__file__).resolve().parents[1] / "docs"
PICTURE = DOCS / "pictures" / "architecture.svg"
PAGE = DOCS / "architecture.md"
TABLE_STARTS, TABLE_ENDS = "<!-- table of rooms, by make docs -->\n", "<!-- end of the table -->"


def main() -> None:
    PICTURE.write_text(picture(), encoding="utf-8")
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


def page(text: str) -> str:
    """The page with its table of rooms replaced by the one of the code."""
    before, _, rest = text.partition(TABLE_STARTS)
    _, _, after = rest.partition(TABLE_ENDS)
    imported = imported_rooms()
    rows = [f"| `{room}/` | {purpose_of(room)} | {', '.join(imported[room]) or '-'} |" for room in rooms()]
    table = ["| room | what belongs in it | imports |", "|---|---|---|", *rows]
    return before + TABLE_STARTS + "\n".join(table) + "\n" + TABLE_ENDS + after


def picture() -> str:
    """The way of a photo from an app to a dashboard, with the rooms that own each step, as SVG."""
    validation, tensors = STAGE_NAMES[:2]
    drawing = Drawing(1080, 660, "How photos become tables and dashboards")

    apps = Box(30, 30, 200, 110, "Shoppers' apps", ("photos over HTTP,", "upload forms for S3"), "outside")
    api = Box(
        290,
        30,
        240,
        110,
        "Upload API",
        ("validates each photo,", "stores its pixels alone"),
        "code",
        "intake http photos",
    )
    objects = Box(590, 30, 220, 110, "Object store", ("images/YYYY/MM/DD/", "folder or S3 bucket"), "store", "lake")
    folder = Box(870, 30, 180, 110, "Your photos", ("shelf land FOLDER",), "outside", "cli")

    drawing.frame(14, 186, 1052, 288, "Every UTC day is a partition; Dagster runs its stages", "defs")
    raw_lines = ("accepted, duplicate,", "or rejected with", "a reason")
    raw = Box(30, 244, 200, 130, validation, raw_lines, "code", "pipeline photos")
    cut_lines = ("3 × 224 × 224 pixels", "of each accepted photo,", "decoded once")
    cut = Box(290, 244, 200, 130, tensors, cut_lines, "code", "pipeline vision")
    predictions = _prediction_boxes(left_px=550, top_px=228, width_px=220, height_px=234)
    mart_lines = ("labels, intake, quality", "and cost of each day,", "by dbt")
    marts = Box(840, 244, 200, 130, "marts", mart_lines, "code", "bi dbt_bi")

    shards = Box(290, 530, 200, 100, "Tensor shards", ("Arrow, kept for days",), "store", "lake")
    delta_lines = (f"{len(tables())} tables: photos,", "predictions, costs")
    delta = Box(550, 530, 220, 100, "Delta tables", delta_lines, "store", "lake")
    file = Box(840, 530, 200, 100, "Marts in DuckDB", ("Tableau, SQL, notebooks",), "store")

    for box in (apps, api, objects, folder, raw, cut, *predictions, marts, shards, delta, file):
        drawing.box(box)
    for start, end in ((apps, api), (api, objects), (raw, cut)):
        drawing.arrow(start.right, end.left)
    drawing.arrow(folder.left, objects.right)
    drawing.arrow(objects.bottom, (objects.bottom[0], 164), (raw.top[0], 164), raw.top)
    for box in predictions:
        drawing.arrow(cut.right, (520, cut.right[1]), (520, box.left[1]), box.left)
    for box in predictions:
        drawing.arrow(box.right, (805, box.right[1]), (805, marts.left[1]), marts.left)
    drawing.arrow(cut.bottom, shards.top)
    drawing.arrow(predictions[-1].bottom, delta.top)
    drawing.arrow(marts.bottom, file.top)
    notes = ("Blue: the rooms of shelf_assets/", "that do the work. Beside these:", "cli/, observe/, demo/, training/")
    drawing.note(30, 562, notes)
    return drawing.svg()


def _prediction_boxes(*, left_px: float, top_px: float, width_px: float, height_px: float) -> list[Box]:
    """One box for each stage that makes rows from pixels, below each other."""
    stages = prediction_stages()
    each_px = height_px / len(stages)
    return [
        Box(
            left_px,
            top_px + index * each_px,
            width_px,
            each_px - 12,
            stage.name,
            (),
            "code",
            "pipeline models" if stage.uses_models else "pipeline",
        )
        for index, stage in enumerate(stages)
    ]


if __name__ == "__main__":
    main()
