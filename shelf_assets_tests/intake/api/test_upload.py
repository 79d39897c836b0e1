"""Photos come in over HTTP: what is answered, to whom, and how much of a body is taken."""

from __future__ import annotations

import io
import threading
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from PIL import Image

from shelf_assets.intake.api.form import FORM_BYTES
from shelf_assets.intake.receipts import photo_key, received_at_of
from shelf_assets_tests.intake.api.conftest import OpenDoor
from shelf_assets_tests.intake.api.doors import Door, Place
from shelf_assets_tests.intake.api.senders import connected, head, noise, photo

PROBLEM = "application/problem+json"


@pytest.fixture(scope="module")
def client(door: Door) -> httpx.Client:
    return door.client(door.token())


def test_a_photo_that_was_answered_for_is_not_in_the_store(open_door: OpenDoor, place: Place) -> None:
    door = open_door(place=place)
    with door.client(door.token()) as client:
        began = datetime.now(UTC)
        sent = client.post("/v1/images", content=photo(80, 60))
        assert sent.status_code == 201, sent.text
        told = sent.json()
        assert sent.headers["Location"] == f"/v1/images/{told['image_id']}"
        assert (told["state"], told["width_px"], told["height_px"]) == ("received", 80, 60)
        received_at = datetime.fromisoformat(told["received_at"])
        assert abs((received_at - began).total_seconds()) < 60
        assert told["day"] == received_at.date().isoformat()
        assert received_at == received_at_of(told["image_id"])
        assert door.photo_keys == [photo_key(told["image_id"])]
        with Image.open(io.BytesIO(door.lake.objects.get(photo_key(told["image_id"])))) as kept:
            assert (kept.format, kept.size) == ("JPEG", (80, 60))
        state = client.get(sent.headers["Location"])
        assert state.status_code == 200 and state.json()["state"] == "received"
        assert state.json()["received_at"] == told["received_at"]


def test_a_form_is_taken_for_something_else_than_its_photo(client: httpx.Client) -> None:
    sent = client.post("/v1/images", files={"file": ("a.jpg", photo(mark=1))}, data={"note": "beside it"})
    assert sent.status_code == 201, sent.text
    assert client.post("/v1/images", content=photo(mark=1)).json()["image_id"] == sent.json()["image_id"]


def test_the_same_bytes_become_two_photos(door: Door, client: httpx.Client) -> None:
    first = client.post("/v1/images", content=photo(mark=2))
    again = client.post("/v1/images", content=photo(mark=2))
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert door.photo_keys.count(photo_key(first.json()["image_id"])) == 1
    with door.client(door.token("acme")) as colleague, door.client(door.token("umbrella")) as stranger:
        assert colleague.post("/v1/images", content=photo(mark=2)).json() == first.json()
        other = stranger.post("/v1/images", content=photo(mark=2))
        assert other.status_code == 201 and other.json()["image_id"] != first.json()["image_id"]


