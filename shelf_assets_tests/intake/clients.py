"""Photos to send, and a client that writes raw bytes on a socket. No test here."""

from __future__ import annotations

import io
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from PIL import Image

from shelf_assets_tests.intake.running_servers import ANSWER_SECONDS
from shelf_assets_tests.vision.pictures import scene


def photo(width: int = 64, height: int = 48, mark: int = 0, **options: Any) -> bytes:
    """A JPEG; each `mark` gives different bytes."""
    picture = scene(width, height).copy()
    picture.putpixel((0, 0), (mark % 256, mark // 256 % 256, 128))
    picture.putpixel((9, 9), (128, mark % 251, mark // 251 % 256))
    file = io.BytesIO()
    picture.save(file, "JPEG", **({"quality": 95} | options))
    return file.getvalue() + mark.to_bytes(8)


def noise(width: int, height: int, seed: int) -> bytes:
    """A PNG of random pixels, which hardly compress."""
    import numpy as np

    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=0)
    return file.getvalue()


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def reason(self) -> str:
        reason: str = json.loads(self.body)["reason"]
        return reason


@dataclass
class Raw:
    """A connection that sends exactly the bytes that are written."""

    socket: socket.socket

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def answer(self) -> Answer:
        """Read the answer, to its declared length."""
        with self.socket.makefile("rb") as file:
            status_line = file.readline()
            while status_line.startswith(b"HTTP/1.1 100"):
                file.readline()
                status_line = file.readline()
            headers = {}
            while (line := file.readline().strip()) != b"":
                name, _, value = line.decode().partition(":")
                headers[name.lower()] = value.strip()
            return Answer(int(status_line.split()[1]), headers, file.read(int(headers.get("content-length", 0))))

    def is_closed(self) -> bool:
        """Read until the server closes the connection; False if it does not."""
        try:
            while self.socket.recv(65_536):
                pass
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False
        return True


@contextmanager
def connected(url: str) -> Iterator[Raw]:
    place = urlsplit(url)
    with socket.create_connection((place.hostname, place.port), timeout=ANSWER_SECONDS) as opened:
        yield Raw(opened)


def head(token: str, path: str = "/v1/images", **headers: str) -> bytes:
    """The head of a POST request; header names have `_` in place of `-`."""
    all_headers = {"Host": "api", "Authorization": f"Bearer {token}"} | {
        k.replace("_", "-"): v for k, v in headers.items()
    }
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in all_headers.items()), "", ""]
    return "\r\n".join(lines).encode()


def form(*parts: tuple[str, bytes], end: bytes = b"--b--\r\n", boundary: bytes = b"b") -> bytes:
    """The bytes of a form; each part has the parameters of its Content-Disposition and its data."""
    written = b"".join(
        b"--%b\r\nContent-Disposition: form-data; %b\r\n\r\n%b\r\n" % (boundary, p.encode(), d) for p, d in parts
    )
    return written + end
