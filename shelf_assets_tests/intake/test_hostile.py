"""Hostile files sent to the running API: each is accepted or refused with a reason, and a stored photo has none of their bytes."""

from __future__ import annotations

import io
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from shelf_assets.photos.rules import BY_REASON
from shelf_assets_tests.intake.clients import photo
from shelf_assets_tests.intake.running_servers import RunningApi, on_disk, running
from shelf_assets_tests.vision.pictures import encoded, exif, scene

# A decoder may use its limit and the memory of its process; the server, that of a few photos.
DECODE_BYTES = 1_000_000_000
MOST_BYTES = 2 * (DECODE_BYTES + 200_000_000) + 600_000_000
ANSWER_SECONDS = 5.0
CANARY = b"canary-5b0b7ad0c1b24f0a"
MAKE, MODEL, GPS, GPS_LATITUDE, GPS_LONGITUDE, USER_COMMENT = 0x010F, 0x0110, 0x8825, 2, 4, 0x9286


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApi]:
    folder = tmp_path_factory.mktemp("api")
    settings = {
        "SHELF_PHOTOS_DECODE_MEMORY_BYTES": str(DECODE_BYTES),
        "SHELF_PHOTOS_DECODERS": "2",
        "SHELF_PHOTOS_DECODE_SECONDS": "4",
        "SHELF_HTTP_KEY_REQUESTS": "100000/minute",
        "SHELF_HTTP_ADDRESS_REQUESTS": "100000/minute",
    }
    with running(on_disk(folder), folder, settings) as opened:
        yield opened


def held_bytes(api: RunningApi) -> int:
    """Memory of the server and its decoders, in bytes; a process that has just ended has none."""
    held = 0
    for process in api.processes:
        try:
            held += process.memory_full_info().pss
        except psutil.NoSuchProcess:
            continue
    return held


def send_all(api: RunningApi, files: list[tuple[str, bytes]]) -> dict[str, httpx.Response]:
    """Send every file in its own request, and check the promises for every answer."""
    answers: dict[str, httpx.Response] = {}
    with api.client(api.token()) as client:
        client.post("/v1/images", content=photo())  # waits for the decoders
        for name, data in files:
            began = time.monotonic()
            answer = answers[name] = client.post("/v1/images", content=data)
            assert time.monotonic() - began < ANSWER_SECONDS, name
            if answer.status_code not in (200, 201):
                rule = BY_REASON[answer.json()["reason"]]
                assert answer.status_code == rule.http_status, name
                assert answer.json()["title"] == rule.sentence
            assert held_bytes(api) < MOST_BYTES, name
    assert api.process.poll() is None
    return answers


def files_of(shared_data: Path, *folders: str) -> list[tuple[str, bytes]]:
    files = [path for folder in folders for path in sorted((shared_data / folder).rglob("*")) if path.is_file()]
    assert files
    return [(str(path.relative_to(shared_data)), path.read_bytes()) for path in files]


@pytest.mark.slow
def test_hostile_file_is_accepted_or_refused_with_a_reason(api: RunningApi, shared_data: Path) -> None:
    answers = send_all(api, files_of(shared_data, "hostile"))
    assert len(answers) > 400
    refused = [answer for answer in answers.values() if answer.status_code not in (200, 201)]
    assert len(refused) > 50
    assert len(answers) - len(refused) > 0


@pytest.mark.slow
def test_good_photo_is_stored_without_its_metadata(api: RunningApi, shared_data: Path) -> None:
    files = files_of(shared_data, "exif-orientation", "phone-photos")
    photos = [(name, data) for name, data in files if name.endswith(".jpg")]
    answers = send_all(api, photos)
    told_of = 0
    for name, data in photos:
        assert answers[name].status_code in (200, 201), name
        kept = object_of(api, answers[name])
        with Image.open(io.BytesIO(data)) as sent, Image.open(io.BytesIO(kept)) as stored:
            assert stored.format == "JPEG" and not stored.getexif() and "icc_profile" not in stored.info
            assert not {"comment", "xmp", "exif"} & set(stored.info), name
            secrets = secrets_of(sent)
        told_of += bool(secrets)
        for secret in secrets:
            assert secret not in kept, (name, secret)
        assert b"Exif\0\0" not in kept and b"http://ns.adobe.com" not in kept and b"ICC_PROFILE" not in kept
    assert told_of >= 10