def test_senders_at_once_make_two_photos_of_one(client: httpx.Client) -> None:
    answers: list[httpx.Response] = []
    threads = [
        threading.Thread(target=lambda: answers.append(client.post("/v1/images", content=photo(mark=3))))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({answer.json()["image_id"] for answer in answers}) == 1
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [201]


def test_an_idempotency_key_is_not_held_to_its_photo(door: Door, client: httpx.Client) -> None:
    key = {"Idempotency-Key": "order-66"}
    first = client.post("/v1/images", content=photo(mark=4), headers=key)
    assert first.status_code == 201
    assert client.post("/v1/images", content=photo(mark=4), headers=key).json() == first.json()
    other = client.post("/v1/images", content=photo(mark=5), headers=key)
    assert (other.status_code, other.json()["reason"]) == (422, "idempotency_key_reused")
    with door.client(door.token("umbrella")) as stranger:
        assert stranger.post("/v1/images", content=photo(mark=5), headers=key).status_code == 201


@pytest.mark.parametrize("key", ["", "x" * 256, "a b", "caf\xe9"])
def test_an_idempotency_key_may_be_anything(client: httpx.Client, key: str) -> None:
    refused = client.post("/v1/images", content=photo(mark=6), headers={"Idempotency-Key": key.encode("latin-1")})
    assert (refused.status_code, refused.json()["reason"]) == (422, "invalid_request")
    assert refused.headers["Content-Type"] == PROBLEM


def test_a_photo_whose_erasure_was_asked_for_comes_back(client: httpx.Client) -> None:
    sent = client.post("/v1/images", content=photo(mark=7)).json()
    asked = client.delete(f"/v1/images/{sent['image_id']}")
    assert asked.status_code == 202 and asked.json()["state"] == "erasure_requested"
    assert client.delete(f"/v1/images/{sent['image_id']}").json() == asked.json()
    state = client.get(f"/v1/images/{sent['image_id']}").json()
    assert (state["state"], state["asked_at"]) == ("erasure_requested", asked.json()["asked_at"])
    again = client.post("/v1/images", content=photo(mark=7))
    assert (again.status_code, again.json()["reason"]) == (410, "erased")


def test_an_owner_sees_or_erases_the_image_of_another(door: Door, client: httpx.Client) -> None:
    path = client.post("/v1/images", content=photo(mark=8)).headers["Location"]
    with door.client(door.token("umbrella")) as stranger:
        unknown = stranger.get("/v1/images/019abf2e-5c00-7d3a-9c41-0c6f4a1b2c3d")
        for refused in (stranger.get(path), stranger.delete(path), stranger.get("/v1/images/..%2fkeys")):
            assert refused.status_code == 404
        known, made_up = stranger.get(path).json(), unknown.json()
        # Nothing tells whether the image is another's, or nobody's.
        assert {**known, "request_id": ""} == {**made_up, "request_id": ""}
    assert client.get(path).json()["state"] == "received"


def test_an_image_without_an_owner_is_anybodys(door: Door, client: httpx.Client) -> None:
    image_id = "019abf2e-5c00-7d3a-9c41-0c6f4a1b2c3d"
    door.lake.objects.put(photo_key(image_id), photo())
    assert client.get(f"/v1/images/{image_id}").status_code == 404
    assert client.delete(f"/v1/images/{image_id}").status_code == 404


def test_a_key_does_what_its_scopes_do_not_say(door: Door, client: httpx.Client) -> None:
    path = client.post("/v1/images", content=photo(mark=9)).headers["Location"]
    asks = {
        "upload": lambda client: client.post("/v1/images", content=photo(mark=9)),
        "read": lambda client: client.get(path),
        "erase": lambda client: client.delete(path),
    }
    for scope in asks:
        with door.client(door.token(scopes=(scope,))) as limited:
            for asked, ask in asks.items():
                answer = ask(limited)
                if asked == scope:
                    assert answer.status_code < 300
                else:
                    assert (answer.status_code, answer.json()["reason"]) == (403, "missing_scope")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer shelf_0123456789abcdef_" + "A" * 43},
        {"Authorization": "Basic YTpi"},
        {"X-API-Key": "../../etc/passwd"},
        {"Authorization": "Bearer ../keys/x"},
    ],
)
def test_the_door_opens_without_a_key(door: Door, headers: dict[str, str]) -> None:
    for method, path in (
        ("POST", "/v1/images"),
        ("POST", "/v1/uploads"),
        ("GET", "/v1/images/a"),
        ("DELETE", "/v1/images/a"),
    ):
        refused = httpx.request(method, door.url + path, headers=headers, timeout=60)
        assert (refused.status_code, refused.json()["reason"]) == (401, "no_key")
        assert refused.headers["WWW-Authenticate"] == "Bearer"
        assert refused.headers["Content-Type"] == PROBLEM


def test_the_other_header_for_keys_is_not_taken(door: Door) -> None:
    with door.client(**{"X-API-Key": door.token()}) as client:
        assert client.post("/v1/images", content=photo(mark=10)).status_code == 201


def test_what_the_sender_says_of_the_bytes_is_believed(client: httpx.Client) -> None:
    png = noise(20, 20, seed=1)
    assert client.post("/v1/images", content=png, headers={"Content-Type": "text/html"}).status_code == 201
    form = {"file": ("invoice.exe", noise(20, 20, seed=2), "application/x-msdownload")}
    assert client.post("/v1/images", files=form).status_code == 201
    script = b"<script>alert(1)</script>"
    for refused in (
        client.post("/v1/images", content=script, headers={"Content-Type": "image/jpeg"}),
        client.post("/v1/images", files={"file": ("a.jpg", script, "image/jpeg")}),
    ):
        assert (refused.status_code, refused.json()["reason"]) == (415, "not_an_image")


