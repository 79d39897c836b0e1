"""A manifest: the runs of the index, and the data files of the table that they cover.

Manifests are numbered. Each is written atomically, and only if its number is free: of two builders one starts again, and
readers always find a complete index. Data files have unique names and never change, so it is clear for every version of the
table, also after a restore, which of its files are covered.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta

from shelf_assets.lake.hash_index.runs import Run
from shelf_assets.lake.object_store import ObjectStore, StoredObject
from shelf_assets.lake.object_writer import ObjectWriter

# Within the table's folder. Delta ignores folders whose names begin with an underscore.
FOLDER = "_hash_index/"
RUNS = f"{FOLDER}runs/"
_MANIFESTS = f"{FOLDER}manifests/"
# A run is named minutes after it is written.
KEEP_UNNEEDED = timedelta(hours=1)


@dataclass(frozen=True)
class Manifest:
    number: int
    runs: tuple[Run, ...]
    covered: frozenset[str]

    @property
    def entries(self) -> int:
        return sum(run.entries for run in self.runs)


def newest(objects: ObjectStore) -> Manifest | None:
    """The newest manifest; None if there is none."""
    while numbers := [_number(stored) for stored in objects.list(_MANIFESTS)]:
        # If it was deleted after the listing, there is a newer one.
        data = objects.find(_key(max(numbers)))
        if data is not None:
            return _parsed(objects, max(numbers), data)
    return None


def put(objects: ObjectStore, manifest: Manifest) -> bool:
    """Make it the newest manifest; False where another builder has put one with its number."""
    content = {
        "runs": [{"key": run.key, "entries": run.entries} for run in manifest.runs],
        "covered": sorted(manifest.covered),
    }
    return ObjectWriter(objects).create(_key(manifest.number), json.dumps(content).encode())


def unneeded(objects: ObjectStore, now: datetime) -> list[str]:
    """Keys of runs that the newest manifest does not name, and of older manifests, if they are more than an hour old.

    Readers of an older manifest start again if a run is gone.
    """
    index = newest(objects)
    if index is None:
        return []
    needed = {_key(index.number), *(run.key for run in index.runs)}
    return [
        stored.key
        for stored in objects.list(FOLDER)
        if stored.key not in needed and stored.received_at < now - KEEP_UNNEEDED
    ]


def _parsed(objects: ObjectStore, number: int, data: bytes) -> Manifest:
    content = json.loads(data)
    runs = tuple(Run(objects, run["key"], run["entries"]) for run in content["runs"])
    return Manifest(number, runs, frozenset(content["covered"]))


def _key(number: int) -> str:
    return f"{_MANIFESTS}{number:020}.json"


def _number(stored: StoredObject) -> int:
    return int(stored.key.removeprefix(_MANIFESTS).removesuffix(".json"))
