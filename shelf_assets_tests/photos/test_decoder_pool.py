"""A decoder that hangs, crashes or exceeds its limits affects its own photo only. Real processes, real signals."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import multiprocessing
import os
import signal
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from pebble import ProcessPool
from PIL import Image

from shelf_assets.photos import decoder_pool as decoders_module
from shelf_assets.photos.decoder_pool import DecoderPool, DecodersUnavailable, SanitizerOptions, sanitizer_options
from shelf_assets.photos.sanitizer import Refusal, SanitizedPhoto
from shelf_assets.photos.settings import PhotoSettings
from shelf_assets_tests.vision.pictures import encoded, png_chunk, scene

OPTIONS = sanitizer_options(PhotoSettings())
PHOTO = encoded(scene(160, 120))


@pytest.fixture(scope="module")
def long_photo() -> bytes:
    """60 megapixels in 60 kB: decoding takes a large part of a second on any machine."""
    rows = zlib.compressobj(1)
    packed = b"".join(rows.compress(bytes(7_501) * 100) for _ in range(80)) + rows.flush()
    header = b"".join(number.to_bytes(4, "big") for number in (7_500, 8_000)) + bytes([8, 0, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", packed) + png_chunk(b"IEND", b"")


needs_proc = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="this system does not list open files")


def processes() -> list[psutil.Process]:
    """The decoder processes of this test process."""
    return [psutil.Process(child.pid) for child in multiprocessing.active_children() if "pebble" in child.name]


def until(happened: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "the condition never became true"
        time.sleep(0.01)


@contextmanager
def in_the_middle(decoders: DecoderPool, runner: asyncio.Runner, photo: bytes, do: Callable[[psutil.Process], None]):
    """Sanitize a photo and call `do` with the only decoder process while it decodes; yields the result."""
    runner.run(decoders.sanitize(PHOTO))  # waits for its start, so that later CPU time belongs to the photo
    (process,) = processes()
    spent = process.cpu_times().user

    def wait_and_do() -> None:
        until(lambda: process.cpu_times().user > spent + 0.1)
        do(process)

    meanwhile = threading.Thread(target=wait_and_do)
    meanwhile.start()
    try:
        yield runner.run(decoders.sanitize(photo))
    finally:
        meanwhile.join()


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


def changed_options(**changes: float) -> SanitizerOptions:
    return dataclasses.replace(OPTIONS, **changes)


def test_decoder_gives_the_same_result_as_this_process(runner: asyncio.Runner) -> None:
    from shelf_assets.photos.sanitizer import sanitize

    with DecoderPool(OPTIONS, 1) as decoders:
        assert runner.run(decoders.sanitize(PHOTO)) == sanitize(PHOTO, OPTIONS.limits, OPTIONS.jpeg_quality)
        refused = runner.run(decoders.sanitize(PHOTO[:300]))
    assert isinstance(refused, Refusal) and refused.reason == "truncated"


def test_photo_that_takes_too_long_ends_its_decoder(runner: asyncio.Runner, long_photo: bytes) -> None:
    """The decoder is C code, which handles no signal before it returns."""
    with DecoderPool(changed_options(decode_seconds=0.05), 1) as decoders:
        (before,) = processes()
        answer = runner.run(decoders.sanitize(long_photo))
        assert isinstance(answer, Refusal) and answer.reason == "too_slow"
        until(lambda: not before.is_running())
    with DecoderPool(OPTIONS, 1) as decoders:
        assert isinstance(runner.run(decoders.sanitize(long_photo)), SanitizedPhoto), "it is valid, only slow"


def test_hanging_decoder_does_not_block_the_next_photo(runner: asyncio.Runner, long_photo: bytes) -> None:
    with (
        DecoderPool(changed_options(decode_seconds=2.0), 1) as decoders,
        in_the_middle(decoders, runner, long_photo, lambda process: process.suspend()) as answer,
    ):
        assert isinstance(answer, Refusal) and answer.reason == "too_slow"
        assert isinstance(runner.run(decoders.sanitize(PHOTO)), SanitizedPhoto)


def test_decoder_killed_at_work_refuses_its_photo_only(runner: asyncio.Runner, long_photo: bytes) -> None:
    with (
        DecoderPool(OPTIONS, 1) as decoders,
        in_the_middle(decoders, runner, long_photo, lambda process: process.kill()) as answer,
    ):
        assert isinstance(answer, Refusal) and answer.reason == "decoder_died"
        assert "-9" in answer.detail
        for _ in range(3):
            assert isinstance(runner.run(decoders.sanitize(PHOTO)), SanitizedPhoto)


def test_decoder_killed_while_idle_refuses_no_photo(runner: asyncio.Runner) -> None:
    """The system kills processes when memory is short. No photo is refused for it, at once or half a second later."""
    with DecoderPool(OPTIONS, 2) as decoders:
        runner.run(decoders.sanitize(PHOTO))
        for pause_seconds in (0.0, 0.5):
            for process in processes():
                process.kill()
            time.sleep(pause_seconds)
            for _ in range(4):
                assert isinstance(runner.run(decoders.sanitize(PHOTO)), SanitizedPhoto)


def test_stopped_decoder_is_replaced(runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process is stopped before it receives a photo, so that pebble's own timeout never starts."""
    monkeypatch.setattr(decoders_module, "_START_SECONDS", 5)
    with DecoderPool(changed_options(decode_seconds=1.0), 1) as decoders:
        runner.run(decoders.sanitize(PHOTO))
        (process,) = processes()
        process.suspend()
        assert isinstance(runner.run(decoders.sanitize(PHOTO)), SanitizedPhoto), "by the process that replaced it"
        until(lambda: not process.is_running())