@pytest.mark.parametrize(
    "name",
    [
        "../../../../tmp/evil.jpg",
        "/etc/passwd",
        "..\\..\\evil.jpg",
        "a\x00.jpg",
        "x" * 3000,
        "'; DROP TABLE",
        "a/b/c.jpg",
    ],
)
def test_a_file_name_says_where_a_photo_goes(door: Door, client: httpx.Client, name: str) -> None:
    before = {stored.key for stored in door.lake.objects.list("")}
    sent = client.post("/v1/images", files={"file": (name, photo(mark=1000 + hash(name) % 1000))})
    assert sent.status_code == 201, sent.text
    new = {stored.key for stored in door.lake.objects.list("")} - before
    assert {key.split("/")[0] for key in new} <= {"images", "door", "facts"}
    assert photo_key(sent.json()["image_id"]) in new
    assert not Path("/tmp/evil.jpg").exists()


def test_a_photo_without_bytes_is_taken(client: httpx.Client) -> None:
    for refused in (client.post("/v1/images", content=b""), client.post("/v1/images", files={"file": ("a.jpg", b"")})):
        assert (refused.status_code, refused.json()["reason"]) == (422, "empty")


def form(*parts: tuple[str, bytes], end: bytes = b"--b--\r\n", boundary: bytes = b"b") -> bytes:
    """A form as written, each part with its Content-Disposition's parameters."""
    written = b"".join(
        b"--%b\r\nContent-Disposition: form-data; %b\r\n\r\n%b\r\n" % (boundary, p.encode(), d) for p, d in parts
    )
    return written + end


FILE = ('name="file"; filename="a.jpg"', photo(mark=11))
FORMS = {
    "two files": (form(FILE, FILE), 422, "several_photos"),
    "a file of another field beside it": (form(FILE, ('name="x"; filename="b"', b"b")), 422, "several_photos"),
    "a file of another field": (form(('name="x"; filename="b"', photo())), 422, "no_photo"),
    "fields alone": (form(('name="x"', b"1")), 422, "no_photo"),
    "no end": (form(FILE, end=b""), 400, "bad_form"),
    "another boundary": (form(FILE, boundary=b"c"), 400, "bad_form"),
    "nothing": (b"", 400, "bad_form"),
    "many fields": (form(*[("name=x", b"1")] * 40, FILE), 400, "bad_form"),
    "a header without end": (b"--b\r\nContent-Disposition: " + b"x" * 60_000, 400, "bad_form"),
    "many headers": (b"--b\r\n" + b"A: b\r\n" * 2_000, 400, "bad_form"),
    "a header that is none": (b"--b\r\n\x00\xff: b\r\n\r\n", 400, "bad_form"),
}


@pytest.mark.parametrize("name", FORMS)
def test_an_odd_form_is_taken(client: httpx.Client, name: str) -> None:
    body, status, reason = FORMS[name]
    refused = client.post("/v1/images", content=body, headers={"Content-Type": "multipart/form-data; boundary=b"})
    assert (refused.status_code, refused.json()["reason"]) == (status, reason)


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/mixed; boundary=b",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        f"multipart/form-data; boundary={'b' * 300}",
    ],
)
def test_a_multipart_that_is_no_form_is_taken(client: httpx.Client, content_type: str) -> None:
    refused = client.post("/v1/images", content=form(FILE), headers={"Content-Type": content_type})
    assert (refused.status_code, refused.json()["reason"]) == (400, "bad_form")


def test_errors_are_not_all_of_one_form(door: Door) -> None:
    asks = (("GET", "/nowhere", 404), ("PATCH", "/v1/images", 405), ("GET", "/v1/images/a/b", 404))
    for method, path, status in asks:
        answer = httpx.request(method, door.url + path, timeout=60)
        assert answer.status_code == status
        assert answer.headers["Content-Type"] == PROBLEM
        problem = answer.json()
        assert problem["status"] == status
        assert problem["request_id"] == answer.headers["X-Request-ID"]
        assert set(problem) == {"type", "title", "status", "reason", "detail", "request_id"}


def test_a_browser_may_guess_or_keep_an_answer(client: httpx.Client) -> None:
    for answer in (client.post("/v1/images", content=photo(mark=12)), client.post("/v1/images", content=b"x")):
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"
        assert "Server" not in answer.headers


SMALL = {"SHELF_MAX_PHOTO_BYTES": "100000", "SHELF_SILENCE_SECONDS": "2", "SHELF_BODY_SECONDS": "6"}


@pytest.fixture(scope="module")
def small_door(tmp_path_factory: pytest.TempPathFactory):
    """A door that takes little, and waits little."""
    from shelf_assets_tests.intake.api.doors import on_disk, running

    folder = tmp_path_factory.mktemp("small")
    with running(on_disk(folder), folder, SMALL) as opened:
        yield opened


