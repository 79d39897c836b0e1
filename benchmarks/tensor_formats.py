"""The ways in which tensors could rest: each how pixels become bytes and pixels again, in memory. Nothing is measured here."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import simplejpeg
from PIL import Image
from safetensors.numpy import load, save

SHAPE = (3, 224, 224)


@dataclass(frozen=True)
class Format:
    """How N × 3 × 224 × 224 pixels become bytes and pixels again."""

    write: Callable[[np.ndarray], bytes]
    read: Callable[[bytes], Iterator[np.ndarray]]


def _table(pixels: np.ndarray) -> pa.RecordBatch:
    width = pixels[0].nbytes
    values = pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), len(pixels), [None, pa.py_buffer(pixels)])
    return pa.record_batch([values], names=["pixels"])


def _views(column: pa.FixedSizeBinaryArray) -> np.ndarray:
    flat = np.frombuffer(column.buffers()[1], np.uint8).reshape(-1, *SHAPE)
    return flat[column.offset : column.offset + len(column)]


def _write_arrow(pixels: np.ndarray, compression: str | None) -> bytes:
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_stream(sink, _table(pixels[:1]).schema, options=options) as writer:
        for start in range(0, len(pixels), 64):
            writer.write_batch(_table(pixels[start : start + 64]))
    return sink.getvalue().to_pybytes()


def _read_arrow(data: bytes) -> Iterator[np.ndarray]:
    for batch in pa.ipc.open_stream(data):
        yield from _views(batch.column(0))


def _write_parquet(pixels: np.ndarray, compression: str) -> bytes:
    sink = pa.BufferOutputStream()
    table = pa.Table.from_batches([_table(pixels)])
    pq.write_table(
        table, sink, compression=compression, use_dictionary=False, row_group_size=64, write_statistics=False
    )
    return sink.getvalue().to_pybytes()


def _read_parquet(data: bytes) -> Iterator[np.ndarray]:
    for batch in pq.ParquetFile(pa.BufferReader(data)).iter_batches(batch_size=64):
        yield from _views(batch.column(0))


def _read_raw(data: bytes) -> Iterator[np.ndarray]:
    yield from np.frombuffer(data, np.uint8).reshape(-1, *SHAPE)


def _encoded(pixels: np.ndarray, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0))).save(file, **options)
    return file.getvalue()


def _decoded(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB")).transpose(2, 0, 1)


def _jpeg(pixels: np.ndarray) -> bytes:
    return simplejpeg.encode_jpeg(np.ascontiguousarray(pixels.transpose(1, 2, 0)), quality=90, colorsubsampling="420")


def _write_tar(pixels: np.ndarray, encode: Callable[[np.ndarray], bytes]) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as tar:
        for number, each in enumerate(pixels):
            data = encode(each)
            member = tarfile.TarInfo(f"{number:05}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return target.getvalue()


def _read_tar(data: bytes, decode: Callable[[bytes], np.ndarray]) -> Iterator[np.ndarray]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for member in tar:
            file = tar.extractfile(member)
            assert file is not None
            yield decode(file.read())


FORMATS: dict[str, Format] = {
    "Arrow, as now": Format(partial(_write_arrow, compression=None), _read_arrow),
    "Arrow, lz4": Format(partial(_write_arrow, compression="lz4"), _read_arrow),
    "Arrow, zstd": Format(partial(_write_arrow, compression="zstd"), _read_arrow),
    "Parquet": Format(partial(_write_parquet, compression="none"), _read_parquet),
    "Parquet, zstd": Format(partial(_write_parquet, compression="zstd"), _read_parquet),
    "raw, as in .npy": Format(lambda pixels: pixels.tobytes(), _read_raw),
    "safetensors": Format(lambda pixels: save({"pixels": pixels}), lambda data: iter(load(data)["pixels"])),
    "tar of PNG": Format(
        partial(_write_tar, encode=partial(_encoded, format="PNG", compress_level=1)),
        partial(_read_tar, decode=_decoded),
    ),
    "tar of lossless WebP": Format(
        partial(_write_tar, encode=partial(_encoded, format="WEBP", lossless=True, quality=0, method=0)),
        partial(_read_tar, decode=_decoded),
    ),
    "tar of JPEG q90 (lossy)": Format(
        partial(_write_tar, encode=_jpeg),
        partial(_read_tar, decode=lambda data: simplejpeg.decode_jpeg(data).transpose(2, 0, 1)),
    ),
}
