"""The benches of the store compare like with like: every format gives its pixels back, every client its bytes."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.clients import CLIENTS, LOADS, land
from benchmarks.shard_formats import batches
from benchmarks.tensor_formats import FORMATS, SHAPE
from shelf_assets_tests.servers import S3Server


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_is_cheap_because_it_loses_pixels(name: str) -> None:
    ramp = np.linspace(0, 255, SHAPE[-1], dtype=np.uint8)
    pixels = np.stack([np.broadcast_to(ramp, SHAPE), np.broadcast_to(ramp[:, None], SHAPE)])
    found = np.concatenate(list(batches(FORMATS[name].read(FORMATS[name].write(pixels)))))
    assert found.shape == pixels.shape
    difference = np.abs(found.astype(np.int16) - pixels).mean()
    assert difference < 4 if "lossy" in name else difference == 0


@pytest.mark.s3
def test_a_client_is_cheap_because_it_reads_less(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in s3_server.environment().items():
        monkeypatch.setenv(name, value)
    pytest.importorskip("s3torchconnector")
    few = LOADS[0].asked()[:8]
    land(s3_server, dict.fromkeys(few, LOADS[0].size_bytes))
    for name, make in CLIENTS.items():
        client = make(s3_server)
        assert client.read(few) == 8 * LOADS[0].size_bytes, name
        assert client.list("small/") == 8, name
