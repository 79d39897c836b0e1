"""The record of first use: which sha256 each hub model had here, and what the registries said. A JSON file,
or nothing.

It pins weights that come from outside; packaged weights are pinned in the repository instead.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from shelf_assets.models.errors import ModelDigestMismatch
from shelf_assets.models.registry import Facts, facts_of, registry_key
from shelf_assets.models.spec import TaskName


class DigestRecord:
    """Remembers in `path`; with `path` None nothing is remembered and nothing can mismatch."""

    def __init__(self, path: Path | None) -> None:
        self.path = path

    def check(self, name: str, filename: str, sha256: str) -> None:
        """Record the digest of a model's file on first use; later raise ModelDigestMismatch where it differs."""
        if self.path is None:
            return
        known = self._read()
        recorded = known["weights"].setdefault(name, {}).setdefault(filename, sha256)
        if recorded != sha256:
            raise ModelDigestMismatch(
                name,
                recorded,
                sha256,
                f"If the new weights are wanted, remove {name!r} from {self.path}: their predictions get a "
                "digest of their own, beside the old. If not, fetch the old revision again.",
            )
        self._write(known)

    def facts(self, task: TaskName, name: str) -> Facts:
        """The registry's facts, from the record where this version of the library has been asked before."""
        key = registry_key(task, name)
        known = self._read()
        if key in known["registry"]:
            return Facts.from_json(known["registry"][key])
        facts = facts_of(task, name)
        if self.path is not None:
            known["registry"][key] = asdict(facts)
            self._write(known)
        return facts

    def _read(self) -> dict[str, dict[str, Any]]:
        known: dict[str, dict[str, Any]] = {"weights": {}, "registry": {}}
        if self.path is not None and self.path.exists():
            known |= json.loads(self.path.read_text())
        return known

    def _write(self, known: dict[str, dict[str, Any]]) -> None:
        assert self.path is not None  # callers return before
        text = json.dumps(known, indent=1, sort_keys=True)
        if self.path.exists() and self.path.read_text() == text:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # Replaced whole, so that a killed process leaves the old record and not half a new one.
        with tempfile.NamedTemporaryFile("w", dir=self.path.parent, delete=False) as file:
            file.write(text)
        Path(file.name).replace(self.path)
