"""Store of compiled models: one folder per model, named by what it was made from, and complete once its card exists.

A card has the labels of a model and its parity on this kind of machine. `opening` and `calibration` make models.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

from shelf_assets.models.backends.parity import Parity
from shelf_assets.models.errors import ModelError
from shelf_assets.models.precision import cpu_flags
from shelf_assets.models.spec import ModelSpec
from shelf_assets.vision.digests import canonical_digest, file_digest

MODEL, WEIGHTS, CARD = "model.xml", "model.bin", "card.json"
_LIBRARY = {"torch": "torch", "openvino": "openvino"}
# CPU features that determine the arithmetic of the libraries, and thus the parity.
_ARITHMETIC_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "avx_vnni", "amx_bf16", "amx_int8")


class Objects(Protocol):
    """Object store for models that all machines share: a part of the lake."""

    def find(self, key: str) -> bytes | None: ...
    def put(self, key: str, data: bytes) -> None: ...


@dataclass(frozen=True)
class Card:
    """Description of a saved model. `labels` are a classifier's; `parity` is None until photos were compared."""

    model_id: str
    model_digest: str
    labels: tuple[str, ...] | None
    parity: Parity | None = None
    calibration_photos: int = 0
    sha256: str | None = None
    made_at: str = ""

    def to_json(self) -> bytes:
        return json.dumps(asdict(self), indent=1).encode()

    @classmethod
    def from_json(cls, text: bytes) -> Card:
        card: dict[str, Any] = json.loads(text)
        labels, parity = card["labels"], card["parity"]
        return cls(
            **{
                **card,
                "labels": tuple(labels) if labels is not None else None,
                "parity": Parity(**parity) if parity else None,
            }
        )


class NotCalibrated(ModelError):
    """int8 is configured, but the model has not been calibrated."""

    def __init__(self, model_id: str) -> None:
        super().__init__(
            f"SHELF_MODELS_PRECISION=int8, but {model_id} has not been calibrated: run `shelf calibrate --day YYYY-MM-DD` on a day "
            "of typical photos first"
        )


@dataclass(frozen=True)
class CompiledModels:
    """Models in `folder` on this machine; quantized ones also in `shared`, because their digest is part of the model's."""

    folder: Path
    shared: Objects | None = None

    def folder_of(self, spec: ModelSpec, device: str) -> Path:
        """Folder of a spec's model for this version of its backend and this kind of machine."""
        if spec.calibration is not None:
            return self.folder / _calibrated_name(spec)
        arithmetic = sorted(flag for flag in _ARITHMETIC_FLAGS if flag in cpu_flags()) if device == "cpu" else []
        made_from = {
            "model_digest": spec.model_digest,
            "backend": f"{spec.backend} {version(_LIBRARY[spec.backend])}",
            "device": [device, *arithmetic],
        }
        name = "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in spec.model_id)
        return self.folder / f"{name}-{spec.backend}-{spec.precision}-{canonical_digest(made_from)[:16]}"

    def card(self, place: Path) -> Card | None:
        """The card of a complete model; None if there is none, or if this version cannot read it."""
        try:
            return Card.from_json((place / CARD).read_bytes())
        except (FileNotFoundError, KeyError, TypeError, json.JSONDecodeError):
            return None

    def save(self, place: Path, card: Card, make: Callable[[Path], None] | None = None) -> Card:
        """Save a model atomically: `make` writes its files into a folder. Without `make` only the card is replaced."""
        dated = replace(card, made_at=datetime.now(UTC).isoformat(timespec="seconds"))
        self.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.folder, prefix=".making-") as making:
            fresh = Path(making) / "model"
            fresh.mkdir()
            (fresh / CARD).write_bytes(dated.to_json())
            if make is None:
                place.mkdir(exist_ok=True)
                (fresh / CARD).replace(place / CARD)
                return dated
            make(fresh)
            try:
                fresh.rename(place)
            except OSError:
                here = self.card(place)
                # The same model exists, perhaps from another process; only another calibration replaces it.
                if here is None or here.sha256 != card.sha256:
                    place.rename(Path(making) / "old")
                    fresh.rename(place)
                else:
                    (fresh / CARD).replace(place / CARD)
        return dated

    def calibrated(self, spec: ModelSpec) -> ModelSpec:
        """The int8 spec with its calibration, fetched if another machine made it. Raises NotCalibrated."""
        place = self.folder / _calibrated_name(spec)
        card = self._shared_card(spec) or self.card(place)
        if card is None or card.sha256 is None:
            raise NotCalibrated(spec.model_id)
        here = self.card(place)
        if here is None or here.sha256 != card.sha256:
            self._fetch(spec, place, card)
        return replace(spec, calibration=card.sha256)

    def save_calibrated(self, spec: ModelSpec, card: Card, quantized: Path) -> ModelSpec:
        """Save the quantized model in the folder `quantized`, locally and in the shared store; returns its spec.

        The shared card is written last; until then the previous calibration is valid.
        """
        sha256 = files_digest(quantized)
        calibrated = replace(spec, calibration=sha256)
        complete = replace(card, sha256=sha256, model_digest=calibrated.model_digest)
        place = self.folder / _calibrated_name(spec)
        saved = self.save(place, complete, lambda folder: _copy(quantized, folder))
        if self.shared is not None:
            for name in (MODEL, WEIGHTS):
                self.shared.put(_shared_key(spec, f"{sha256}/{name}"), (place / name).read_bytes())
            self.shared.put(_shared_key(spec, CARD), saved.to_json())
        return calibrated

    def _shared_card(self, spec: ModelSpec) -> Card | None:
        data = self.shared.find(_shared_key(spec, CARD)) if self.shared is not None else None
        return Card.from_json(data) if data else None

    def _fetch(self, spec: ModelSpec, place: Path, card: Card) -> None:
        shared = self.shared
        assert shared is not None  # the card came from there

        def fetch(folder: Path) -> None:
            found = {name: shared.find(_shared_key(spec, f"{card.sha256}/{name}")) for name in (MODEL, WEIGHTS)}
            for name, data in found.items():
                (folder / name).write_bytes(data or b"")
            if files_digest(folder) != card.sha256:
                raise ModelError(
                    f"the calibrated {spec.model_id} in the lake differs from its card: run `shelf calibrate` again"
                )

        self.save(place, card, fetch)


def files_digest(folder: Path) -> str:
    """sha256 over a model's two files."""
    return canonical_digest([file_digest(folder / name) for name in (MODEL, WEIGHTS)])


def _calibrated_name(spec: ModelSpec) -> str:
    return f"int8-{replace(spec, calibration=None).model_digest[:16]}"


def _shared_key(spec: ModelSpec, name: str) -> str:
    return f"models/{_calibrated_name(spec)}/{name}"


def _copy(source: Path, target: Path) -> None:
    for name in (MODEL, WEIGHTS):
        shutil.copy2(source / name, target / name)
