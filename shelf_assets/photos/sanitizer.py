"""The file that is kept: a JPEG made of a photo's pixels alone, and the few facts of what was there. No judging here.

Re-saving is not enough: comments, profiles, thumbnails and appended bytes survive it in one format or another. What is
encoded here never saw the file, only its pixels. A picture with transparency lies on white, an animation is its first frame.
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
# What is kept of a camera's name: it comes from a stranger and ends in HTTP headers, logs and tables.
_NOT_OF_A_NAME = re.compile(r"[^A-Za-z0-9 ._()/+-]+")
_NAME_CHARACTERS = 48
# A file may grow when it is rebuilt, and the graph reads none that is larger than the limit.
_LOWER_QUALITIES = (80, 70, 50)


@dataclass(frozen=True)
class Refused:
    """Why not: `reason` is one of `rules.BY_REASON`."""

    reason: str
    detail: str


@dataclass(frozen=True)
class Accepted:
    """The rebuilt photo, upright. `upload_sha256` is that of the bytes as they were sent, and identifies an upload."""

    jpeg: bytes
    width_px: int
    height_px: int
    upload_sha256: str
    facts: Mapping[str, str]
    """What was there, as strings that any object store keeps: format, orientation, camera, had_gps; positions never."""

    @property
    def pixels(self) -> int:
        return self.width_px * self.height_px


def sanitize(data: bytes, limits: Limits, jpeg_quality: int) -> Accepted | Refused:
    """Judge a photo and rebuild it, in one decode. Never raises for any bytes; may die or hang, hence `decoders`."""
    photo = Photo(data, upright)
    result = validate_photo(photo, limits)
    if result.reason is not None:
        return Refused(result.reason, result.detail or "")
    picture: np.ndarray = photo.decoded
    height, width, _ = picture.shape
    for quality in (jpeg_quality, *(lower for lower in _LOWER_QUALITIES if lower < jpeg_quality)):
        jpeg = simplejpeg.encode_jpeg(picture, quality=quality, colorspace="RGB", colorsubsampling="420")
        if len(jpeg) <= limits.max_bytes:
            return Accepted(jpeg, width, height, hashlib.sha256(data).hexdigest(), _facts(photo.header))
    return Refused("too_large", f"{len(jpeg):,} bytes as a JPEG of quality {quality}, more than {limits.max_bytes:,}")


def upright(data: bytes, header: Header) -> np.ndarray:
    """All pixels of a photo, turned as its EXIF says: uint8 RGB, H × W × 3, C-contiguous. Raises Undecodable."""
    transposed, mirrored_x, mirrored_y = UPRIGHT[header.exif_orientation]
    with decoded(data, header, shrink=1, to_keep=True) as stored:
        turned = stored.transpose(1, 0, 2) if transposed else stored
        turned = turned[:: -1 if mirrored_y else 1, :: -1 if mirrored_x else 1]
        return np.ascontiguousarray(turned)  # a copy only of what is turned


def _facts(header: Header) -> dict[str, str]:
    found = {"format": header.format, "orientation": str(header.exif_orientation)}
    tags = Image.Exif()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # each would be a line of log for every broken tag
            tags.load(header.exif)
            camera = f"{tags.get(_MAKE, '')} {tags.get(_MODEL, '')}"
            had_gps = bool(tags.get_ifd(_GPS))
    except Exception:  # noqa: BLE001 - a stranger's EXIF, read in Python: whatever it breaks is not worth the photo
        return found | {"had-gps": "unknown"}
    name = " ".join(_NOT_OF_A_NAME.sub(" ", camera).split())[:_NAME_CHARACTERS].strip()
    return found | ({"camera": name} if name else {}) | {"had-gps": "yes" if had_gps else "no"}
