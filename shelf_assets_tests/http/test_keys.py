"""API keys: no secret is stored, revoked and wrong keys are refused, made-up keys cost the store few requests."""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from shelf_assets.http import keys as keys_module
from shelf_assets.http.api_key import ApiKey
from shelf_assets.http.keys import Keys
from shelf_assets.http.lookup_guard import LOOKUPS_PER_SECOND
from shelf_assets.lake.errors import StoreUnavailable
from shelf_assets.lake.object_store import ObjectStore, RetryOptions, StoredObject
from shelf_assets_tests.conftest import LakeUnderTest
from shelf_assets_tests.servers import refusing_port

NOON = datetime(2026, 2, 28, 12, tzinfo=UTC)


class CountingStore(ObjectStore):
    """A store that counts the requests to it."""

    def __init__(self, root_url: str) -> None:
        super().__init__(root_url)
        self.requests: Counter[str] = Counter()

    def get(self, key: str) -> bytes:
        self.requests["get"] += 1
        return super().get(key)

    def list(self, prefix: str) -> Iterator[StoredObject]:
        self.requests["list"] += 1
        return super().list(prefix)


@pytest.fixture
def store(tmp_path: Path) -> CountingStore:
    return CountingStore((tmp_path / "keys").as_uri())


def made_up_token() -> str:
    return f"shelf_{secrets.token_hex(8)}_{secrets.token_urlsafe(32)}"


def eventually_opens(keys: Keys, token: str, opens: bool = True) -> bool:
    deadline = time.monotonic() + 30
    while (keys.find(token) is not None) != opens and time.monotonic() < deadline:
        time.sleep(0.05)
    return (keys.find(token) is not None) == opens


def everything_at_rest(lake: LakeUnderTest) -> bytes:
    """Keys and bytes of all objects in the store; on disk those of all files."""
    store = lake.lake.objects
    if store.folder is not None:
        files = [path for path in store.folder.rglob("*") if path.is_file()]
        return b"\n".join(str(path).encode() + b"\n" + path.read_bytes() for path in files)
    return b"\n".join(each.key.encode() + b"\n" + store.get(each.key) for each in store.list(""))


def test_secret_is_never_stored(lake: LakeUnderTest) -> None:
    keys = Keys(lake.lake.objects)
    key, token = keys.create("canary-owner", ["upload"], NOON)
    secret = token.removeprefix(f"shelf_{key.key_id}_")
    assert keys.find(token) == key
    keys.revoke(key.key_id, NOON)
    at_rest = everything_at_rest(lake)
    assert b"canary-owner" in at_rest, "the scan must find the stored record"
    for part in (secret, secret[:16], secret[-16:], secret.lower()):
        assert part.encode() not in at_rest


def test_key_is_valid_on_every_replica(lake: LakeUnderTest) -> None:
    key, token = Keys(lake.lake.objects).create("app", ["upload", "read"], NOON, requests="5/minute", pixels="9/day")
    assert Keys(lake.lake.objects).find(token) == key
    assert key == ApiKey(key.key_id, "app", frozenset({"upload", "read"}), NOON, None, "5/minute", None, "9/day")


def test_secret_has_256_bits_and_key_id_is_alphanumeric(store: CountingStore) -> None:
    tokens = [Keys(store).create("app", ["read"], NOON)[1] for _ in range(20)]
    secrets_ = {token.split("_", 2)[2] for token in tokens}
    assert len(secrets_) == 20 and all(len(secret) == 43 for secret in secrets_)  # 43 × 6 bits
    assert all(token.split("_", 2)[1].isalnum() for token in tokens)


def test_revoked_key_is_refused(lake: LakeUnderTest) -> None:
    here, elsewhere = Keys(lake.lake.objects), Keys(lake.lake.objects, cache_seconds=0.2)
    key, token = here.create("app", ["upload"], NOON)
    assert here.find(token) and elsewhere.find(token)
    here.revoke(key.key_id, NOON)
    assert here.find(token) is None
    assert eventually_opens(elsewhere, token, opens=False)
    assert Keys(lake.lake.objects).find(token) is None