def test_a_body_is_read_that_announces_too_much(small_door: Door) -> None:
    with connected(small_door.url) as raw:
        raw.send(head(small_door.token(), Content_Length="30000000"))
        answer = raw.answer()  # not a byte of it was sent
        assert (answer.status, answer.reason) == (413, "too_large")
        assert raw.is_closed()


def test_a_body_is_asked_for_that_announces_too_much(small_door: Door) -> None:
    with connected(small_door.url) as raw:
        raw.send(head(small_door.token(), Content_Length="30000000", Expect="100-continue"))
        assert raw.socket.recv(12) == b"HTTP/1.1 413"


@pytest.mark.parametrize("size_bytes", [100_001, 5_000_000])
def test_a_body_over_the_limit_is_not_told_why(small_door: Door, size_bytes: int) -> None:
    """Sent whole by a client that reads only then: the answer must not be lost with the connection."""
    with connected(small_door.url) as raw:
        raw.send(head(small_door.token(), Content_Length=str(size_bytes)))
        raw.send(bytes(size_bytes))
        assert raw.answer().status == 413


def test_a_chunked_body_is_read_beyond_the_limit(small_door: Door) -> None:
    with connected(small_door.url) as raw:
        raw.send(head(small_door.token(), Transfer_Encoding="chunked"))
        chunk = b"%x\r\n%b\r\n" % (20_000, bytes(20_000))
        raw.send(chunk * 5)
        raw.socket.settimeout(0.3)
        with pytest.raises(TimeoutError):
            raw.socket.recv(1)  # 100,000 bytes are within it
        raw.socket.settimeout(60)
        raw.send(chunk)
        answer = raw.answer()
        assert (answer.status, answer.reason) == (413, "too_large")
        assert raw.is_closed()


def test_a_form_is_a_way_around_the_limit(small_door: Door) -> None:
    with small_door.client(small_door.token()) as client:
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


def test_a_sender_who_falls_silent_is_waited_for(small_door: Door) -> None:
    token = small_door.token()
    with connected(small_door.url) as raw, small_door.client(token) as other:
        raw.send(head(token, Content_Length="5000") + b"\xff\xd8\xff")
        began = time.monotonic()
        assert other.post("/v1/images", content=photo(mark=13)).status_code == 201
        answer = raw.answer()
        assert (answer.status, answer.reason) == (408, "too_slow_to_arrive")
        assert 1 < time.monotonic() - began < 30
        assert raw.is_closed()


def test_a_sender_who_dribbles_is_waited_for_and_others_are_not_served(small_door: Door) -> None:
    token = small_door.token()
    with connected(small_door.url) as raw, small_door.client(token) as other:
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
def test_a_head_that_never_ends_is_waited_for(small_door: Door, sent: bytes) -> None:
    with connected(small_door.url) as raw:
        began = time.monotonic()
        raw.send(sent)
        raw.socket.settimeout(30)
        assert raw.is_closed()
        assert time.monotonic() - began > 1


def test_a_head_that_dribbles_is_waited_for(small_door: Door) -> None:
    with connected(small_door.url) as raw:
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


def test_a_head_may_be_of_any_size(small_door: Door) -> None:
    with connected(small_door.url) as raw:
        try:
            raw.send(b"GET /healthz HTTP/1.1\r\nHost: d\r\nX-Long: " + b"x" * 100_000)
            assert raw.answer().status in (400, 431)
        except ConnectionError:
            pass  # closed upon what was still coming, and the answer with it
        assert raw.is_closed()
    assert httpx.get(f"{small_door.url}/healthz", timeout=60).status_code == 200


def test_a_sender_who_hangs_up_leaves_something_behind(small_door: Door) -> None:
    before = small_door.photo_keys
    with connected(small_door.url) as raw:
        raw.send(head(small_door.token(), Content_Length="5000") + photo()[:1000])
    with small_door.client(small_door.token()) as client:
        assert client.get("/healthz").status_code == 200
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and not any(line.get("reason") == "hung_up" for line in small_door.log_lines):
        time.sleep(0.1)
    assert any(line.get("reason") == "hung_up" for line in small_door.log_lines)
    assert small_door.photo_keys == before


