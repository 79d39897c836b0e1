"""The hostile corpus: every file ends as a photo or as a reason, soon, within bounded memory, and both decodes agree."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from shelf_assets.vision.formats import TAKEN

SECONDS_EACH = 5.0
# What decoding any of these files may add to a process that has imported the package: they are all small.
MEMORY_BYTES = 300 << 20

# Run in a process of its own: it may die, and its peak of memory is its own.
JUDGE = """
import json, resource, sys, time
from pathlib import Path
from shelf_assets.observe.meter import peak_memory_bytes as peak
from shelf_assets.photos.limits import Limits
from shelf_assets.photos.validator import validate_bytes
from shelf_assets.vision.preprocess import Geometry, Undecodable, to_tensor

before = peak()
# No decoder may reserve gigabytes either, touched or not.
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
def validate_photo(shared_data: Path) -> list[dict[str, Any]]:
    ran = subprocess.run(
        [sys.executable, "-c", JUDGE, str(shared_data / "hostile")],
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    rows = [json.loads(line) for line in ran.stdout.splitlines()]
    assert ran.returncode == 0, f"it died of {rows[-1] if rows else 'its imports'}: {ran.stderr[-2000:]}"
    return rows


def verdicts(judged: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in judged if "name" in row]


def test_a_hostile_file_is_neither_photo_nor_reason(judged: list[dict[str, Any]]) -> None:
    rows = verdicts(judged)
    assert len(rows) > 500
    assert all(row["ok"] == (row["reason"] is None) for row in rows)
    accepted = [row for row in rows if row["ok"]]
    assert len(accepted) > 200, "most of the corpus's PNGs, WebPs, GIFs and JPEGs are only odd"
    assert {row["format"] for row in accepted} == set(TAKEN) - {"heic", "avif"}, "of which the corpus has none"


def test_a_hostile_file_is_accepted_and_has_no_tensor(judged: list[dict[str, Any]]) -> None:
    for row in verdicts(judged):
        if row["ok"]:
            assert row["tensors"] == [[3, 224, 224]] * 3, row
        else:
            assert all(isinstance(reason, str) for reason in row["tensors"]) or row["reason"] == "too_many_pixels", row


def test_a_hostile_file_keeps_a_processor_busy(judged: list[dict[str, Any]]) -> None:
    slow = [row for row in verdicts(judged) if row["seconds"] > SECONDS_EACH]
    assert not slow


def test_a_hostile_file_takes_all_memory(judged: list[dict[str, Any]]) -> None:
    assert judged[-1]["grown"] < MEMORY_BYTES


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
def test_a_known_file_is_judged_otherwise(judged: list[dict[str, Any]], name: str, reason: str | None) -> None:
    (row,) = [row for row in verdicts(judged) if row["name"] == name]
    assert row["reason"] == reason, row["detail"]
