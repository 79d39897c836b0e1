"""Compiled models: complete or absent, the same on all machines that share them, and separate for each kind of machine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from shelf_assets.models.backends.parity import Parity
from shelf_assets.models.backends.store import CARD, MODEL, WEIGHTS, Card, CompiledModels, NotCalibrated
from shelf_assets.models.embedded import embedded_spec
from shelf_assets.models.errors import ModelError
from shelf_assets.models.spec import ModelSpec
from shelf_assets_tests.conftest import LakeUnderTest

CARD_OF_IT = Card("lite0", "digest", ("tench", "goldfish"), Parity(64, 0.999, 0.99, 0.95), 192)


@pytest.fixture(scope="module")
def spec() -> ModelSpec:
    return replace(embedded_spec("classifier", "int8"), backend="openvino")


def files(folder: Path, content: str = "model") -> None:
    (folder / MODEL).write_text(f"<{content}/>")
    (folder / WEIGHTS).write_bytes(content.encode() * 100)


def made(folder: Path, content: str = "model") -> Path:
    folder.mkdir()
    files(folder, content)
    return folder


def test_interrupted_export_leaves_no_model(tmp_path: Path, spec: ModelSpec) -> None:
    store = CompiledModels(tmp_path / "compiled")
    place = store.folder_of(spec, "cpu")

    def breaks(folder: Path) -> None:
        (folder / MODEL).write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.save(place, CARD_OF_IT, breaks)

    assert store.card(place) is None and not place.exists()
    assert not list(store.folder.iterdir()), "no incomplete folder may be left"


def test_card_is_read_back_unchanged_beside_its_model(tmp_path: Path, spec: ModelSpec) -> None:
    store = CompiledModels(tmp_path)
    place = store.folder_of(spec, "cpu")
    kept = store.save(place, replace(CARD_OF_IT, parity=None), files)
    assert store.card(place) == kept and kept.parity is None

    store.save(place, replace(kept, parity=CARD_OF_IT.parity))

    card = store.card(place)
    assert card is not None and card.parity == CARD_OF_IT.parity and card.labels == ("tench", "goldfish")
    assert (place / WEIGHTS).read_bytes() == b"model" * 100


def test_card_of_an_older_version_is_ignored(tmp_path: Path) -> None:
    (tmp_path / CARD).write_text('{"model_id": "lite0"}')
    assert CompiledModels(tmp_path).card(tmp_path) is None


def test_compiled_models_are_separate_per_device_and_precision(tmp_path: Path, spec: ModelSpec) -> None:
    store = CompiledModels(tmp_path)
    specs = [replace(spec, backend=backend, precision=p) for backend in ("torch", "openvino") for p in ("fp32", "bf16")]
    places = {store.folder_of(each, device) for each in specs for device in ("cpu", "gpu")}
    assert len(places) == 8


def test_int8_without_calibration_is_refused(tmp_path: Path, spec: ModelSpec) -> None:
    with pytest.raises(NotCalibrated, match="shelf calibrate --day"):
        CompiledModels(tmp_path).calibrated(spec)


def test_machines_share_one_calibration_digest(lake: LakeUnderTest, tmp_path: Path, spec: ModelSpec) -> None:
    first = CompiledModels(tmp_path / "first", lake.lake.objects)
    second = CompiledModels(tmp_path / "second", lake.lake.objects)
    calibrated = first.save_calibrated(spec, CARD_OF_IT, made(tmp_path / "made"))

    elsewhere = second.calibrated(spec)

    assert elsewhere == calibrated == first.calibrated(spec)
    assert elsewhere.model_digest == calibrated.model_digest != spec.model_digest
    place = second.folder_of(elsewhere, "cpu")
    assert (place / WEIGHTS).read_bytes() == b"model" * 100
    card = second.card(place)
    assert card is not None and card.labels == ("tench", "goldfish")


def test_new_calibration_has_a_new_digest(lake: LakeUnderTest, tmp_path: Path, spec: ModelSpec) -> None:
    first = CompiledModels(tmp_path / "first", lake.lake.objects)
    second = CompiledModels(tmp_path / "second", lake.lake.objects)
    old = first.save_calibrated(spec, CARD_OF_IT, made(tmp_path / "old"))
    assert second.calibrated(spec) == old

    new = first.save_calibrated(spec, CARD_OF_IT, made(tmp_path / "new", "other"))

    assert new.model_digest != old.model_digest
    assert second.calibrated(spec) == new
    assert (second.folder_of(new, "cpu") / WEIGHTS).read_bytes() == b"other" * 100


def test_damaged_calibrated_model_is_refused(disk_lake: LakeUnderTest, tmp_path: Path, spec: ModelSpec) -> None:
    objects = disk_lake.lake.objects
    CompiledModels(tmp_path / "first", objects).save_calibrated(spec, CARD_OF_IT, made(tmp_path / "made"))
    (key,) = [stored.key for stored in objects.list("models/") if stored.key.endswith(WEIGHTS)]
    objects.put(key, b"damaged")

    with pytest.raises(ModelError, match="differs from its card"):
        CompiledModels(tmp_path / "second", objects).calibrated(spec)