def test_second_revocation_keeps_the_first_time(store: CountingStore) -> None:
    keys = Keys(store)
    key, _ = keys.create("app", ["upload"], NOON)
    first = keys.revoke(key.key_id, NOON)
    assert first.revoked_at == NOON
    assert keys.revoke(key.key_id, NOON + timedelta(days=1)) == first
    assert [each.revoked_at for each in Keys(store).list()] == [NOON]


@pytest.mark.parametrize("key_id", ["", "no-such-key", "0123456789abcdef", "../../images/x", "0123456789ABCDEF"])
def test_revocation_of_an_unknown_key_is_refused(store: CountingStore, key_id: str) -> None:
    with pytest.raises(LookupError, match=r"no key has the id .*shelf keys list"):
        Keys(store).revoke(key_id, NOON)


def test_revocation_error_does_not_repeat_the_secret(store: CountingStore) -> None:
    key, token = Keys(store).create("app", ["upload"], NOON)
    with pytest.raises(LookupError, match=key.key_id) as raised:
        Keys(store).revoke(token, NOON)
    assert token.split("_", 2)[2] not in str(raised.value)


def test_wrong_secret_with_valid_key_id_is_refused(store: CountingStore) -> None:
    keys = Keys(store)
    key, token = keys.create("app", ["upload"], NOON)
    _, other = keys.create("app", ["upload"], NOON)
    last = "A" if token[-1] != "A" else "B"
    assert keys.find(f"shelf_{key.key_id}_{other.split('_', 2)[2]}") is None
    assert keys.find(token[:-1] + last) is None
    assert keys.find(token) == key


@pytest.mark.parametrize("spoil", ["{}x", "x{}", " {}", "{}\n", "{}_", "{}=", "{}\u00e9", "{}\0"])
def test_altered_token_is_refused(store: CountingStore, spoil: str) -> None:
    keys = Keys(store)
    _, token = keys.create("app", ["upload"], NOON)
    assert keys.find(spoil.format(token)) is None
    assert keys.find(token) is not None


@pytest.mark.parametrize("token", ["", "_", "shelf_", "shelf__", "shelf_../../x_" + "a" * 43, "a" * 1_000_000])
def test_malformed_token_is_refused_without_a_store_request(store: CountingStore, token: str) -> None:
    assert Keys(store).find(token) is None
    assert not store.requests


def test_key_is_cached_between_requests(store: CountingStore) -> None:
    keys = Keys(store)
    _, token = keys.create("app", ["upload"], NOON)
    unknown = made_up_token()
    for _ in range(50):
        assert keys.find(token) is not None
        assert keys.find(unknown) is None
    assert store.requests == {"get": 2}


def test_cached_lookup_never_asks_the_store(store: CountingStore) -> None:
    keys = Keys(store)
    key, token = keys.create("app", ["upload"], NOON)
    assert keys.find_cached(token) is None, "find was not called yet"
    assert keys.find(token) == key
    store.requests.clear()
    assert keys.find_cached(token) == key
    other_secret = token[:-1] + ("A" if token[-1] != "A" else "B")
    for stranger in ("", made_up_token(), other_secret):
        assert keys.find_cached(stranger) is None
    assert not store.requests
    keys.revoke(key.key_id, NOON)
    assert keys.find(token) is None
    assert keys.find_cached(token) is None, "revoked"


def test_flood_of_unknown_keys_asks_the_store_at_a_bounded_rate(store: CountingStore) -> None:
    admin, keys = Keys(store), Keys(store)
    early = [admin.create("app", ["upload"], NOON)[1] for _ in range(3)]
    store.requests.clear()
    began = time.monotonic()
    assert not any(keys.find(made_up_token()) for _ in range(3_000))
    seconds = int(time.monotonic() - began) + 2
    assert store.requests["get"] <= LOOKUPS_PER_SECOND * seconds
    assert 1 <= store.requests["list"] <= seconds
    assert all(keys.find(token) for token in early), "a flood of made-up ids must not lock out existing keys"
    assert len(keys._cache) <= LOOKUPS_PER_SECOND * seconds + len(early)


