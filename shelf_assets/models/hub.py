"""The model hub: look for files in its cache, ask it for a file's digest, and download files. Imports no torch.

`catalogue` decides which models are requested, and what happens if the hub does not answer.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from shelf_assets.models.errors import ModelDigestMismatch, WeightsUnavailable
from shelf_assets.models.spec import WeightsFile
from shelf_assets.vision.digests import file_digest

Result = TypeVar("Result")

# Long enough for a slow connection, short enough that a laptop without a network does not seem to hang.
ANSWER_SECONDS = 3.0
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class HubFile:
    """A file on the hub. `sha256` is None for small files, for which the hub gives none."""

    repo: str
    filename: str
    revision: str
    sha256: str | None


def is_offline() -> bool:
    """Whether HF_HUB_OFFLINE, the hub client's own switch, is set."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def cached_file(repo: str, filenames: tuple[str, ...], cache_dir: Path | None) -> Path | None:
    """The first of these files that is in the cache, without a request to the hub."""
    from huggingface_hub import try_to_load_from_cache

    for filename in filenames:
        found = try_to_load_from_cache(repo, filename, cache_dir=cache_dir)
        if isinstance(found, str):
            return Path(found)
    return None


def has_cached_models(cache_dir: Path | None) -> bool:
    """Whether any model is in the cache."""
    from huggingface_hub import constants

    return any(Path(cache_dir or constants.HF_HUB_CACHE).glob("models--*"))


def is_reachable() -> bool:
    """Whether the hub answers within ANSWER_SECONDS."""
    return bool(_with_timeout(_head_of_hub))


def find_file(repo: str, filenames: tuple[str, ...]) -> HubFile | None:
    """The first of these files that the hub has; None if it has none of them or does not answer in time."""
    found = _with_timeout(lambda: _heads(repo, filenames))
    return found[0] if found else None


def _with_timeout(request: Callable[[], list[Result]]) -> list[Result]:
    # Name resolution has no timeout, so the request runs in a thread that is not waited for any longer.
    results: list[Result] = []
    thread = threading.Thread(target=lambda: results.extend(request()), name="ask-hub", daemon=True)
    thread.start()
    thread.join(ANSWER_SECONDS)
    return list(results)


def _head_of_hub() -> list[bool]:
    from huggingface_hub import constants
    from huggingface_hub.errors import HTTPError
    from huggingface_hub.utils import get_session

    try:
        response = get_session().head(constants.ENDPOINT, timeout=ANSWER_SECONDS)
    except (HTTPError, OSError):
        return []
    return [True] if response.status_code < 400 else []


def _heads(repo: str, filenames: tuple[str, ...]) -> list[HubFile]:
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import EntryNotFoundError, HTTPError

    for filename in filenames:
        try:
            metadata = get_hf_file_metadata(hf_hub_url(repo, filename), timeout=ANSWER_SECONDS)
        except EntryNotFoundError:
            continue
        except (HTTPError, OSError):
            return []
        sha256 = metadata.etag if metadata.etag and _SHA256.fullmatch(metadata.etag) else None
        return [HubFile(repo, filename, metadata.commit_hash or "main", sha256)]
    return []


def fetch(repo: str, filename: str, revision: str | None, cache_dir: Path | None) -> Path:
    """Download a file into the cache, or find it there. Raises WeightsUnavailable."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HTTPError

    try:
        return Path(hf_hub_download(repo, filename, revision=revision, cache_dir=cache_dir))
    except (HTTPError, OSError) as error:
        raise WeightsUnavailable(
            f"{filename} of {repo} could not be fetched ({type(error).__name__}: {error}). Try again, "
            "put it into the hub's cache, or choose the embedded models."
        ) from error


def local_path(name: str, file: WeightsFile) -> Path:
    """Path of a model's file on this machine; it is fetched if necessary, and its sha256 is checked."""
    path = file.path
    if path is None:
        assert file.repo is not None  # only hub files have no path
        path = fetch(file.repo, file.filename, file.revision, file.cache_dir)
    if not path.is_file():
        raise WeightsUnavailable(f"{file.filename} of {name} is not at {path}; install it again.")
    found = file_digest(path)
    if found != file.sha256:
        raise ModelDigestMismatch(name, file.sha256, found, f"Remove {path} and fetch or install it again.")
    return path
