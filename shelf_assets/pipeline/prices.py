"""The hourly price of each stage: from the settings, else as the stage declares."""

from __future__ import annotations

from collections.abc import Mapping

from shelf_assets.registry import stages


def eur_per_hour(given: Mapping[str, float]) -> dict[str, float]:
    """Euros per hour of every stage, by its name; `given` are the settings' prices."""
    return {stage.name: given.get(stage.name, stage.eur_per_hour) for stage in stages()}
