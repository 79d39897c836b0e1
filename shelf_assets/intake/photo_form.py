"""Take the photo out of a multipart form while the form arrives. Writes no file and ignores file names."""

from __future__ import annotations

import io

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from shelf_assets.http.problems import Problem
from shelf_assets.intake.problems import BAD_FORM, NO_PHOTO, SEVERAL_PHOTOS, TOO_LARGE

FIELD = "file"
# What a form may hold beside its photo: boundaries, headers of parts, a few fields, which are ignored.
FORM_BYTES = 64 << 10
_MAX_PARTS = 16
_MAX_HEADERS, _MAX_HEADER_BYTES = 8, 4_096


def boundary_of(content_type: str) -> bytes | None:
    """The boundary of a form; None if the body is no multipart. Raises Problem for a form without, and for other multiparts."""
    kind, options = parse_options_header(content_type)
    if not kind.startswith(b"multipart/"):
        return None
    if kind != b"multipart/form-data":
        raise Problem(BAD_FORM, "the only multipart body accepted is multipart/form-data")
    if not options.get(b"boundary"):
        raise Problem(BAD_FORM, "its Content-Type names no boundary")
    return options[b"boundary"]


class PhotoForm:
    """An incremental parser of one form, whose photo is the field `file`. Every method raises Problem."""

    def __init__(self, boundary: bytes, max_bytes: int) -> None:
        self._max_bytes = max_bytes
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
                max_header_count=_MAX_HEADERS,
                max_header_size=_MAX_HEADER_BYTES,
            )
        except FormParserError:
            raise Problem(BAD_FORM, "its boundary is too long") from None

    def feed(self, chunk: bytes) -> None:
        try:
            self._parser.write(chunk)
        except FormParserError:
            raise Problem(BAD_FORM, "it is no valid multipart/form-data") from None

    def photo(self) -> bytes:
        if not self._is_ended:
            raise Problem(BAD_FORM, "it ends before its closing boundary")
        if self._photo is None:
            raise Problem(NO_PHOTO, f'send the photo as the field "{FIELD}"')
        return self._photo.getvalue()

    def _on_part_begin(self) -> None:
        self._parts += 1
        if self._parts > _MAX_PARTS:
            raise Problem(BAD_FORM, f"more than {_MAX_PARTS} fields")
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
            raise Problem(SEVERAL_PHOTOS, "send each photo in a request of its own")
        if is_named:
            self._is_photo, self._photo = True, io.BytesIO()

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if not self._is_photo or self._photo is None:
            return
        if self._photo.tell() + end - start > self._max_bytes:
            raise Problem(TOO_LARGE, f"more bytes came, more than {self._max_bytes:,}")
        self._photo.write(memoryview(data)[start:end])

    def _on_end(self) -> None:
        self._is_ended = True
