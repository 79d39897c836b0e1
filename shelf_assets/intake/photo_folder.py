"""A folder of photos on this machine: list its files and read them one by one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class PhotoFolder:
    """Regular files below a folder, without hidden ones. Files in `too_large` are never read."""

    root: Path
    files: list[Path]
    too_large: list[Path]

    @property
    def notice(self) -> str:
        """A message that names the files which are too large; empty if there are none."""
        names = ", ".join(path.name for path in self.too_large[:5]) + (" …" if len(self.too_large) > 5 else "")
        return f"left out, larger than SHELF_PHOTOS_MAX_BYTES: {names}" if self.too_large else ""

    def read(self, first: int = 0, step: int = 1) -> Iterator[tuple[str, bytes]]:
        """(relative name, bytes) of every `step`th file from `first` on."""
        for path in self.files[first::step]:
            yield str(path.relative_to(self.root)), path.read_bytes()


def open_folder(folder: Path, max_bytes: int) -> PhotoFolder:
    """List a folder. Files above `max_bytes` are set apart, so that no large video is read into memory.

    Raises ValueError where there is no such folder.
    """
    root = folder.expanduser()
    if not root.is_dir():
        raise ValueError(f"{folder} is not a folder")
    opened = PhotoFolder(root, [], [])
    for path in sorted(root.rglob("*")):
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(root).parts):
            (opened.files if path.stat().st_size <= max_bytes else opened.too_large).append(path)
    return opened
