"""Translate errors of the store into StoreUnavailable with a hint. Errors of the data belong in the modules that raise them."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from obstore.exceptions import BaseError, NotFoundError

# These concern the table, and callers handle them; every other DeltaError concerns the store.
_TABLE_ERRORS = ("CommitFailedError", "SchemaMismatchError", "TableNotFoundError")
_TERMINAL_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class StoreUnavailable(RuntimeError):
    """The store is unreachable or refuses the request; the message names the operation and what to check."""


@contextmanager
def store_errors(doing: str, root_url: str) -> Iterator[None]:
    """Translate errors of obstore, delta-rs and the disk into StoreUnavailable; all others pass unchanged."""
    try:
        yield
    except _delta_error_types(*_TABLE_ERRORS):
        raise
    except (FileNotFoundError, NotFoundError) as error:
        raise StoreUnavailable(
            f"{doing}: {root_url} does not exist; make the bucket or folder, or correct SHELF_LAKE_URL"
        ) from error
    except _store_error_types() as error:
        raise StoreUnavailable(f"{doing} in {root_url} failed: {_hint(str(error))}") from error


def _store_error_types() -> tuple[type[Exception], ...]:
    return (BaseError, OSError, *_delta_error_types("DeltaError"))


def _delta_error_types(*names: str) -> tuple[type[Exception], ...]:
    """delta-rs' error classes; none if it is not imported, as in the upload API, which does not install its 130 MB."""
    exceptions = sys.modules.get("deltalake.exceptions")
    return tuple(getattr(exceptions, name) for name in names) if exceptions else ()


def _hint(message: str) -> str:
    plain = " ".join(_TERMINAL_COLOURS.sub("", message).replace("↳", " ").split())
    first = plain.split("Debug source")[0].split("<?xml")[0][:400].strip(" :-") or "no message"
    if "NoSuchBucket" in plain:
        return "no such bucket; make it, or correct SHELF_LAKE_URL"
    refusals = (
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "AccessDenied",
        "403 Forbidden",
        "401 Unauthorized",
    )
    if any(refusal in plain for refusal in refusals):
        return (
            f"the credentials are refused; check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY or the pod's role ({first})"
        )
    if any(word in plain for word in ("No space left", "StorageFull", "File too large", "Disk quota exceeded")):
        return f"the disk is full; existing data is unchanged. Free space and run it again ({first})"
    if any(word in plain for word in ("error sending request", "Connection refused", "dns error", "(Connect)")):
        return f"no server answers; check AWS_ENDPOINT_URL and the network ({first})"
    return first
