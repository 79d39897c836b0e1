"""The state of a photo while the daily graph proceeds; its rows are written by the lake's own commits."""

from __future__ import annotations

from datetime import datetime, timedelta

import httpx
import polars as pl
import pytest

from shelf_assets.intake.owners import owner_hash_key
from shelf_assets.intake.upload_store import (
    INCOMING,
    UploadStore,
    new_image_id,
    owner_hash,
    photo_key,
    received_at_of,
)
from shelf_assets.lake.schemas import RAW_IMAGES
from shelf_assets.photos.sanitizer import Refusal
from shelf_assets.pipeline.stages.classifications import CLASSIFICATIONS
from shelf_assets.settings import load_settings
from shelf_assets_tests.intake.clients import photo
from shelf_assets_tests.intake.running_servers import OWNER_HASH_KEY, RunningApi
from shelf_assets_tests.lake.rows import photo as raw_row
from shelf_assets_tests.lake.rows import prediction

pytestmark = pytest.mark.parametrize("api", ["disk", pytest.param("s3", marks=pytest.mark.s3)], indirect=True)


@pytest.fixture
def client(api: RunningApi) -> httpx.Client:
    return api.client(api.token())


def sent(client: httpx.Client, mark: int) -> str:
    answer = client.post("/v1/images", content=photo(mark=mark))
    assert answer.status_code == 201, answer.text
    image_id: str = answer.json()["image_id"]
    return image_id


def validate_photo(api: RunningApi, image_id: str, content: object = None, **changed: object) -> None:
    """Write the row of a photo as `raw_images` does."""
    day = received_at_of(image_id).date()
    row = raw_row(image_id, content or image_id, day, **changed)
    api.lake.table("raw_images").commit(pl.DataFrame([row], schema=RAW_IMAGES.schema))


def classified(api: RunningApi, image_id: str, label: str, hours: int = 0, content: object = None) -> None:
    """Write the row of a photo as `classifications` does, by another model for every label."""
    row = prediction(image_id, content or image_id, model=f"model of {label}", day=received_at_of(image_id).date())
    inferred_at = received_at_of(image_id) + timedelta(hours=hours)
    row |= {"label": label, "confidence": 0.75, "inferred_at": inferred_at}
    api.lake.table("classifications").commit(pl.DataFrame([row], schema=CLASSIFICATIONS.schema))


def state(client: httpx.Client, image_id: str) -> dict[str, object]:
    answer = client.get(f"/v1/images/{image_id}")
    assert answer.status_code == 200, answer.text
    found: dict[str, object] = answer.json()
    return found


def test_classified_photo_is_processed(api: RunningApi, client: httpx.Client) -> None:
    image_id = sent(client, 1)
    assert state(client, image_id)["state"] == "received"
    validate_photo(api, image_id)
    assert state(client, image_id)["state"] == "received"
    classified(api, image_id, "carton")
    found = state(client, image_id)
    assert (found["state"], found["label"], found["confidence"]) == ("processed", "carton", 0.75)
    assert found["model_id"] == "model of carton"
    assert datetime.fromisoformat(str(found["received_at"])) == received_at_of(image_id)


def test_newest_label_is_returned(api: RunningApi, client: httpx.Client) -> None:
    image_id = sent(client, 2)
    validate_photo(api, image_id)
    for label, hours in (("carton", 1), ("bottle", 3), ("mug", 2)):
        classified(api, image_id, label, hours)
    assert state(client, image_id)["label"] == "bottle"


def test_rejected_photo_has_its_reason(api: RunningApi, client: httpx.Client) -> None:
    image_id = sent(client, 3)
    validate_photo(api, image_id, status="rejected", reason="decode_error", reason_detail="broken")
    found = state(client, image_id)
    assert (found["state"], found["reason"], found["label"]) == ("refused", "decode_error", None)


def test_duplicate_has_the_label_of_its_original(api: RunningApi, client: httpx.Client) -> None:
    """Two owners send the same bytes; the graph classifies the first photo only."""
    original, copy = sent(client, 4), ""
    with api.client(api.token("umbrella")) as stranger:
        copy = sent(stranger, 4)
        validate_photo(api, original, "same")
        validate_photo(api, copy, "same", status="duplicate", duplicate_of=original)
        assert state(stranger, copy)["state"] == "received"
        classified(api, original, "tin", content="same")
        found = state(stranger, copy)
        assert (found["state"], found["label"], found["image_id"]) == ("processed", "tin", copy)
        assert original not in str(found)


def test_duplicate_of_another_day_has_the_label_of_its_original(api: RunningApi, client: httpx.Client) -> None:
    copy = sent(client, 5)
    original = new_image_id(received_at_of(copy) - timedelta(days=400))
    validate_photo(api, original, "older")
    classified(api, original, "jar", content="older")
    validate_photo(api, copy, "older", status="duplicate", duplicate_of=original)
    assert state(client, copy)["label"] == "jar"


def test_duplicate_of_a_landed_photo_is_received(api: RunningApi, client: httpx.Client) -> None:
    copy = sent(client, 6)
    validate_photo(api, copy, "landed", status="duplicate", duplicate_of="7b0cf4a5-8a39-5b25-a0b7-6c9f0d9d6c11")
    assert state(client, copy)["state"] == "received"


def test_form_upload_has_a_state_at_every_stage(api: RunningApi, client: httpx.Client) -> None:
    upload_store = UploadStore(api.lake.objects)
    waiting, refused, same, original = (new_image_id(received_at_of(sent(client, 7 + n))) for n in range(4))
    owner = owner_of(api, "acme")
    upload_store.object_writer.put(f"{INCOMING}/{waiting}", b"bytes", {"owner": owner})
    upload_store.quarantine(refused, b"bytes", owner, Refusal("truncated", "ends early"))
    upload_store.object_writer.put(photo_key(original), photo(), {"owner": owner})
    upload_store.note_same(same, original)
    assert state(client, waiting)["state"] == "received"
    found = state(client, refused)
    assert (found["state"], found["reason"]) == ("refused", "truncated")
    assert state(client, same)["image_id"] == same
    requested = client.delete(f"/v1/images/{same}")
    assert requested.status_code == 202
    # The erasure is recorded for the photo, whichever image_id was named.
    assert upload_store.erasure_of(original) is not None
    assert state(client, original)["state"] == "erasure_requested"
    with api.client(api.token("umbrella")) as stranger:
        for image_id in (waiting, refused, same, original):
            assert stranger.get(f"/v1/images/{image_id}").status_code == 404


def owner_of(api: RunningApi, name: str) -> str:
    if "SHELF_INTAKE_OWNER_HASH_KEY" in api.place.environment:
        return owner_hash(name, OWNER_HASH_KEY.encode())
    settings = load_settings(home=api.place.environment["SHELF_HOME"], lake__url=api.lake.url)
    return owner_hash(name, owner_hash_key(settings.intake, settings.home, settings.lake.on_s3))
