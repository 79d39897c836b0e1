"""The clock: each stage's own time, from all threads, and what a meter must not count as the models'."""

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


def test_work_of_one_stage_or_thread_counted_for_another() -> None:
    clock = StageTimer()

    def work(stage: str) -> None:
        with clock.timed(stage):
            busy()

    threads = [threading.Thread(target=work, args=(stage,)) for stage in ("read", "decode", "decode")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    read, decode = clock.stages["read"], clock.stages["decode"]
    assert (read.calls, decode.calls) == (1, 2)
    assert BUSY_CPU_SECONDS <= read.cpu_seconds < 2 * BUSY_CPU_SECONDS <= decode.cpu_seconds < 3 * BUSY_CPU_SECONDS
    assert set(clock.metrics()) == {
        f"{stage}_{kind}_seconds" for stage in ("read", "decode") for kind in ("cpu", "wall")
    }


def test_decoding_beside_a_model_counted_as_the_models_time() -> None:
    clock = StageTimer()
    meter = Meter("classifications", others_cpu_seconds=clock.cpu_seconds)

    def decode() -> None:
        with clock.timed("decode"):
            busy()

    with meter.running():
        beside = threading.Thread(target=decode)
        beside.start()
        beside.join()

    assert clock.cpu_seconds() >= BUSY_CPU_SECONDS
    assert meter.cpu_seconds < BUSY_CPU_SECONDS / 2


def test_a_stage_that_fails_and_costs_nothing() -> None:
    clock = StageTimer()
    try:
        with clock.timed("decode"):
            busy()
            raise ValueError("broken photo")
    except ValueError:
        pass
    assert clock.stages["decode"].cpu_seconds >= BUSY_CPU_SECONDS
