"""How the store's errors are told: what was tried, what to look at. Errors of the data are their modules' own."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from obstore.exceptions import BaseError, NotFoundError

# These say something of the table, which callers decide on; every other DeltaError is the store's.
_OF_THE_TABLE = ("CommitFailedError", "SchemaMismatchError", "TableNotFoundError")
_TERMINAL_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class StoreUnavailable(RuntimeError):
    """The store cannot be reached or refuses us; the message says what was tried and what to look at."""


@contextmanager
def explained(doing: str, root_url: str) -> Iterator[None]:
    """Turn what obstore, delta-rs and the disk raise into StoreUnavailable; everything else passes."""
    try:
        yield
    except _of_delta(*_OF_THE_TABLE):
        raise
    except (FileNotFoundError, NotFoundError) as error:
        raise StoreUnavailable(
            f"{doing}: {root_url} does not exist; make the bucket or folder, or mend SHELF_LAKE_URL"
        ) from error
    except _of_the_store() as error:
        raise StoreUnavailable(f"{doing} in {root_url} failed: {_hint(str(error))}") from error


def _of_the_store() -> tuple[type[Exception], ...]:
    return (BaseError, OSError, *_of_delta("DeltaError"))


def _of_delta(*names: str) -> tuple[type[Exception], ...]:
    """delta-rs' classes of errors; none where it was never imported, as at the doors, which need not install its 130 MB."""
    exceptions = sys.modules.get("deltalake.exceptions")
    return tuple(getattr(exceptions, name) for name in names) if exceptions else ()


def _hint(message: str) -> str:
    plain = " ".join(_TERMINAL_COLOURS.sub("", message).replace("↳", " ").split())
    first = plain.split("Debug source")[0].split("<?xml")[0][:400].strip(" :-") or "no message"
    if "NoSuchBucket" in plain:
        return "no such bucket; make it, or mend SHELF_LAKE_URL"
    refusals = (
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "AccessDenied",
        "403 Forbidden",
        "401 Unauthorized",
    )
    if any(refusal in plain for refusal in refusals):
        return (
            f"the credentials are refused; look at AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY or the pod's role ({first})"
        )
    if any(word in plain for word in ("No space left", "StorageFull", "File too large", "Disk quota exceeded")):
        return f"the disk is full; what was there before is untouched. Free room and run it again ({first})"
    if any(word in plain for word in ("error sending request", "Connection refused", "dns error", "(Connect)")):
        return f"no server answers; look at AWS_ENDPOINT_URL and the network ({first})"
    return first
