"""Code that runs in a decoder process: its limits, and sanitizing a photo in shared memory. `decoder_pool` is the parent."""

from __future__ import annotations

import dataclasses
import os
import resource
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from shelf_assets.photos.sanitizer import Refusal, SanitizedPhoto, sanitize
from shelf_assets.photos.shared_bytes import SharedBytes

if TYPE_CHECKING:
    from shelf_assets.photos.decoder_pool import SanitizerOptions

_shared_with_parent: SharedBytes  # set by `confine`


def sanitize_shared(size_bytes: int, options: SanitizerOptions) -> tuple[SanitizedPhoto, int] | Refusal:
    """The photo without its JPEG, which replaces the upload in shared memory, and the size of the JPEG."""
    result = sanitize(_shared_with_parent.read(size_bytes), options.limits, options.jpeg_quality)
    if isinstance(result, Refusal):
        return result
    return dataclasses.replace(result, jpeg=b""), _shared_with_parent.put(result.jpeg)


def confine(options: SanitizerOptions, shared: SharedBytes, statm: Path) -> None:
    """Limit the memory, files and environment of this process before it sees a photo.

    An allocation above the memory limit fails with MemoryError. The environment is cleared because it holds secrets of the
    store, of Redis and of owners; /proc still shows the initial environment (docs/threat-model.md).
    """
    import shelf_assets.vision.preprocess  # noqa: F401 - imported before the size of the process is measured

    global _shared_with_parent
    _shared_with_parent = shared

    if options.limits.max_adult_score is not None:
        from shelf_assets.photos.moderation import require_moderation

        require_moderation()
    os.environ.clear()
    # pebble's own handler is Python code, which would wait for the decoder that the signal is to end.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # The process cannot write to files; the limit does not apply to pipes.
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    if statm.exists():
        current_bytes = int(statm.read_text(encoding="ascii").split()[0]) * resource.getpagesize()
        limit_bytes = current_bytes + options.decode_bytes
        resource.setrlimit(resource.RLIMIT_AS, (limit_bytes, limit_bytes))
