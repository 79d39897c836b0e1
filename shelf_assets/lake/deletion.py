"""Deleting objects that another process may be deleting as well."""

from __future__ import annotations

from collections.abc import Sequence

from shelf_assets.lake.errors import StoreUnavailable
from shelf_assets.lake.object_store import ObjectStore


def delete_objects(objects: ObjectStore, keys: Sequence[str]) -> None:
    """Delete objects; those that another process has just deleted are no error. Raises StoreUnavailable."""
    while keys:
        try:
            return objects.delete(keys)
        except StoreUnavailable:
            # In a folder a missing object is an error, and the remaining objects may not be deleted.
            left = [key for key in keys if objects.exists(key)]
            if len(left) == len(keys):
                raise
            keys = left