def test_more_uploads_are_held_than_there_are_places(open_door: OpenDoor) -> None:
    door = open_door({"SHELF_UPLOADS_IN_FLIGHT": "2", "SHELF_SILENCE_SECONDS": "50"})
    token = door.token()
    with connected(door.url) as one, connected(door.url) as two, door.client(token) as client:
        for raw in (one, two):
            raw.send(head(token, Content_Length=str(len(photo()))) + photo()[:-9])
        deadline = time.monotonic() + 30
        while "shelf_door_places_taken 2.0" not in client.get("/metrics").text and time.monotonic() < deadline:
            time.sleep(0.1)
        refused = client.post("/v1/images", content=photo(mark=15))
        assert (refused.status_code, refused.json()["reason"]) == (503, "busy")
        assert int(refused.headers["Retry-After"]) > 0
        assert client.get("/healthz").status_code == 200
        for raw in (one, two):
            raw.send(photo()[-9:])
            assert raw.answer().status in (200, 201)
        assert client.post("/v1/images", content=photo(mark=15)).status_code in (200, 201)


def test_one_owner_takes_all_the_places(open_door: OpenDoor) -> None:
    door = open_door({"SHELF_UPLOADS_IN_FLIGHT": "4", "SHELF_SILENCE_SECONDS": "50"})
    greedy, other = door.token("greedy"), door.token("other")
    with ExitStack() as stack:
        for _ in range(3):
            raw = stack.enter_context(connected(door.url))
            raw.send(head(greedy, Content_Length=str(len(photo()))) + photo()[:-9])
        with door.client(greedy) as client:
            deadline = time.monotonic() + 30
            while "shelf_door_places_taken 3.0" not in client.get("/metrics").text and time.monotonic() < deadline:
                time.sleep(0.1)
            refused = client.post("/v1/images", content=photo(mark=31))
            assert (refused.status_code, refused.json()["reason"]) == (503, "busy")
        with door.client(other) as client:
            assert client.post("/v1/images", content=photo(mark=32)).status_code == 201


def test_a_photo_past_the_limit_of_pixels_is_decoded_again_and_again(door: Door) -> None:
    with door.client(door.token("decoded", pixels=f"{64 * 48 - 1}/hour")) as client:
        first = client.post("/v1/images", content=photo(mark=33)).json()
        again = client.post("/v1/images", content=photo(mark=33)).json()
    assert first["reason"] == again["reason"] == "over_quota"
    assert "this alone asks for" in first["detail"], "it was decoded, and its pixels are known"
    assert "this alone asks for" not in again["detail"], "it was not read: nothing is left"


def test_a_key_sends_more_than_its_limits(door: Door) -> None:
    def second(ask, **limits: str) -> httpx.Response:
        with door.client(door.token("limited", **limits)) as client:
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


def test_a_body_without_a_length_passes_the_limit_of_bytes(door: Door) -> None:
    with door.client(door.token("chunky", bytes_="1000/hour")) as client:
        refused = client.post("/v1/images", content=iter([photo(mark=22)]))
        assert (refused.status_code, refused.json()["reason"]) == (429, "over_quota")


def test_refused_bodies_cost_nothing(small_door: Door) -> None:
    """A sender who sends only what is refused comes to the end of its bytes as well."""
    with small_door.client(small_door.token("greedy", bytes_="450000/hour")) as client:
        answers = [client.post("/v1/images", content=iter([bytes(100_001)])).status_code for _ in range(8)]
    assert answers[0] == 413 and answers[-1] == 429


def test_keys_are_guessed_at_any_rate(open_door: OpenDoor) -> None:
    door = open_door({"SHELF_ADDRESS_REQUESTS": "5/hour"})
    guesses = [httpx.get(f"{door.url}/v1/images/a", headers={"X-API-Key": f"guess{n}"}, timeout=60) for n in range(7)]
    assert [guess.status_code for guess in guesses] == [401] * 5 + [429] * 2
    assert int(guesses[-1].headers["Retry-After"]) > 0


@pytest.mark.slow
def test_bodies_fill_the_memory_or_stay_in_it(open_door: OpenDoor) -> None:
    """Many at once of the largest: no more are held than there are places, and none afterwards."""
    door = open_door({"SHELF_UPLOADS_IN_FLIGHT": "4", "SHELF_DECODERS": "1"})
    body = b"\xff\xd8" + bytes(24_900_000)
    token, server, peak_bytes = door.token(), door.processes[0], [0]

    def send(answers: list[int]) -> None:
        with door.client(token) as client:
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
    # Four bodies; one more on its way to the decoder, twice; what a body takes while it grows, and what it leaves for a while.
    assert peak_bytes[0] < before_bytes + 16 * len(body)
    deadline = time.monotonic() + 60
    while server.memory_info().rss >= before_bytes + 3 * len(body) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert server.memory_info().rss < before_bytes + 3 * len(body), "each decoder's last may stay, no more"
