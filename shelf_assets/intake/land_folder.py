"""`shelf land`: sanitize the photos of a folder and put them under a day's prefix, without HTTP."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Iterator
from dataclasses import dataclass
from datetime import date

from shelf_assets.intake.put_photos import land, landed_key
from shelf_assets.lake.object_store import ObjectStore, day_prefix
from shelf_assets.lake.object_writer import ObjectWriter
from shelf_assets.photos.decoder_pool import DecoderPool, ImageSanitizer, sanitizer_options
from shelf_assets.photos.moderation import require_moderation
from shelf_assets.photos.sanitizer import Refusal
from shelf_assets.photos.settings import PhotoSettings


@dataclass(frozen=True)
class Landed:
    """One file: stored under `key`, or refused."""

    name: str
    key: str
    refusal: Refusal | None = None


async def land_sanitized(
    store: ObjectStore, day: date, files: Iterable[tuple[str, bytes]], sanitizer: ImageSanitizer, concurrency: int
) -> AsyncGenerator[Landed, None]:
    """Sanitize (name, bytes), put accepted photos under the day's prefix, and yield each file in order.

    Files that were landed before are not sanitized again. At most `concurrency` files are in memory.
    """
    object_writer = ObjectWriter(store)
    present = {stored.key for stored in store.list(day_prefix(day))}

    async def land_one(name: str, data: bytes) -> Landed:
        key = landed_key(day, name, data)
        if key in present:
            return Landed(name, key)
        result = await sanitizer.sanitize(data)
        if isinstance(result, Refusal):
            return Landed(name, key, result)
        metadata = {"upload-sha256": result.upload_sha256} | dict(result.metadata)
        await asyncio.to_thread(object_writer.put, key, result.jpeg, metadata)
        return Landed(name, key)

    running: list[asyncio.Task[Landed]] = []
    try:
        for name, data in files:
            if len(running) == concurrency:
                yield await running.pop(0)
            running.append(asyncio.create_task(land_one(name, data)))
        while running:
            yield await running.pop(0)
    finally:
        for task in running:
            task.cancel()


def landed_files(
    photos: PhotoSettings,
    decoders: int,
    store: ObjectStore,
    day: date,
    files: Iterable[tuple[str, bytes]],
    as_is: bool,
) -> Iterator[Landed]:
    """Land (name, bytes), sanitized by `decoders` processes unless `as_is`; yields each file in order.

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
    if photos.max_adult_score is not None:
        require_moderation()
    with DecoderPool(sanitizer_options(photos), decoders) as pool, asyncio.Runner() as runner:
        landing = land_sanitized(store, day, files, pool, concurrency=2 * decoders)
        try:
            while (landed := runner.run(anext(landing, None))) is not None:
                yield landed
        finally:
            runner.run(landing.aclose())
