"""The photo in a multipart form, taken out while the form comes in: no file on disk, no name of a file looked at."""

from __future__ import annotations

import io

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from shelf_assets.http.problems import Problem

FIELD = "file"
# What a form may have beside its photo: boundaries, heads of parts, a few fields that nobody reads.
FORM_BYTES = 64 << 10
_MOST_PARTS = 16
_MOST_HEADERS, _MOST_HEADER_BYTES = 8, 4_096


def boundary_of(content_type: str) -> bytes | None:
    """The boundary of a form; None for every other body. Raises Problem for a form without, and for other multiparts."""
    kind, options = parse_options_header(content_type)
    if not kind.startswith(b"multipart/"):
        return None
    if kind != b"multipart/form-data":
        raise Problem("bad_form", "of multipart bodies only multipart/form-data is taken")
    if not options.get(b"boundary"):
        raise Problem("bad_form", "its Content-Type names no boundary")
    return options[b"boundary"]


class PhotoForm:
    """A form as it comes in; the photo is the field `file`. Raises Problem."""

    def __init__(self, boundary: bytes, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._photo: io.BytesIO | None = None
        self._parts, self._files = 0, 0
        self._is_photo, self._is_ended = False, False
        self._header, self._value, self._disposition = b"", b"", b""
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._on_part_begin,
                    "on_header_field": self._on_header_field,
                    "on_header_value": self._on_header_value,
                    "on_header_end": self._on_header_end,
                    "on_headers_finished": self._on_headers_finished,
                    "on_part_data": self._on_part_data,
                    "on_end": self._on_end,
                },
                max_header_count=_MOST_HEADERS,
                max_header_size=_MOST_HEADER_BYTES,
            )
        except FormParserError:
            raise Problem("bad_form", "its boundary is too long") from None

    def feed(self, chunk: bytes) -> None:
        try:
            self._parser.write(chunk)
        except FormParserError:
            raise Problem("bad_form", "it is not laid out as multipart/form-data is") from None

    def photo(self) -> bytes:
        if not self._is_ended:
            raise Problem("bad_form", "it ends before its closing boundary")
        if self._photo is None:
            raise Problem("no_photo", f'send the photo as the field "{FIELD}"')
        return self._photo.getvalue()

    def _on_part_begin(self) -> None:
        self._parts += 1
        if self._parts > _MOST_PARTS:
            raise Problem("bad_form", f"more than {_MOST_PARTS} fields")
        self._is_photo, self._disposition = False, b""

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header, self._value = b"", b""

    def _on_headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        is_named = options.get(b"name") == FIELD.encode()
        if not is_named and b"filename" not in options:
            return
        self._files += 1
        if self._files > 1:
            raise Problem("several_photos", "send each photo in a request of its own")
        if is_named:
            self._is_photo, self._photo = True, io.BytesIO()

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if not self._is_photo or self._photo is None:
            return
        if self._photo.tell() + end - start > self._most_bytes:
            raise Problem("too_large", f"more bytes came, more than {self._most_bytes:,}")
        self._photo.write(memoryview(data)[start:end])

    def _on_end(self) -> None:
        self._is_ended = True
