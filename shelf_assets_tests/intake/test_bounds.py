"""The bounds of uploads over HTTP: size and time of heads and bodies, concurrency, rate limits."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack

import httpx
import pytest

from shelf_assets.intake.photo_form import FORM_BYTES
from shelf_assets_tests.intake.clients import connected, form, head, photo
from shelf_assets_tests.intake.conftest import StartApi
from shelf_assets_tests.intake.running_servers import RunningApi

SMALL = {"SHELF_PHOTOS_MAX_BYTES": "100000", "SHELF_HTTP_SILENCE_SECONDS": "2", "SHELF_HTTP_BODY_SECONDS": "6"}


@pytest.fixture(scope="module")
def small_api(tmp_path_factory: pytest.TempPathFactory):
    """A server with small limits of bytes and time."""
    from shelf_assets_tests.intake.running_servers import on_disk, running

    folder = tmp_path_factory.mktemp("small")
    with running(on_disk(folder), folder, SMALL) as opened:
        yield opened


def test_too_large_content_length_is_refused_before_the_body(small_api: RunningApi) -> None:
    with connected(small_api.url) as raw:
        raw.send(head(small_api.token(), Content_Length="30000000"))
        answer = raw.answer()  # before any byte of the body was sent
        assert (answer.status, answer.reason) == (413, "too_large")
        assert raw.is_closed()


def test_expect_continue_with_too_large_body_is_refused(small_api: RunningApi) -> None:
    with connected(small_api.url) as raw:
        raw.send(head(small_api.token(), Content_Length="30000000", Expect="100-continue"))
        assert raw.socket.recv(12) == b"HTTP/1.1 413"


@pytest.mark.parametrize("size_bytes", [100_001, 5_000_000])
def test_sender_of_a_too_large_body_receives_the_refusal(small_api: RunningApi, size_bytes: int) -> None:
    """The client reads only after it has sent the whole body: the answer must not be lost with the connection."""
    with connected(small_api.url) as raw:
        raw.send(head(small_api.token(), Content_Length=str(size_bytes)))
        raw.send(bytes(size_bytes))
        assert raw.answer().status == 413


def test_chunked_body_beyond_the_limit_is_refused(small_api: RunningApi) -> None:
    with connected(small_api.url) as raw:
        raw.send(head(small_api.token(), Transfer_Encoding="chunked"))
        chunk = b"%x\r\n%b\r\n" % (20_000, bytes(20_000))
        raw.send(chunk * 5)
        raw.socket.settimeout(0.3)
        with pytest.raises(TimeoutError):
            raw.socket.recv(1)  # 100,000 bytes are within the limit
        raw.socket.settimeout(60)
        raw.send(chunk)
        answer = raw.answer()
        assert (answer.status, answer.reason) == (413, "too_large")
        assert raw.is_closed()


def test_form_body_is_held_to_the_size_limit(small_api: RunningApi) -> None:
    with small_api.client(small_api.token()) as client:
        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        for body in (
            form(('name="file"', bytes(100_001))),
            form(('name="x"', bytes(100_000 + FORM_BYTES))),
            b"--b" + bytes(100_000 + FORM_BYTES),
        ):
            refused = client.post("/v1/images", content=body, headers=headers)
            assert refused.status_code in (400, 413)
            chunked = client.post("/v1/images", content=iter([body]), headers=headers)
            assert chunked.status_code in (400, 413)
        fits = client.post("/v1/images", content=form(('name="file"', bytes(100_000))), headers=headers)
        assert (fits.status_code, fits.json()["reason"]) == (415, "not_an_image")


def test_silent_sender_is_timed_out(small_api: RunningApi) -> None:
    token = small_api.token()
    with connected(small_api.url) as raw, small_api.client(token) as other:
        raw.send(head(token, Content_Length="5000") + b"\xff\xd8\xff")
        began = time.monotonic()
        assert other.post("/v1/images", content=photo(mark=13)).status_code == 201
        answer = raw.answer()
        assert (answer.status, answer.reason) == (408, "too_slow_to_arrive")
        assert 1 < time.monotonic() - began < 30
        assert raw.is_closed()


def test_slow_sender_is_timed_out_while_others_are_served(small_api: RunningApi) -> None:
    token = small_api.token()
    with connected(small_api.url) as raw, small_api.client(token) as other:
        raw.send(head(token, Content_Length="5000"))
        began, served = time.monotonic(), 0
        raw.socket.settimeout(0.3)
        while time.monotonic() - began < 60:
            raw.send(b"\xff")
            served += other.post("/v1/images", content=photo(mark=14)).status_code in (200, 201)
            try:
                raw.socket.recv(1, 2)  # MSG_PEEK
                break
            except TimeoutError:
                pass
        raw.socket.settimeout(60)
        assert raw.answer().status == 408
        assert 4 < time.monotonic() - began < 40
        assert served >= 3


@pytest.mark.parametrize("sent", [b"", b"POST /v1/images HTTP/1.1\r\nHost: d"])
def test_unfinished_head_is_timed_out(small_api: RunningApi, sent: bytes) -> None:
    with connected(small_api.url) as raw:
        began = time.monotonic()
        raw.send(sent)
        raw.socket.settimeout(30)
        assert raw.is_closed()
        assert time.monotonic() - began > 1


def test_slow_head_is_timed_out(small_api: RunningApi) -> None:
    with connected(small_api.url) as raw:
        raw.send(b"POST /v1/images HTTP/1.1\r\n")
        began = time.monotonic()
        raw.socket.settimeout(0.2)
        while time.monotonic() - began < 30:
            try:
                raw.send(b"X-A: b\r\n")
                assert raw.socket.recv(1) == b""
                break
            except TimeoutError:
                continue
            except OSError:
                break
        assert time.monotonic() - began < 30


def test_oversized_head_is_refused(small_api: RunningApi) -> None:
    with connected(small_api.url) as raw:
        try:
            raw.send(b"GET /healthz HTTP/1.1\r\nHost: d\r\nX-Long: " + b"x" * 100_000)
            assert raw.answer().status in (400, 431)
        except ConnectionError:
            pass  # the server closed while bytes still arrived, and the answer was lost
        assert raw.is_closed()
    assert httpx.get(f"{small_api.url}/healthz", timeout=60).status_code == 200


def test_aborted_upload_leaves_no_object(small_api: RunningApi) -> None:
    before = small_api.photo_keys
    with connected(small_api.url) as raw:
        raw.send(head(small_api.token(), Content_Length="5000") + photo()[:1000])
    with small_api.client(small_api.token()) as client:
        assert client.get("/healthz").status_code == 200
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and not any(line.get("reason") == "hung_up" for line in small_api.log_lines):
        time.sleep(0.1)
    assert any(line.get("reason") == "hung_up" for line in small_api.log_lines)
    assert small_api.photo_keys == before


def test_uploads_beyond_the_concurrency_limit_are_refused(start_api: StartApi) -> None:
    api = start_api({"SHELF_INTAKE_UPLOADS_IN_FLIGHT": "2", "SHELF_HTTP_SILENCE_SECONDS": "50"})
    token = api.token()
    with connected(api.url) as one, connected(api.url) as two, api.client(token) as client:
        for raw in (one, two):
            raw.send(head(token, Content_Length=str(len(photo()))) + photo()[:-9])
        deadline = time.monotonic() + 30
        while "shelf_upload_in_flight 2.0" not in client.get("/metrics").text and time.monotonic() < deadline:
            time.sleep(0.1)
        refused = client.post("/v1/images", content=photo(mark=15))
        assert (refused.status_code, refused.json()["reason"]) == (503, "busy")
        assert int(refused.headers["Retry-After"]) > 0
        assert client.get("/healthz").status_code == 200
        for raw in (one, two):
            raw.send(photo()[-9:])
            assert raw.answer().status in (200, 201)
        assert client.post("/v1/images", content=photo(mark=15)).status_code in (200, 201)


def test_one_owner_cannot_take_all_upload_slots(start_api: StartApi) -> None:
    api = start_api({"SHELF_INTAKE_UPLOADS_IN_FLIGHT": "4", "SHELF_HTTP_SILENCE_SECONDS": "50"})
    greedy, other = api.token("greedy"), api.token("other")
    with ExitStack() as stack:
        for _ in range(3):
            raw = stack.enter_context(connected(api.url))
            raw.send(head(greedy, Content_Length=str(len(photo()))) + photo()[:-9])
        with api.client(greedy) as client:
            deadline = time.monotonic() + 30
            while "shelf_upload_in_flight 3.0" not in client.get("/metrics").text and time.monotonic() < deadline:
                time.sleep(0.1)
            refused = client.post("/v1/images", content=photo(mark=31))
            assert (refused.status_code, refused.json()["reason"]) == (503, "busy")
        with api.client(other) as client:
            assert client.post("/v1/images", content=photo(mark=32)).status_code == 201


def test_photo_beyond_the_pixel_limit_is_decoded_once(api: RunningApi) -> None:
    with api.client(api.token("decoded", pixels=f"{64 * 48 - 1}/hour")) as client:
        first = client.post("/v1/images", content=photo(mark=33)).json()
        again = client.post("/v1/images", content=photo(mark=33)).json()
    assert first["reason"] == again["reason"] == "over_quota"
    assert "this alone asks for" in first["detail"], "a photo that was decoded must count its pixels"
    assert "this alone asks for" not in again["detail"], "with an exhausted limit the next photo must not be read"


def test_key_beyond_its_limits_is_refused(api: RunningApi) -> None:
    def second(ask, **limits: str) -> httpx.Response:
        with api.client(api.token("limited", **limits)) as client:
            assert ask(client, 20).status_code in (200, 201)
            return ask(client, 21)

    def send(client: httpx.Client, mark: int) -> httpx.Response:
        return client.post("/v1/images", content=photo(mark=mark))

    size_bytes = len(photo(mark=20))
    for limits, what in (
        ({"requests": "1/hour"}, "requests"),
        ({"bytes_": f"{size_bytes * 3 // 2}/hour"}, "bytes"),
        ({"pixels": f"{64 * 48 * 3 // 2}/hour"}, "pixels"),
    ):
        refused = second(send, **limits)
        assert (refused.status_code, refused.json()["reason"]) == (429, "over_quota")
        assert 0 < int(refused.headers["Retry-After"]) <= 7200
        assert what in refused.json()["detail"]


def test_body_without_length_is_held_to_the_byte_limit(api: RunningApi) -> None:
    with api.client(api.token("chunky", bytes_="1000/hour")) as client:
        refused = client.post("/v1/images", content=iter([photo(mark=22)]))
        assert (refused.status_code, refused.json()["reason"]) == (429, "over_quota")


def test_refused_bodies_consume_the_byte_limit(small_api: RunningApi) -> None:
    """Refused bodies count against the limit of bytes as well."""
    with small_api.client(small_api.token("greedy", bytes_="450000/hour")) as client:
        answers = [client.post("/v1/images", content=iter([bytes(100_001)])).status_code for _ in range(8)]
    assert answers[0] == 413 and answers[-1] == 429


def test_guessing_keys_is_rate_limited(start_api: StartApi) -> None:
    api = start_api({"SHELF_HTTP_ADDRESS_REQUESTS": "5/hour"})
    guesses = [httpx.get(f"{api.url}/v1/images/a", headers={"X-API-Key": f"guess{n}"}, timeout=60) for n in range(7)]
    assert [guess.status_code for guess in guesses] == [401] * 5 + [429] * 2
    assert int(guesses[-1].headers["Retry-After"]) > 0


@pytest.mark.slow
def test_concurrent_bodies_use_bounded_memory(start_api: StartApi) -> None:
    """Many concurrent bodies of the largest size: no more are held than the limit of concurrency, and none afterwards."""
    api = start_api({"SHELF_INTAKE_UPLOADS_IN_FLIGHT": "4", "SHELF_PHOTOS_DECODERS": "1"})
    body = b"\xff\xd8" + bytes(24_900_000)
    token, server, peak_bytes = api.token(), api.processes[0], [0]

    def send(answers: list[int]) -> None:
        with api.client(token) as client:
            answers.append(client.post("/v1/images", content=body).status_code)

    def round_of(count: int) -> list[int]:
        answers: list[int] = []
        senders = [threading.Thread(target=send, args=(answers,)) for _ in range(count)]
        for sender in senders:
            sender.start()
        while any(sender.is_alive() for sender in senders):
            peak_bytes[0] = max(peak_bytes[0], server.memory_info().rss)
            time.sleep(0.02)
        return answers

    round_of(1)
    before_bytes, peak_bytes[0] = server.memory_info().rss, 0
    answers = [status for _ in range(3) for status in round_of(12)]
    assert set(answers) <= {422, 503} and 422 in answers
    # Four bodies; another one on its way to the decoder, twice; the growth of a body, and freed memory that is not yet returned.
    assert peak_bytes[0] < before_bytes + 16 * len(body)
    deadline = time.monotonic() + 60
    while server.memory_info().rss >= before_bytes + 3 * len(body) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert server.memory_info().rss < before_bytes + 3 * len(body), "only each decoder's last body may stay"
