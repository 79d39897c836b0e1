"""Recognise image formats by signature only. Headers are read in `headers`, pixels in `decode`.

Accepted are the formats that phones and browsers send: JPEG, PNG, WebP, GIF, and HEIC and AVIF, which newer phones send when
an app does not request JPEG. Other known formats are named, so that a rejection can say more than "not an image".
"""

from __future__ import annotations

import re

from shelf_assets.vision.reasons import Reason, Undecodable

ACCEPTED_FORMATS = ("jpeg", "png", "webp", "gif", "heic", "avif")

_SIGNATURES = (
    (b"\xff\xd8", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"BM", "bmp"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
    (b"II+\x00", "tiff"),
    (b"MM\x00+", "tiff"),
    (b"8BPS", "psd"),
    (b"%PDF", "pdf"),
    (b"%!PS", "eps"),
    (b"\xc5\xd0\xd3\xc6", "eps"),
    (b"\x00\x00\x01\x00", "ico"),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "jpeg2000"),
    (b"\xff\x4f\xff\x51", "jpeg2000"),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "jpegxl"),
    (b"\xff\x0a", "jpegxl"),
    (b"qoif", "qoi"),
    (b"DDS ", "dds"),
    (b"icns", "icns"),
    (b"\x01\xda", "sgi"),
    (b"\x76\x2f\x31\x01", "exr"),
    (b"SIMPLE  =", "fits"),
)
_PORTABLE_ANYMAP = re.compile(rb"P[1-7fF]\s")
_SVG = re.compile(rb"\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*(<!DOCTYPE\s+svg[^>]*>\s*)?<svg\b", re.DOTALL)
_HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"mif1", b"msf1")
_ISO_BRANDS = {b"avif": "avif", b"avis": "avif"} | dict.fromkeys(_HEIC_BRANDS, "heic")
_HEAD_BYTES = 512


def sniff(data: bytes) -> str | None:
    """Name of the format in lower case; None for unknown signatures."""
    head = data[:_HEAD_BYTES]
    for signature, name in _SIGNATURES:
        if head.startswith(signature):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[4:8] == b"ftyp":
        return _ISO_BRANDS.get(head[8:12])
    if _PORTABLE_ANYMAP.match(head):
        return "pnm"
    return "svg" if _SVG.match(head) else None


def accepted_format(data: bytes) -> str:
    """The format, one of ACCEPTED_FORMATS. Raises Undecodable (empty, not_an_image, unsupported_format)."""
    if not data:
        raise Undecodable(Reason.empty, "0 bytes")
    name = sniff(data)
    if name is None:
        raise Undecodable(Reason.not_an_image, f"starts with {data[:8].hex(' ')}")
    if name not in ACCEPTED_FORMATS:
        raise Undecodable(Reason.unsupported_format, f"{name}; accepted formats are {', '.join(ACCEPTED_FORMATS)}")
    return name
