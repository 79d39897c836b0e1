"""Seeds of the fuzzer: a small picture in every format and coding."""

from __future__ import annotations

from PIL import Image

from shelf_assets_tests.vision.pictures import deep_heic, encoded, exif, faded, png, png16, png_chunk, scene, turned

SIZE = (40, 24)


def seeds() -> dict[str, bytes]:
    """Files by name; all of them are accepted photos."""
    small, see_through = scene(*SIZE), faded(*SIZE)
    frames = {"save_all": True, "append_images": [small.rotate(180), small.rotate(90)], "duration": 50}
    return {
        "jpeg": encoded(small),
        "jpeg-progressive": encoded(small, progressive=True),
        "jpeg-grey": encoded(small.convert("L")),
        "jpeg-cmyk": encoded(small.convert("CMYK")),
        "jpeg-restarts": encoded(small, restart_marker_blocks=2),
        "jpeg-turned": turned(small, 6, comment=b"of a shelf"),
        "jpeg-profile": encoded(small, icc_profile=b"profile" * 9, xmp=b"<x:xmpmeta/>"),
        "png": encoded(small, "PNG"),
        "png-palette": encoded(small.quantize(16), "PNG", transparency=3),
        "png-alpha": encoded(see_through, "PNG", exif=exif(3)),
        "png-16": png16(small),
        "png-bits": encoded(small.convert("1"), "PNG"),
        "png-text": png(1, 1, 8, 0, b"\0\0", png_chunk(b"tEXt", b"Title\0a"), png_chunk(b"zTXt", b"a\0\0x\x9c")),
        "png-frames": encoded(small, "PNG", **frames),
        "webp": encoded(small, "WEBP"),
        "webp-lossless": encoded(see_through, "WEBP", lossless=True, exif=exif(8)),
        "webp-frames": encoded(small, "WEBP", **frames),
        "gif": encoded(small.quantize(16), "GIF", comment=b"of a shelf"),
        "gif-frames": encoded(small.quantize(16), "GIF", save_all=True, append_images=[small.quantize(8)]),
        "heic": encoded(small, "HEIF", exif=exif(6)),
        "heic-alpha": encoded(see_through, "HEIF"),
        "heic-deep": deep_heic(see_through),
        "heic-frames": encoded(small, "HEIF", save_all=True, append_images=[small.rotate(180)]),
        "avif": encoded(small, "AVIF", exif=exif(7)),
        "avif-alpha": encoded(see_through, "AVIF"),
        "avif-frames": encoded(small, "AVIF", **frames),
        "empty-picture": encoded(Image.new("RGB", (1, 1)), "PNG"),
    }