def test_new_key_is_accepted_during_a_flood_of_unknown_keys(store: CountingStore) -> None:
    admin, keys = Keys(store), Keys(store)
    assert not any(keys.find(made_up_token()) for _ in range(1_000))
    _, late = admin.create("app", ["upload"], NOON)
    deadline = time.monotonic() + 30
    while keys.find(late) is None and time.monotonic() < deadline:
        assert not any(keys.find(made_up_token()) for _ in range(100))
    assert keys.find(late) is not None


def test_key_cache_is_bounded(store: CountingStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys_module, "_CACHED_KEYS", 4)
    keys = Keys(store)
    tokens = [keys.create("app", ["upload"], NOON)[1] for _ in range(12)]
    for token in tokens * 2:
        assert keys.find(token) is not None
    assert len(keys._cache) == 4


def test_unavailable_store_is_not_reported_as_a_wrong_key() -> None:
    config = {
        "aws_endpoint": f"http://127.0.0.1:{refusing_port()}",
        "aws_access_key_id": "any",
        "aws_secret_access_key": "any",
        "aws_region": "us-east-1",
    }
    keys = Keys(ObjectStore("s3://shelf/down", config, RetryOptions(tries_again=0)))
    for ask in (lambda: keys.find(made_up_token()), keys.list, lambda: keys.create("app", ["read"], NOON)):
        with pytest.raises(StoreUnavailable, match="no server answers"):
            ask()


def test_repr_hides_the_secret(store: CountingStore) -> None:
    keys = Keys(store)
    key, token = keys.create("app", ["upload"], NOON)
    secret = token.split("_", 2)[2]
    record = keys._read(key.key_id)
    assert record is not None and key.key_id in repr(record)
    assert keys.find(token)
    for shown in (repr(key), repr(record), repr(keys), repr(keys._cache), repr(vars(keys))):
        assert secret not in shown and record.secret_sha256 not in shown


def test_list_returns_all_keys_by_creation_time(lake: LakeUnderTest) -> None:
    keys = Keys(lake.lake.objects)
    assert keys.list() == []
    made = [keys.create(f"app-{hour}", ["read"], NOON - timedelta(hours=hour))[0] for hour in range(3)]
    revoked = keys.revoke(made[1].key_id, NOON)
    lake.lake.objects.put("door/keys/README.txt", b"not a key")
    assert keys.list() == [made[2], revoked, made[0]]


def test_creation_time_is_stored_in_utc(store: CountingStore) -> None:
    key, _ = Keys(store).create("app", ["read"], NOON.astimezone(timezone(timedelta(hours=5))))
    (listed,) = Keys(store).list()
    assert key.created_at == listed.created_at == NOON
    assert listed.created_at.utcoffset() == timedelta(0)


@pytest.mark.parametrize("owner", ["", "a" * 65, "-app", ".app", "a b", "a/b", "../x", "a\n", "é", "a@b.example"])
def test_invalid_owner_name_is_refused(store: CountingStore, owner: str) -> None:
    with pytest.raises(ValueError, match="no name of an owner: 1 to 64 letters"):
        Keys(store).create(owner, ["upload"], NOON)
    assert list(store.list("")) == []


@pytest.mark.parametrize("owner", ["a", "a" * 64, "Platform-1.de_app"])
def test_valid_owner_name_is_accepted(store: CountingStore, owner: str) -> None:
    assert Keys(store).create(owner, ["upload"], NOON)[0].owner == owner


@pytest.mark.parametrize(
    ("scopes", "unknown"), [([], "nothing"), (["upload", "admin"], "admin"), (["Upload"], "Upload")]
)
def test_unknown_scope_is_refused(store: CountingStore, scopes: list[str], unknown: str) -> None:
    with pytest.raises(ValueError, match=f"{unknown} is no scope.*upload, read, erase"):
        Keys(store).create("app", scopes, NOON)


@pytest.mark.parametrize("kind", ["requests", "bytes_", "pixels"])
@pytest.mark.parametrize("limit", ["", "many", "5/fortnight", "5", "/minute", "-5/minute", "5/minute;"])
def test_unparsable_limit_is_refused(store: CountingStore, kind: str, limit: str) -> None:
    with pytest.raises(ValueError, match="is no limit: it must be like 600/minute"):
        Keys(store).create("app", ["upload"], NOON, **{kind: limit})
