"""`shelf land`: a folder of photos through the door, without HTTP. Listing the folder, and landing as it is, are `lake.landing`."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from shelf_assets.intake.decoders import Decoders, Examiner, examination
from shelf_assets.intake.moderation import require_moderation
from shelf_assets.intake.rebuild import Refused
from shelf_assets.lake.deposits import Deposits
from shelf_assets.lake.landing import land, landed_key
from shelf_assets.lake.object_store import ObjectStore, day_prefix

if TYPE_CHECKING:
    from shelf_assets.settings import Settings


@dataclass(frozen=True)
class Landed:
    """One file: under `key`, or refused."""

    name: str
    key: str
    refused: Refused | None = None


async def land_examined(
    store: ObjectStore, day: date, files: Iterable[tuple[str, bytes]], examiner: Examiner, at_once: int
) -> AsyncGenerator[Landed, None]:
    """Judge and rebuild (name, bytes), put what is accepted under the day's prefix, and yield each, in order.

    What was landed before is not examined again: landing a folder twice changes nothing. `at_once` files are held.
    """
    deposits = Deposits(store)
    present = {stored.key for stored in store.list(day_prefix(day))}

    async def land_one(name: str, data: bytes) -> Landed:
        key = landed_key(day, name, data)
        if key in present:
            return Landed(name, key)
        examined = await examiner.examine(data)
        if isinstance(examined, Refused):
            return Landed(name, key, examined)
        facts = {"upload-sha256": examined.upload_sha256} | dict(examined.facts)
        await asyncio.to_thread(deposits.put, key, examined.jpeg, facts)
        return Landed(name, key)

    under_way: list[asyncio.Task[Landed]] = []
    try:
        for name, data in files:
            if len(under_way) == at_once:
                yield await under_way.pop(0)
            under_way.append(asyncio.create_task(land_one(name, data)))
        while under_way:
            yield await under_way.pop(0)
    finally:
        for task in under_way:
            task.cancel()


def landed_files(
    settings: Settings, store: ObjectStore, day: date, files: Iterable[tuple[str, bytes]], as_is: bool
) -> Iterator[Landed]:
    """Land (name, bytes) by the settings, examined unless `as_is`; yields each file in order.

    Raises ModerationMissing, DecodersDown and StoreUnavailable.
    """
    if as_is:
        names: deque[str] = deque()

        def named() -> Iterator[tuple[str, bytes]]:
            for name, data in files:
                names.append(name)
                yield name, data

        for key in land(store, day, named()):
            yield Landed(names.popleft(), key)
        return
    if settings.max_adult_score is not None:
        require_moderation()
    count = settings.decode_slots
    with Decoders(examination(settings), count) as decoders, asyncio.Runner() as runner:
        landing = land_examined(store, day, files, decoders, at_once=2 * count)
        try:
            while (landed := runner.run(anext(landing, None))) is not None:
                yield landed
        finally:
            runner.run(landing.aclose())
