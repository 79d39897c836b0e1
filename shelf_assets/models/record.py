"""The digest record: sha256 of each hub model on first use, and the registries' answers, in a JSON file.

It pins weights that come from the hub; packaged weights are pinned in the repository.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from shelf_assets.models.errors import ModelDigestMismatch
from shelf_assets.models.registry import RegisteredModel, registered_model, registry_key
from shelf_assets.models.spec import TaskName


class DigestRecord:
    """The record in `path`; None records nothing, and nothing can mismatch."""

    def __init__(self, path: Path | None) -> None:
        self.path = path

    def check(self, name: str, filename: str, sha256: str) -> None:
        """Record the digest of a model's file on first use. Raises ModelDigestMismatch if a later one differs."""
        if self.path is None:
            return
        known = self._read()
        recorded = known["weights"].setdefault(name, {}).setdefault(filename, sha256)
        if recorded != sha256:
            raise ModelDigestMismatch(
                name,
                recorded,
                sha256,
                f"If the new weights are intended, remove {name!r} from {self.path}: their predictions get a digest of their own "
                "and are kept next to the old ones. If not, fetch the old revision again.",
            )
        self._write(known)

    def registered(self, task: TaskName, name: str) -> RegisteredModel:
        """The registry's entry of a model; from the record if this version of the library was asked before."""
        key = registry_key(task, name)
        known = self._read()
        if key in known["registry"]:
            return RegisteredModel.from_json(known["registry"][key])
        model = registered_model(task, name)
        if self.path is not None:
            known["registry"][key] = asdict(model)
            self._write(known)
        return model

    def _read(self) -> dict[str, dict[str, Any]]:
        known: dict[str, dict[str, Any]] = {"weights": {}, "registry": {}}
        if self.path is not None and self.path.exists():
            known |= json.loads(self.path.read_text())
        return known

    def _write(self, known: dict[str, dict[str, Any]]) -> None:
        assert self.path is not None  # callers check it
        text = json.dumps(known, indent=1, sort_keys=True)
        if self.path.exists() and self.path.read_text() == text:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # Replaced atomically, so that a killed process leaves the old record rather than half of a new one.
        with tempfile.NamedTemporaryFile("w", dir=self.path.parent, delete=False) as file:
            file.write(text)
        Path(file.name).replace(self.path)