def secrets_of(image: Image.Image) -> list[bytes]:
    """The camera and the position in the file's EXIF, as bytes."""
    tags = image.getexif()
    names = [tags.get(MAKE), tags.get(MODEL)]
    secrets = [str(name).strip("\0 ").encode() for name in names if name and len(str(name).strip("\0 ")) > 3]
    place = tags.get_ifd(GPS)
    for tag in (GPS_LATITUDE, GPS_LONGITUDE):
        if tag in place:
            degrees = [(part.numerator, part.denominator) for part in place[tag]]
            for order in ("little", "big"):
                secrets.append(b"".join(n.to_bytes(4, order) + d.to_bytes(4, order) for n, d in degrees))  # type: ignore[arg-type]
    return [secret for secret in secrets if secret.strip(b"\0\1")]


def object_of(api: RunningApi, answer: httpx.Response) -> bytes:
    body = answer.json()
    return api.lake.objects.get(f"images/{body['day'].replace('-', '/')}/{body['image_id']}")


def planted(format_name: str) -> bytes:
    """A photo with the canary wherever its format has room for text."""
    tags = Image.Exif()
    tags[MAKE], tags[MODEL] = CANARY.decode(), "a camera"
    tags.get_ifd(0x8769)[USER_COMMENT] = CANARY
    tags.get_ifd(GPS)[29] = CANARY.decode()
    file = io.BytesIO()
    icc = b"\0\0\0\x80" + CANARY * 20
    if format_name == "PNG":
        words = PngInfo()
        words.add_text("Comment", CANARY.decode())
        words.add_itxt("XML:com.adobe.xmp", CANARY.decode())
        words.add_text("Packed", CANARY.decode() * 9, zip=True)
        scene(60, 40).save(file, "PNG", pnginfo=words, exif=tags, icc_profile=icc)
    elif format_name == "JPEG":
        scene(60, 40).save(file, "JPEG", exif=tags, comment=CANARY, icc_profile=icc, xmp=CANARY)
    elif format_name == "GIF":
        scene(60, 40).convert("P").save(file, "GIF", comment=CANARY)
    elif format_name == "WEBP":
        scene(60, 40).save(file, "WEBP", exif=tags, icc_profile=icc, xmp=CANARY)
    else:
        scene(60, 40).save(file, format_name, exif=tags.tobytes())
    return file.getvalue() + CANARY


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "WEBP", "GIF", "AVIF", "HEIF"])
def test_text_inside_a_file_never_reaches_the_lake(api: RunningApi, format_name: str) -> None:
    data = planted(format_name)
    assert data.count(CANARY) >= 2
    with api.client(api.token("planter")) as client:
        raw = client.post("/v1/images", content=data)
        assert raw.status_code == 201, raw.text
        name = CANARY.decode()
        formed = client.post(
            "/v1/images",
            files={"file": (f"{name}.jpg", data + b"!", f"image/{name}")},
            data={name: name},
            headers={"User-Agent": name, "Referer": f"https://{name}/"},
        )
        assert formed.status_code == 201, formed.text
        client.get(f"/v1/images/{name}")
        client.get(f"/{name}?{name}={name}")
    assert CANARY not in object_of(api, raw)
    facts = api.place.lake.objects.folder
    assert facts is not None
    of_photos = 0
    for path in facts.rglob("*"):
        if path.is_file() and "tables" not in path.parts:
            found = path.read_bytes()
            of_photos += "images" in path.parts
            # The camera's name is kept as metadata, after cleaning; nothing else of the file is.
            assert CANARY not in (found.replace(b'"camera": "' + CANARY, b"") if "facts" in path.parts else found), path
    assert of_photos >= 2
    assert name not in api.log_text


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)


