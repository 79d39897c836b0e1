"""The stage timer: each stage's time is summed over all threads, and a meter does not count it as the models'."""

from __future__ import annotations

import threading
import time

from shelf_assets.observe.meter import Meter
from shelf_assets.vision.engine import StageTimer

BUSY_CPU_SECONDS = 0.05


def busy() -> None:
    until = time.thread_time() + BUSY_CPU_SECONDS
    while time.thread_time() < until:
        pass


def test_each_stage_counts_its_own_work_from_all_threads() -> None:
    timer = StageTimer()

    def work(stage: str) -> None:
        with timer.timed(stage):
            busy()

    threads = [threading.Thread(target=work, args=(stage,)) for stage in ("read", "decode", "decode")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    read, decode = timer.stages["read"], timer.stages["decode"]
    assert (read.calls, decode.calls) == (1, 2)
    assert BUSY_CPU_SECONDS <= read.cpu_seconds < 2 * BUSY_CPU_SECONDS <= decode.cpu_seconds < 3 * BUSY_CPU_SECONDS
    assert set(timer.metrics()) == {
        f"{stage}_{kind}_seconds" for stage in ("read", "decode") for kind in ("cpu", "wall")
    }


def test_concurrent_decoding_is_not_counted_as_model_time() -> None:
    timer = StageTimer()
    meter = Meter("classifications", others_cpu_seconds=timer.cpu_seconds)

    def decode() -> None:
        with timer.timed("decode"):
            busy()

    with meter.running():
        beside = threading.Thread(target=decode)
        beside.start()
        beside.join()

    assert timer.cpu_seconds() >= BUSY_CPU_SECONDS
    assert meter.cpu_seconds < BUSY_CPU_SECONDS / 2


def test_a_model_at_work_beside_arithmetic_is_not_counted_as_arithmetic() -> None:
    meter = Meter("image_quality", is_single_threaded=True)
    with meter.running():
        beside = threading.Thread(target=busy)
        beside.start()
        beside.join()
        busy()

    assert BUSY_CPU_SECONDS <= meter.cpu_seconds < 2 * BUSY_CPU_SECONDS


def test_failed_stage_is_counted() -> None:
    timer = StageTimer()
    try:
        with timer.timed("decode"):
            busy()
            raise ValueError("broken photo")
    except ValueError:
        pass
    assert timer.stages["decode"].cpu_seconds >= BUSY_CPU_SECONDS
