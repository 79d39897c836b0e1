"""The fuzzer's corpus, grown from the pictures of `fuzz.seeds`: the promises hold for every file."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from shelf_assets.photos.limits import Limits
from shelf_assets.photos.sanitizer import SanitizedPhoto
from shelf_assets_tests.fuzz.promises import sanitized
from shelf_assets_tests.fuzz.seeds import seeds

CORPUS = Path(__file__).parent / "corpus"


def test_every_corpus_file_keeps_every_promise() -> None:
    ends: Counter[str] = Counter()
    for path in sorted(CORPUS.iterdir()):
        answer = sanitized(path.read_bytes(), Limits(max_frames=50))
        ends["accepted" if isinstance(answer, SanitizedPhoto) else answer.reason] += 1
    assert ends["accepted"] > 20
    assert {"truncated", "decode_error", "unsupported_format", "not_an_image", "too_many_pixels"} <= set(ends)


def test_every_fuzzing_seed_is_accepted() -> None:
    """Mutations of a rejected picture would exercise the first check of the validator only."""
    formats = set()
    for name, data in seeds().items():
        answer = sanitized(data, Limits())
        assert isinstance(answer, SanitizedPhoto), (name, answer)
        formats.add(answer.metadata["format"])
    assert formats == set(Limits().formats)


def test_fuzzing_corpus_stays_small() -> None:
    assert sum(path.stat().st_size for path in CORPUS.iterdir()) < 300_000
