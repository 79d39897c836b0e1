"""The sanitizer: re-encode a validated photo as a JPEG made from its pixels only, with a few metadata fields kept as strings.

Saving a file again would keep comments, profiles, thumbnails or appended bytes in one format or another; the encoder here
sees only pixels. Transparency is composited on white; of an animation the first frame is kept.
"""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import simplejpeg
from PIL import Image

from shelf_assets.photos.limits import Limits
from shelf_assets.photos.rules import Photo
from shelf_assets.photos.validator import validate_photo
from shelf_assets.vision.decode import decoded
from shelf_assets.vision.headers import Header
from shelf_assets.vision.preprocess import UPRIGHT

_MAKE, _MODEL, _GPS = 0x010F, 0x0110, 0x8825
# The camera's name comes from an untrusted file and goes into HTTP headers, logs and tables.
_UNSAFE_IN_NAME = re.compile(r"[^A-Za-z0-9 ._()/+-]+")
_NAME_CHARACTERS = 48
# A file may grow when it is re-encoded, and the graph rejects files above the limit: then the quality is lowered.
_LOWER_QUALITIES = (80, 70, 50)


@dataclass(frozen=True)
class Refusal:
    """A photo that was not accepted; `reason` is a key of `rules.BY_REASON`."""

    reason: str
    detail: str


@dataclass(frozen=True)
class SanitizedPhoto:
    """The re-encoded photo, upright. `upload_sha256` is the digest of the uploaded bytes, and identifies the upload."""

    jpeg: bytes
    width_px: int
    height_px: int
    upload_sha256: str
    metadata: Mapping[str, str]
    """Object metadata from the original file: format, orientation, camera, had-gps. Never a position."""

    @property
    def pixels(self) -> int:
        return self.width_px * self.height_px


def sanitize(data: bytes, limits: Limits, jpeg_quality: int) -> SanitizedPhoto | Refusal:
    """Validate a photo and re-encode it, in one decode. Returns a result for any bytes, unless a decoder crashes or hangs."""
    photo = Photo(data, decode_upright)
    result = validate_photo(photo, limits)
    if result.reason is not None:
        return Refusal(result.reason, result.detail or "")
    picture: np.ndarray = photo.decoded
    height, width, _ = picture.shape
    for quality in (jpeg_quality, *(lower for lower in _LOWER_QUALITIES if lower < jpeg_quality)):
        jpeg = simplejpeg.encode_jpeg(picture, quality=quality, colorspace="RGB", colorsubsampling="420")
        if len(jpeg) <= limits.max_bytes:
            return SanitizedPhoto(jpeg, width, height, hashlib.sha256(data).hexdigest(), _metadata(photo.header))
    return Refusal("too_large", f"{len(jpeg):,} bytes as a JPEG of quality {quality}, more than {limits.max_bytes:,}")


def decode_upright(data: bytes, header: Header) -> np.ndarray:
    """All pixels in EXIF orientation: uint8 RGB, H × W × 3, C-contiguous. Raises Undecodable."""
    transposed, mirrored_x, mirrored_y = UPRIGHT[header.exif_orientation]
    with decoded(data, header, shrink=1, to_keep=True) as stored:
        turned = stored.transpose(1, 0, 2) if transposed else stored
        turned = turned[:: -1 if mirrored_y else 1, :: -1 if mirrored_x else 1]
        return np.ascontiguousarray(turned)  # copies only where the picture was turned


def _metadata(header: Header) -> dict[str, str]:
    metadata = {"format": header.format, "orientation": str(header.exif_orientation)}
    tags = Image.Exif()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns for every broken tag
            tags.load(header.exif)
            camera = f"{tags.get(_MAKE, '')} {tags.get(_MODEL, '')}"
            had_gps = bool(tags.get_ifd(_GPS))
    except Exception:  # noqa: BLE001 - Pillow's EXIF parser raises many types; broken EXIF must not cost the photo
        return metadata | {"had-gps": "unknown"}
    name = " ".join(_UNSAFE_IN_NAME.sub(" ", camera).split())[:_NAME_CHARACTERS].strip()
    return metadata | ({"camera": name} if name else {}) | {"had-gps": "yes" if had_gps else "no"}
