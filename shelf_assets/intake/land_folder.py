"""`shelf land`: a folder of photos through the door, without HTTP. Listing the folder, and landing as it is, are `lake.landing`."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from shelf_assets.intake.put_photos import land, landed_key
from shelf_assets.lake.object_store import ObjectStore, day_prefix
from shelf_assets.lake.object_writer import ObjectWriter
from shelf_assets.photos.decoder_pool import DecoderPool, ImageSanitizer, sanitizer_options
from shelf_assets.photos.moderation import require_moderation
from shelf_assets.photos.sanitizer import Refusal

if TYPE_CHECKING:
    from shelf_assets.settings import Settings


@dataclass(frozen=True)
class Landed:
    """One file: under `key`, or refused."""

    name: str
    key: str
    refused: Refusal | None = None


async def land_sanitized(
    store: ObjectStore, day: date, files: Iterable[tuple[str, bytes]], sanitizer: ImageSanitizer, at_once: int
) -> AsyncGenerator[Landed, None]:
    """Judge and rebuild (name, bytes), put what is accepted under the day's prefix, and yield each, in order.

    What was landed before is not sanitized again: landing a folder twice changes nothing. `at_once` files are held.
    """
    object_writer = ObjectWriter(store)
    present = {stored.key for stored in store.list(day_prefix(day))}

    async def land_one(name: str, data: bytes) -> Landed:
        key = landed_key(day, name, data)
        if key in present:
            return Landed(name, key)
        sanitized = await sanitizer.sanitize(data)
        if isinstance(sanitized, Refusal):
            return Landed(name, key, sanitized)
        facts = {"upload-sha256": sanitized.upload_sha256} | dict(sanitized.facts)
        await asyncio.to_thread(object_writer.put, key, sanitized.jpeg, facts)
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
    """Land (name, bytes) by the settings, sanitized unless `as_is`; yields each file in order.

    Raises ModerationMissing, DecodersUnavailable and StoreUnavailable.
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
    if settings.photos.max_adult_score is not None:
        require_moderation()
    count = settings.vision.decode_slots
    with DecoderPool(sanitizer_options(settings.photos), count) as decoders, asyncio.Runner() as runner:
        landing = land_sanitized(store, day, files, decoders, at_once=2 * count)
        try:
            while (landed := runner.run(anext(landing, None))) is not None:
                yield landed
        finally:
            runner.run(landing.aclose())
