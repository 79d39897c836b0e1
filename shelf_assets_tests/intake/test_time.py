"""The day of a photo: by the server's clock, in UTC; midnight belongs to the new day."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta, timezone

import httpx
import pytest

from shelf_assets.http.keys import Keys
from shelf_assets.intake.app import build_app
from shelf_assets.photos.decoder_pool import InProcessSanitizer, sanitizer_options
from shelf_assets_tests.conftest import LakeUnderTest
from shelf_assets_tests.intake.clients import photo

MIDNIGHT = datetime(2026, 11, 24, tzinfo=UTC)
MOMENTS = {
    "the last millisecond": (MIDNIGHT - timedelta(milliseconds=1), "2026/11/23"),
    "midnight": (MIDNIGHT, "2026/11/24"),
    "leap day": (datetime(2028, 2, 29, 12, tzinfo=UTC), "2028/02/29"),
    "the end of a leap day": (datetime(2028, 2, 29, 23, 59, 59, 999_999, tzinfo=UTC), "2028/02/29"),
    "after a leap day": (datetime(2028, 3, 1, tzinfo=UTC), "2028/03/01"),
    "the end of February without one": (datetime(2027, 2, 28, 23, 59, 59, tzinfo=UTC), "2027/02/28"),
    "the new year": (datetime(2027, 1, 1, tzinfo=UTC), "2027/01/01"),
    "elsewhere": (datetime(2026, 11, 24, 1, tzinfo=timezone(timedelta(hours=2))), "2026/11/23"),
}


async def _send(lake: LakeUnderTest, now: datetime) -> tuple[httpx.Response, httpx.Response]:
    settings = lake.settings
    _, token = Keys(lake.lake.objects).create("acme", {"upload", "read"}, now)
    app = build_app(settings, InProcessSanitizer(sanitizer_options(settings.photos)), now=lambda: now)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://api", headers={"X-API-Key": token}
        ) as client,
    ):
        sent = await client.post("/v1/images", content=photo())
        return sent, await client.get(sent.headers["Location"])


@pytest.mark.parametrize("moment", MOMENTS)
def test_photo_is_stored_under_its_utc_day(disk_lake: LakeUnderTest, moment: str) -> None:
    now, day = MOMENTS[moment]
    sent, state = asyncio.run(_send(disk_lake, now))
    assert sent.status_code == 201
    body = sent.json()
    assert body["day"] == day.replace("/", "-") == state.json()["day"]
    assert [stored.key for stored in disk_lake.lake.objects.list("images/")] == [f"images/{day}/{body['image_id']}"]
    received_at = datetime.fromisoformat(body["received_at"])
    assert timedelta() <= now - received_at < timedelta(milliseconds=1)
    assert received_at.utcoffset() == timedelta()
