"""Invalid weights files: changed, of another network, or with code."""

from __future__ import annotations

import os
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from shelf_assets.models.classifier import load_classifier
from shelf_assets.models.embedded import PACKAGED, embedded_config, embedded_spec, projection_file
from shelf_assets.models.embedder import load_embedder
from shelf_assets.models.errors import ModelDigestMismatch, UnsafeWeights, WeightsUnavailable
from shelf_assets.models.weights import in_order, load_tensors
from shelf_assets.vision.digests import file_digest


class _RunsCode:
    """Content of a hostile checkpoint: a plain unpickle of it creates a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("as_zip", [True, False])
def test_checkpoint_that_carries_code_is_refused_and_the_code_does_not_run(tmp_path: Path, as_zip: bool) -> None:
    hostile, proof = tmp_path / "model.pth", tmp_path / "code-ran"
    if as_zip:
        torch.save({"weight": _RunsCode(proof)}, hostile)
    else:
        hostile.write_bytes(pickle.dumps(_RunsCode(proof), protocol=2))
    with pytest.raises(UnsafeWeights, match="not loaded, because that could run code"):
        load_tensors(hostile)
    assert not proof.exists()


def test_hostile_checkpoint_with_the_right_digest_is_still_refused(tmp_path: Path) -> None:
    hostile, proof = tmp_path / "model.pth", tmp_path / "code-ran"
    torch.save(_RunsCode(proof), hostile)
    spec = embedded_spec("classifier", "fp32")
    forged = replace(spec, files=(replace(spec.files[0], path=hostile, sha256=file_digest(hostile)),))
    with pytest.raises(UnsafeWeights):
        load_classifier(forged, device="cpu")
    assert not proof.exists()


def test_file_that_is_no_state_dict_is_refused(tmp_path: Path) -> None:
    torch.save({"epoch": 3}, tmp_path / "model.pth")
    with pytest.raises(UnsafeWeights, match="not a dictionary of tensors"):
        load_tensors(tmp_path / "model.pth")


def test_tampered_projection_is_refused_when_it_is_resolved(tmp_path: Path) -> None:
    changed = _one_bit_flipped(projection_file().path, tmp_path / "clip_projection.safetensors")
    with pytest.raises(ModelDigestMismatch, match="was changed or damaged"):
        embedded_spec("embedder", "fp32", projection=replace(projection_file(), path=changed))


def test_file_tampered_with_after_resolving_is_refused_when_it_is_loaded(tmp_path: Path) -> None:
    spec = embedded_spec("embedder", "fp32")
    changed = _one_bit_flipped(projection_file().path, tmp_path / "clip_projection.safetensors")
    files = tuple(replace(file, path=changed) if file.role == "projection" else file for file in spec.files)
    with pytest.raises(ModelDigestMismatch) as refused:
        load_embedder(replace(spec, files=files), device="cpu")
    assert refused.value.recorded == projection_file().sha256
    assert refused.value.found == file_digest(changed)


def test_package_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(embedded_config()["files"]["backbone"], "package", "no_such_package")
    with pytest.raises(
        WeightsUnavailable, match=r"no_such_package with the weights of tf_efficientnet_lite0\.embedded"
    ):
        embedded_spec("classifier", "fp32")


def test_checkpoint_of_another_network_is_refused() -> None:
    layer = torch.nn.Linear(3, 2)
    with pytest.raises(ValueError, match=r"does not fit weight \(2, 3\)"):
        in_order({"weight": torch.zeros(2, 4), "bias": torch.zeros(2)}, layer)
    with pytest.raises(ValueError, match="does not fit bias"):
        in_order({"weight": torch.zeros(2, 3), "running_mean": torch.zeros(2)}, layer)
    with pytest.raises(ValueError, match="1 tensors and the model 2"):
        in_order({"weight": torch.zeros(2, 3)}, layer)


def test_packaged_files_stay_small() -> None:
    assert sum(path.stat().st_size for path in PACKAGED.iterdir()) < 3_000_000


def _one_bit_flipped(source: Path | None, target: Path) -> Path:
    assert source is not None
    data = bytearray(source.read_bytes())
    data[-1] ^= 1
    target.write_bytes(data)
    return target
