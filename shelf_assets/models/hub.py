"""The model hub: is a file cached, does the hub answer, what is the file's digest, fetch it. Imports no
torch.

Which models are asked for, and what happens when the hub is silent, is decided in `catalogue`.
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

Answer = TypeVar("Answer")

# Long enough for a slow line, short enough that a laptop on a plane does not seem to hang.
ANSWER_SECONDS = 3.0
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class HubFile:
    """One file the hub says it has. `sha256` is None for the small files for which the hub gives no sha256."""

    repo: str
    filename: str
    revision: str
    sha256: str | None


def offline() -> bool:
    """Whether the hub's own switch (HF_HUB_OFFLINE) forbids asking it."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def cached_file(repo: str, filenames: tuple[str, ...], cache_dir: Path | None) -> Path | None:
    """The first of these files that is in the cache already, without asking the hub."""
    from huggingface_hub import try_to_load_from_cache

    for filename in filenames:
        found = try_to_load_from_cache(repo, filename, cache_dir=cache_dir)
        if isinstance(found, str):
            return Path(found)
    return None


def holds_anything(cache_dir: Path | None) -> bool:
    """Whether any model at all is in the cache."""
    from huggingface_hub import constants

    return any(Path(cache_dir or constants.HF_HUB_CACHE).glob("models--*"))


def answers() -> bool:
    """Whether the hub answers at all, within ANSWER_SECONDS."""
    return bool(_in_time(_head_of_hub))


def ask(repo: str, filenames: tuple[str, ...]) -> HubFile | None:
    """The first of these files that the hub has, or None when the hub does not answer in time or has none of
    them.
    """
    found = _in_time(lambda: _heads(repo, filenames))
    return found[0] if found else None


def _in_time(question: Callable[[], list[Answer]]) -> list[Answer]:
    # Resolving a name has no timeout of its own, so the question is asked beside this thread, which does not
    # wait longer.
    answer: list[Answer] = []
    asking = threading.Thread(target=lambda: answer.extend(question()), name="ask-hub", daemon=True)
    asking.start()
    asking.join(ANSWER_SECONDS)
    return list(answer)


def _head_of_hub() -> list[bool]:
    from huggingface_hub import constants
    from huggingface_hub.errors import HTTPError
    from huggingface_hub.utils import get_session

    try:
        said = get_session().head(constants.ENDPOINT, timeout=ANSWER_SECONDS)
    except (HTTPError, OSError):
        return []
    return [True] if said.status_code < 400 else []


def _heads(repo: str, filenames: tuple[str, ...]) -> list[HubFile]:
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import EntryNotFoundError, HTTPError

    for filename in filenames:
        try:
            said = get_hf_file_metadata(hf_hub_url(repo, filename), timeout=ANSWER_SECONDS)
        except EntryNotFoundError:
            continue
        except (HTTPError, OSError):
            return []
        sha256 = said.etag if said.etag and _SHA256.fullmatch(said.etag) else None
        return [HubFile(repo, filename, said.commit_hash or "main", sha256)]
    return []


def fetch(repo: str, filename: str, revision: str | None, cache_dir: Path | None) -> Path:
    """Download one file into the cache, or find it there. Raises WeightsUnavailable."""
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
    """Where a model's file lies on this machine, fetched if need be, after its sha256 was checked."""
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
