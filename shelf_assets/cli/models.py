"""Verbs about models: `calibrate` makes their int8 versions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shelf_assets.cli import console
from shelf_assets.cli.day_options import parse_day


@console.readable_errors("calibrate")
def calibrate(
    day: Annotated[str, typer.Option(help="UTC day whose photos are typical, YYYY-MM-DD.")],
    photos: Annotated[
        int, typer.Option(min=48, help="Photos to calibrate on; a third as many more are used for the parity test.")
    ] = 192,
    labelled: Annotated[
        Path | None, typer.Option(help="Folder with one subfolder of photos per class, to measure accuracy.")
    ] = None,
) -> None:
    """Make int8 versions of the models from a day's photos, for SHELF_MODELS_PRECISION=int8; kept if they pass parity."""
    from shelf_assets.build import build_ingest, build_models, open_lake
    from shelf_assets.pipeline.calibrate import calibrate_day

    settings = console.prepared_settings()
    lake = open_lake(settings)
    ingest, models = build_ingest(settings, lake), build_models(settings, lake)
    done = calibrate_day(ingest, models, parse_day(day), photos, labelled, console.err.print)
    table = console.table("model", "proof", "cosine", "same top-1", "labelled", "fp32", "int8")
    for each in done:
        parity = each.parity
        same_top1 = "" if parity.top1_agreement is None else f"{parity.top1_agreement:.1%}"
        accuracies = ("", "", "")
        if each.accuracy_percent is not None and parity.accuracy_change_points is not None:
            int8_percent = each.accuracy_percent + parity.accuracy_change_points
            accuracies = (str(parity.labelled_photos), f"{each.accuracy_percent:.1f}%", f"{int8_percent:.1f}%")
        table.add_row(each.spec.model_id, str(parity.photos), f"{parity.cosine_mean:.4f}", same_top1, *accuracies)
    console.out.print(table)
    console.out.print(
        "used from now on with SHELF_MODELS_PRECISION=int8 and SHELF_MODELS_BACKEND=openvino; "
        "each has a digest of its own"
    )
