"""Bounds what made-up key ids cost the store."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

LOOKUPS_PER_SECOND = 20


class LookupGuard:
    """Decides whether a key id is looked up in the store. Ids of existing keys are never held up.

    Above 20 look-ups a second, one listing a second says which ids exist: a flood of made-up ids costs no more than that.
    """

    def __init__(self, list_ids: Callable[[], Iterable[str]]) -> None:
        self._list_ids = list_ids
        self._ids: frozenset[str] = frozenset()
        self._lock = threading.Lock()
        self._second_began = -1.0
        self._lookups_left = 0
        self._is_listed = False

    def may_exist(self, key_id: str) -> bool:
        """Whether to look this key up. Raises StoreUnavailable."""
        if key_id in self._ids:
            return True
        with self._lock:
            now = time.monotonic()
            if now - self._second_began >= 1 or self._second_began < 0:
                self._second_began, self._lookups_left, self._is_listed = now, LOOKUPS_PER_SECOND, False
            if self._lookups_left > 0:
                self._lookups_left -= 1
                return True
            if not self._is_listed:
                self._ids = frozenset(self._list_ids())
                self._is_listed = True
            return key_id in self._ids