def bombs() -> dict[str, tuple[bytes, set[str]]]:
    """Decompression bombs and polyglots, with the possible reasons of each."""
    header = png_chunk(b"IHDR", (60_000).to_bytes(4) * 2 + bytes([8, 2, 0, 0, 0]))
    packed = png_chunk(b"IDAT", zlib.compress(bytes(30_000_000), 9))
    png_bomb = b"\x89PNG\r\n\x1a\n" + header + packed + png_chunk(b"IEND", b"")
    jpeg = photo(64, 64)
    start = jpeg.index(b"\xff\xc0")
    huge_jpeg = jpeg[: start + 5] + b"\xff\xff\xff\xff" + jpeg[start + 9 :]
    one_frame = encoded(Image.new("P", (16, 16)), "GIF")
    picture = one_frame.index(b",", 13)
    film = one_frame[:picture] + one_frame[picture:-1] * 10_000 + b";"
    wide_gif = b"GIF89a" + b"\xff\xff\xff\xff" + b"\x80\0\0" + bytes(6)
    big_exif = encoded(scene(64, 64), exif=exif(6) + bytes(60_000), icc_profile=bytes(5_000_000))
    archive = b"PK\x03\x04" + bytes(200) + b"PK\x05\x06" + bytes(18)
    script = b"GIF89a/*" + bytes(20) + b"*/=1;alert(document.domain)//"
    return {
        "png bomb": (png_bomb, {"too_many_pixels"}),
        "jpeg of 65,535 squared": (huge_jpeg, {"too_many_pixels"}),
        "gif of 10,000 frames": (film, {"too_many_frames"}),
        "wide gif": (wide_gif, {"too_many_pixels", "truncated", "decode_error"}),
        "one pixel high": (encoded(scene(5_000, 1), "PNG"), {"odd_shape"}),
        "huge exif and profile": (big_exif, set()),
        "jpeg and zip": (jpeg + archive, set()),
        "gif and script": (script, {"truncated", "decode_error", "too_many_pixels", "odd_shape"}),
        "zip": (archive, {"not_an_image", "unsupported_format"}),
        "pdf": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", {"unsupported_format", "not_an_image"}),
        "svg": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', {"unsupported_format", "not_an_image"}),
        "eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n", {"unsupported_format", "not_an_image"}),
        "half a jpeg": (jpeg[: len(jpeg) // 2], {"truncated", "decode_error"}),
        "a head of a jpeg": (jpeg[:20], {"truncated", "decode_error"}),
    }


def test_decompression_bomb_is_refused_by_its_reason(api: RunningApi) -> None:
    made = bombs()
    answers = send_all(api, [(name, data) for name, (data, _) in made.items()])
    for name, (_, reasons) in made.items():
        answer = answers[name]
        if reasons:
            assert answer.status_code >= 400, name
            assert answer.json()["reason"] in reasons, (name, answer.json())
        else:
            assert answer.status_code in (200, 201), (name, answer.text)


def test_polyglot_loses_its_second_format(api: RunningApi) -> None:
    with api.client(api.token()) as client:
        data = photo(mark=77) + b"PK\x03\x04" + b"<?php system($_GET[0]); ?><script>alert(1)</script>"
        kept = object_of(api, client.post("/v1/images", content=data))
    assert kept.startswith(b"\xff\xd8") and kept.endswith(b"\xff\xd9")
    assert b"PK\x03\x04" not in kept and b"<?php" not in kept and b"<script" not in kept


def test_every_stored_photo_is_a_readable_jpeg(api: RunningApi) -> None:
    assert api.photo_keys
    for key in api.photo_keys:
        try:
            with Image.open(io.BytesIO(api.lake.objects.get(key)), formats=["JPEG"]) as image:
                image.load()
        except (OSError, UnidentifiedImageError) as error:
            pytest.fail(f"{key}: {error}")