def test_decoders_that_cannot_start_are_unavailable(
    runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The error is DecodersUnavailable and not a Refusal, because the photo was not examined."""
    nonsense = tmp_path / "statm"
    nonsense.write_text("no number")
    monkeypatch.setattr(decoders_module, "_STATM", nonsense)
    with DecoderPool(OPTIONS, 1) as decoders, pytest.raises(DecodersUnavailable):
        runner.run(decoders.sanitize(PHOTO))


def test_system_without_proc_decodes_with_a_warning(
    runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    monkeypatch.setattr(decoders_module, "_STATM", tmp_path / "absent")
    with caplog.at_level("WARNING"), DecoderPool(OPTIONS, 1) as decoders:
        assert isinstance(runner.run(decoders.sanitize(PHOTO)), SanitizedPhoto)
    assert "bounded in time only" in caplog.text


def test_memory_bomb_is_refused_within_its_memory_limit(runner: asyncio.Runner, long_photo: bytes) -> None:
    """Its header is within the limits, but decoding takes more than the process's 200 MB; the parent's memory is unaffected."""
    own = psutil.Process()
    with DecoderPool(changed_options(decode_bytes=200_000_000), 1) as decoders:
        runner.run(decoders.sanitize(PHOTO))
        (process,) = processes()
        before_bytes = own.memory_info().rss
        for _ in range(3):
            answer = runner.run(decoders.sanitize(long_photo))
            assert isinstance(answer, Refusal) and answer.reason in ("too_many_pixels", "decoder_died"), answer
        assert own.memory_info().rss - before_bytes < 50_000_000
        assert process.is_running(), "a failed allocation does not end the process"
        assert isinstance(runner.run(decoders.sanitize(PHOTO)), SanitizedPhoto)


def test_avif_with_false_size_is_refused_within_its_memory_limit(runner: asyncio.Runner) -> None:
    """libavif decodes the whole coded picture before it shrinks it to the header's size: only the process limits memory."""
    size_px = 8_000
    whole = encoded(Image.new("RGB", (size_px, size_px), "teal"), "AVIF", speed=10)
    size_box = struct.pack(">4sIII", b"ispe", 0, size_px, size_px)
    assert size_box in whole
    liar = whole.replace(size_box, struct.pack(">4sIII", b"ispe", 0, 64, 64))
    with DecoderPool(changed_options(decode_bytes=90_000_000), 1) as decoders:
        answer = runner.run(decoders.sanitize(liar))
        assert isinstance(answer, Refusal)
        assert isinstance(runner.run(decoders.sanitize(PHOTO)), SanitizedPhoto)


def test_second_decoder_serves_while_the_first_is_busy(runner: asyncio.Runner, long_photo: bytes) -> None:
    """While one decoder is stopped in the middle of a photo, the other decoder serves."""

    async def both(decoders: DecoderPool) -> None:
        spent = {process.pid: process.cpu_times().user for process in processes()}
        slow = asyncio.create_task(decoders.sanitize(long_photo))

        def at_work() -> psutil.Process | None:
            busy = [each for each in processes() if each.cpu_times().user > spent.get(each.pid, 0.0) + 0.1]
            return busy[0] if busy else None

        await asyncio.to_thread(until, lambda: at_work() is not None)
        stopped = at_work()
        assert stopped is not None
        stopped.suspend()
        for _ in range(5):
            assert isinstance(await decoders.sanitize(PHOTO), SanitizedPhoto)
        assert not slow.done()
        stopped.resume()
        assert isinstance(await slow, SanitizedPhoto)

    with DecoderPool(changed_options(decode_seconds=60.0), 2) as decoders:
        for _ in range(2):
            runner.run(decoders.sanitize(PHOTO))
        runner.run(both(decoders))


def test_waiting_time_does_not_count_as_decode_time(runner: asyncio.Runner, long_photo: bytes) -> None:
    """Ten photos in a row take longer together than one photo may."""
    with DecoderPool(OPTIONS, 1) as decoders:
        begun = time.monotonic()
        assert isinstance(runner.run(decoders.sanitize(long_photo)), SanitizedPhoto)
        seconds = time.monotonic() - begun
    with DecoderPool(changed_options(decode_seconds=3 * seconds), 1) as decoders:

        async def many() -> list[SanitizedPhoto | Refusal]:
            return await asyncio.gather(*(decoders.sanitize(long_photo) for _ in range(8)))

        assert all(isinstance(answer, SanitizedPhoto) for answer in runner.run(many()))


def test_cancelled_photo_keeps_its_decoder(runner: asyncio.Runner, long_photo: bytes) -> None:
    async def hung_up(decoders: DecoderPool) -> None:
        (process,) = processes()
        spent = process.cpu_times().user
        task = asyncio.create_task(decoders.sanitize(long_photo))
        await asyncio.to_thread(until, lambda: process.cpu_times().user > spent + 0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert isinstance(await decoders.sanitize(PHOTO), SanitizedPhoto)
        assert process.is_running()

    with DecoderPool(OPTIONS, 1) as decoders:
        runner.run(decoders.sanitize(PHOTO))
        runner.run(hung_up(decoders))


def test_closing_with_running_work_returns_in_time(runner: asyncio.Runner, long_photo: bytes) -> None:
    async def closed_meanwhile() -> list[BaseException | SanitizedPhoto | Refusal]:
        with DecoderPool(changed_options(decode_seconds=60.0), 1) as decoders:
            tasks = [asyncio.create_task(decoders.sanitize(long_photo)) for _ in range(3)]
            (process,) = processes()
            spent = process.cpu_times().user
            await asyncio.to_thread(until, lambda: process.cpu_times().user > spent + 0.1)
            process.suspend()
        return await asyncio.gather(*tasks, return_exceptions=True)

    begun = time.monotonic()
    ends = runner.run(closed_meanwhile())
    assert time.monotonic() - begun < 30
    assert all(isinstance(end, DecodersUnavailable | asyncio.CancelledError) for end in ends)
    assert not processes()


def test_closed_decoders_are_unavailable() -> None:
    decoders = DecoderPool(OPTIONS, 1)
    assert not decoders.ready
    with pytest.raises(DecodersUnavailable), asyncio.Runner() as runner:
        runner.run(decoders.sanitize(PHOTO))


def test_decoder_has_a_memory_limit_and_no_core_dump(runner: asyncio.Runner) -> None:
    with DecoderPool(OPTIONS, 1) as decoders:
        runner.run(decoders.sanitize(PHOTO))
        (process,) = processes()
        soft_bytes, hard_bytes = process.rlimit(psutil.RLIMIT_AS)
        assert soft_bytes == hard_bytes < process.memory_info().vms + OPTIONS.decode_bytes + 100_000_000
        assert process.rlimit(psutil.RLIMIT_CORE) == (0, 0)


def test_decoder_has_no_environment_and_cannot_write_files(
    runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("SHELF_INTAKE_OWNER_HASH_KEY", "SHELF_HTTP_REDIS_URL", "AWS_SECRET_ACCESS_KEY", "SOMEBODYS_TOKEN"):
        monkeypatch.setenv(name, "sesame")
    with DecoderPool(OPTIONS, 1) as decoders:
        (decoder,) = decoders._all
        known = decoder._pool.schedule(eval, args=("dict(__import__('os').environ)",)).result(60)
        assert known == {}
        written = decoder._pool.schedule(Path.write_bytes, args=(tmp_path / "left", b"behind"))
        with pytest.raises(OSError, match="File too large"):
            written.result(60)
        assert isinstance(runner.run(decoders.sanitize(PHOTO)), SanitizedPhoto)


def test_oversized_file_is_refused_without_losing_a_decoder(runner: asyncio.Runner) -> None:
    """Callers check sizes first; only a file that grew after the check comes this far."""
    most = len(PHOTO)
    with DecoderPool(
        dataclasses.replace(OPTIONS, limits=dataclasses.replace(OPTIONS.limits, max_bytes=most)), 1
    ) as decoders:
        assert isinstance(runner.run(decoders.sanitize(PHOTO)), SanitizedPhoto)
        refused = runner.run(decoders.sanitize(PHOTO + b"x"))
        assert refused == Refusal("too_large", f"{most + 1:,} bytes, more than {most:,}")
        assert isinstance(runner.run(decoders.sanitize(PHOTO)), SanitizedPhoto)


@needs_proc
def test_replaced_decoders_leave_no_open_file(runner: asyncio.Runner) -> None:
    def files() -> int:
        found = 0
        for handle in Path("/proc/self/fd").iterdir():
            with suppress(FileNotFoundError):  # closed meanwhile
                found += "memfd:photo" in str(handle.readlink())
        return found

    gc.collect()
    before = files()
    gc.disable()  # files must be closed without the help of the garbage collector
    try:
        with DecoderPool(OPTIONS, 1) as decoders:
            assert isinstance(runner.run(decoders.sanitize(PHOTO)), SanitizedPhoto)
            one = files() - before
            for pause_seconds in (0.0, 0.0, 0.0, 0.5):
                for process in processes():
                    process.kill()
                time.sleep(pause_seconds)
                assert isinstance(runner.run(decoders.sanitize(PHOTO)), SanitizedPhoto)
            until(lambda: files() == before + one)
    finally:
        gc.enable()


def test_closing_during_replacement_ends_every_decoder_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ended, end = [], decoders_module._stop

    def counted(pool: ProcessPool) -> None:
        ended.append(pool)
        end(pool)

    monkeypatch.setattr(decoders_module, "_stop", counted)
    decoder = decoders_module._Decoder(OPTIONS)
    closing, start = threading.Thread(target=decoder.close), decoder._start

    def started_meanwhile():
        closing.start()
        time.sleep(0.2)
        return start()

    monkeypatch.setattr(decoder, "_start", started_meanwhile)
    with suppress(DecodersUnavailable):
        decoder._replace()
    closing.join()
    until(lambda: not processes() and len(ended) == 2)
    assert len(set(ended)) == 2


def test_decoders_end_with_their_killed_parent(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        "import asyncio, multiprocessing, time\n"
        "from shelf_assets.photos.decoder_pool import DecoderPool, sanitizer_options\n"
        "from shelf_assets.photos.settings import PhotoSettings\n"
        "if __name__ == '__main__':\n"
        "    with DecoderPool(sanitizer_options(PhotoSettings()), 2) as decoders:\n"
        "        asyncio.run(decoders.sanitize(b'x'))\n"
        "        print(*(child.pid for child in multiprocessing.active_children()), flush=True)\n"
        "        time.sleep(60)\n"
    )
    environment = {"PYTHONPATH": ":".join(sys.path)}
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True, env=environment) as parent:
        assert parent.stdout is not None
        children = [psutil.Process(int(pid)) for pid in parent.stdout.readline().split()]
        assert len(children) == 2
        os.kill(parent.pid, signal.SIGKILL)
    until(lambda: not any(child.is_running() for child in children))
