"""Acknowledged photos are in the store, whichever process is killed; a photo that cannot be stored is not acknowledged."""

from __future__ import annotations

import io
import os
import signal
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
import pytest
from PIL import Image

from shelf_assets.intake.upload_store import photo_key
from shelf_assets_tests.faulty_proxy import Faults, faulty_proxy
from shelf_assets_tests.intake.clients import connected, head, photo
from shelf_assets_tests.intake.conftest import StartApi
from shelf_assets_tests.intake.running_servers import ANSWER_SECONDS, Place, RunningApi, on_disk, on_s3
from shelf_assets_tests.servers import S3Server


def decoders_of(api: RunningApi) -> list[psutil.Process]:
    return [each for each in api.processes[1:] if "spawn_main" in " ".join(each.cmdline())]


def wait_for_end(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Wait for the processes to end; returns those that still run."""
    return psutil.wait_procs(processes, timeout=ANSWER_SECONDS)[1]


@pytest.mark.slow
def test_acknowledged_photo_survives_a_killed_server(start_api: StartApi, place: Place) -> None:
    """The server is killed under load, three times over the same lake."""
    acknowledged: dict[int, str] = {}
    for life in range(3):
        api = start_api(place=place)
        token, enough = api.token(), threading.Event()

        enough_photos = 25 * (life + 1)

        def load(
            first: int,
            api: RunningApi = api,
            token: str = token,
            enough: threading.Event = enough,
            photos: int = enough_photos,
        ) -> None:
            with api.client(token) as client:
                for mark in range(first, first + 500):
                    try:
                        sent = client.post("/v1/images", content=photo(320, 240, mark))
                    except httpx.TransportError:
                        return
                    if sent.status_code in (200, 201):
                        acknowledged[mark] = sent.json()["image_id"]
                        if len(acknowledged) >= photos:
                            enough.set()

        senders = [threading.Thread(target=load, args=(life * 10_000 + n * 1_000,)) for n in range(4)]
        for sender in senders:
            sender.start()
        assert enough.wait(ANSWER_SECONDS)
        processes = api.processes
        api.stop(signal.SIGKILL)
        for sender in senders:
            sender.join()
        assert not wait_for_end(processes)
    assert len(acknowledged) >= 75
    for image_id in acknowledged.values():
        with Image.open(io.BytesIO(place.lake.objects.get(photo_key(image_id)))) as kept:
            kept.load()
            assert kept.size == (320, 240)
    api = start_api(place=place)
    with api.client(api.token()) as client:
        for mark, image_id in list(acknowledged.items())[::10]:
            assert client.get(f"/v1/images/{image_id}").json()["state"] == "received"
            again = client.post("/v1/images", content=photo(320, 240, mark))
            assert (again.status_code, again.json()["image_id"]) == (200, image_id)


@pytest.fixture
def faults() -> Faults:
    return Faults({})


@pytest.fixture
def far_place(s3_server: S3Server, faults: Faults, tmp_path: Path) -> Iterator[Place]:
    """A lake on S3 that the server reaches through a bad network."""
    with faulty_proxy(s3_server.endpoint_url, faults) as url:
        yield on_s3(s3_server, uuid.uuid4().hex, tmp_path, endpoint_url=url)


@pytest.mark.s3
@pytest.mark.parametrize("fault", ["reset", "server_error", "slow_down"])
def test_photo_that_was_not_stored_is_not_acknowledged(
    start_api: StartApi, far_place: Place, faults: Faults, fault: str
) -> None:
    api = start_api(place=far_place)
    with api.client(api.token()) as client:
        assert client.post("/v1/images", content=photo(mark=1)).status_code == 201
        before = api.photo_keys
        faults.shares = {fault: 1.0}
        began = time.monotonic()
        refused = client.post("/v1/images", content=photo(mark=2))
        assert time.monotonic() - began < 20
        assert (refused.status_code, refused.json()["reason"]) == (503, "store_unavailable")
        assert int(refused.headers["Retry-After"]) > 0
        assert "s3://" not in refused.text and "127.0.0.1" not in refused.text
        with api.client(api.token("umbrella")) as unheard_of:
            assert unheard_of.get("/v1/images/a").status_code == 503
        unready = client.get("/readyz")
        for _ in range(50):
            if unready.status_code == 503:
                break
            time.sleep(0.2)
            unready = client.get("/readyz")
        assert (unready.status_code, unready.json()["reason"]) == (503, "not_ready")
        assert "store" in unready.json()["detail"]
        assert client.get("/healthz").status_code == 200
        assert api.photo_keys == before
        faults.shares = {}
        again = client.post("/v1/images", content=photo(mark=2))
        assert again.status_code in (200, 201)  # 200 if the claim was made although its answer was lost
        assert photo_key(again.json()["image_id"]) in api.photo_keys
    assert any("shelf" in (line.get("cause") or "") for line in api.log_lines)


@pytest.mark.s3
@pytest.mark.parametrize("fault", ["reset", "lost_answer"])
def test_retry_after_a_store_failure_completes_the_photo(
    start_api: StartApi, far_place: Place, faults: Faults, fault: str
) -> None:
    """The claim is stored, the photo is not: the next try stores the photo under the same image_id."""
    faults.only = lambda method, path: method == "PUT" and "/images/" in path
    api = start_api(place=far_place)
    faults.shares = {fault: 1.0}
    with api.client(api.token()) as client:
        assert client.post("/v1/images", content=photo(mark=3)).status_code == 503
        # Only the answer of the store was lost: the photo may be stored.
        assert len(api.photo_keys) == (fault == "lost_answer")
        faults.shares = {}
        again = client.post("/v1/images", content=photo(mark=3))
        assert again.status_code == 200
        assert api.photo_keys == [photo_key(again.json()["image_id"])]
        assert client.get(f"/v1/images/{again.json()['image_id']}").json()["state"] == "received"


@pytest.mark.s3
@pytest.mark.slow
def test_hanging_store_gives_503_in_time(start_api: StartApi, far_place: Place, faults: Faults) -> None:
    api = start_api(place=far_place)
    with api.client(api.token()) as client:
        client.post("/v1/images", content=photo(mark=4))
        faults.shares = {"hang": 1.0}
        began = time.monotonic()
        refused = client.post("/v1/images", content=photo(mark=5))
        assert (refused.status_code, refused.json()["reason"]) == (503, "store_unavailable")
        assert time.monotonic() - began < 40
        assert client.get("/healthz").status_code == 200


def test_photo_is_not_acknowledged_when_the_disk_refuses_writes(start_api: StartApi, tmp_path: Path) -> None:
    place = on_disk(tmp_path)
    api = start_api(place=place)
    with api.client(api.token()) as client:
        client.post("/v1/images", content=photo(mark=6))
        before = api.photo_keys
        folder = place.lake.objects.folder
        assert folder is not None
        claims = folder / "door" / "claims"
        claims.rename(folder / "door" / "aside")
        claims.write_bytes(b"a file where a folder must be")
        refused = client.post("/v1/images", content=photo(mark=7))
        assert (refused.status_code, refused.json()["reason"]) == (503, "store_unavailable")
        assert str(tmp_path) not in refused.text
        assert api.photo_keys == before


def test_stopping_server_finishes_running_uploads(start_api: StartApi, place: Place) -> None:
    api = start_api(place=place)
    token = api.token()
    processes = api.processes
    address = (urlsplit(api.url).hostname, urlsplit(api.url).port)
    data = photo(640, 480, mark=8)
    with connected(api.url) as raw, connected(api.url) as idle:
        raw.send(head(token, Content_Length=str(len(data))) + data[:1000])
        with api.client() as client:
            for _ in range(100):
                if "shelf_upload_in_flight 1.0" in client.get("/metrics").text:
                    break
                time.sleep(0.1)
        api.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + ANSWER_SECONDS
        refused = False
        while not refused and time.monotonic() < deadline:
            try:
                socket.create_connection(address, timeout=5).close()
                time.sleep(0.1)
            except ConnectionRefusedError:
                refused = True
        assert refused
        assert idle.is_closed()
        raw.send(data[1000:])
        answer = raw.answer()
        assert answer.status == 201
        assert raw.is_closed()
    api.process.wait(ANSWER_SECONDS)
    assert len(api.photo_keys) == 1
    assert not wait_for_end(processes)
    assert not [line for line in api.log_lines if line["level"] == "error"]


def test_silent_sender_cannot_keep_a_server_from_stopping(start_api: StartApi) -> None:
    api = start_api({"SHELF_HTTP_DRAIN_SECONDS": "1"})
    processes = api.processes
    with connected(api.url) as raw:
        raw.send(head(api.token(), Content_Length="5000") + b"\xff\xd8")
        time.sleep(1)
        api.stop(signal.SIGTERM)
    assert not wait_for_end(processes)
    assert api.photo_keys == []


def test_killed_decoder_is_replaced(start_api: StartApi) -> None:
    api = start_api({"SHELF_PHOTOS_DECODERS": "2"})
    with api.client(api.token()) as client:
        for mark in range(3):
            decoders = decoders_of(api)
            assert len(decoders) == 2
            for decoder in decoders:
                os.kill(decoder.pid, signal.SIGKILL)
            assert not wait_for_end(decoders)
            assert client.post("/v1/images", content=photo(mark=mark)).status_code == 201
            assert client.post("/v1/images", content=photo(mark=100 + mark)).status_code == 201
            for _ in range(100):
                if len(decoders_of(api)) == 2:
                    break
                time.sleep(0.1)
    assert api.process.poll() is None
