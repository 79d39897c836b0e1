"""The hostile corpus: every file is accepted or rejected with a reason, within seconds and bounded memory; both decodes agree."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from shelf_assets.vision.formats import ACCEPTED_FORMATS

SECONDS_EACH = 5.0
# Most memory that decoding adds to a process that has imported the package; all files of the corpus are small.
MEMORY_BYTES = 300 << 20

# Runs in a process of its own, because it may crash and because its peak memory is measured.
SCRIPT = """
import json, resource, sys, time
from pathlib import Path
from shelf_assets.observe.meter import peak_memory_bytes as peak
from shelf_assets.photos.limits import Limits
from shelf_assets_tests.photos.validation import validate_bytes
from shelf_assets.vision.preprocess import Geometry, Undecodable, to_tensor

before = peak()
# An address-space limit: no decoder may reserve gigabytes, even untouched.
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
for path in sorted(Path(sys.argv[1]).rglob("*")):
    if not path.is_file():
        continue
    data = path.read_bytes()
    print(json.dumps({"begun": path.name}), flush=True)
    begun = time.process_time()
    result = validate_bytes(data, Limits())
    tensors = []
    for fit in ("crop", "pad", "squash"):
        try:
            tensors.append(list(to_tensor(data, Geometry(fit=fit)).shape))
        except Undecodable as refused:
            tensors.append(refused.reason)
    seconds = time.process_time() - begun
    row = {"ok": result.ok, "format": result.format, "reason": result.reason, "detail": result.detail}
    print(json.dumps({"name": path.name, **row, "tensors": tensors, "seconds": seconds}), flush=True)
print(json.dumps({"grown": peak() - before}))
"""


@pytest.fixture(scope="module")
def rows(shared_data: Path) -> list[dict[str, Any]]:
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(shared_data / "hostile")],
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    printed = [json.loads(line) for line in ran.stdout.splitlines()]
    assert ran.returncode == 0, f"it crashed at {printed[-1] if printed else 'its imports'}: {ran.stderr[-2000:]}"
    return printed


def results(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in rows if "name" in row]


def test_hostile_file_is_a_photo_or_has_a_reason(rows: list[dict[str, Any]]) -> None:
    found = results(rows)
    assert len(found) > 500
    assert all(row["ok"] == (row["reason"] is None) for row in found)
    accepted = [row for row in found if row["ok"]]
    assert len(accepted) > 200, "most PNGs, WebPs, GIFs and JPEGs of the corpus are unusual but valid"
    assert {row["format"] for row in accepted} == set(ACCEPTED_FORMATS) - {"heic", "avif"}, (
        "the corpus has none of these"
    )


def test_accepted_hostile_file_has_its_tensors(rows: list[dict[str, Any]]) -> None:
    for row in results(rows):
        if row["ok"]:
            assert row["tensors"] == [[3, 224, 224]] * 3, row
        else:
            assert all(isinstance(reason, str) for reason in row["tensors"]) or row["reason"] == "too_many_pixels", row


def test_hostile_file_is_validated_in_time(rows: list[dict[str, Any]]) -> None:
    slow = [row for row in results(rows) if row["seconds"] > SECONDS_EACH]
    assert not slow


def test_hostile_files_use_bounded_memory(rows: list[dict[str, Any]]) -> None:
    assert rows[-1]["grown"] < MEMORY_BYTES


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("decompression_bomb.gif", "too_many_pixels"),
        ("truncated_image.png", "truncated"),
        ("ultrahdr.jpg", "truncated"),
        ("broken.png", "decode_error"),
        ("hopper.psd", "unsupported_format"),
        ("hopper.tif", "unsupported_format"),
        ("LICENSE-pillow", "not_an_image"),
        ("pil_sample_cmyk.jpg", None),
        ("photoshop-200dpi-broken.jpg", None),
        ("jpeg_ff00_header.jpg", None),
        ("frozenpond.mpo", None),
        ("sugarshack_bad_mpo_header.jpg", None),
        ("invalid-exif.jpg", None),
        ("hopper_idat_after_image_end.png", None),
        ("iss634.webp", None),
        ("background_outside_palette.gif", None),
    ],
)
def test_known_hostile_file_keeps_its_reason(rows: list[dict[str, Any]], name: str, reason: str | None) -> None:
    (row,) = [row for row in results(rows) if row["name"] == name]
    assert row["reason"] == reason, row["detail"]
