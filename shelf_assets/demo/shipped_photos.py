"""The drawn photos that come with the package, and how the demo deals them over its days."""

from __future__ import annotations

from importlib.resources import files


def shipped_photos() -> list[tuple[str, bytes]]:
    """(file name, bytes) of every shipped photo, defective files included, in the order of their names."""
    folder = files("shelf_assets.demo") / "photos"
    return sorted((each.name, each.read_bytes()) for each in folder.iterdir() if not each.name.endswith(".md"))


def shipped_photos_of(position: int, days: int) -> list[tuple[str, bytes]]:
    """The photos of the day at that position (0 is the first) of so many days: each photo belongs to one day."""
    return shipped_photos()[position::days]
