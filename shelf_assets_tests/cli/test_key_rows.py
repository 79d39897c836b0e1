"""`shelf keys`: a token is printed exactly once, and usage errors are named and exit with code 2."""

from __future__ import annotations

import pytest

from shelf_assets.http.keys import Keys
from shelf_assets.settings import Settings
from shelf_assets_tests.cli.commands import printed, shelf
from shelf_assets_tests.conftest import LakeUnderTest


def create(lake: LakeUnderTest, *options: str) -> tuple[str, str]:
    """Create a key; returns its id and secret."""
    created = shelf("keys", "create", *options, settings=lake.settings)
    assert created.exit_code == 0, created.output
    _, key_id, secret = created.stdout.strip().split("_", 2)
    return key_id, secret


def test_help_of_keys_names_every_verb(settings: Settings) -> None:
    helped = shelf("keys", "--help", settings=settings)
    assert helped.exit_code == 0
    for verb in ("create", "list", "revoke"):
        assert f" {verb} " in helped.output, verb
        assert shelf("keys", verb, "--help", settings=settings).exit_code == 0, verb
    assert " keys " in shelf("--help", settings=settings).output


def test_created_token_authenticates_with_its_limits(lake: LakeUnderTest) -> None:
    limits = ("--requests", "60/minute", "--bytes", "5000/day;100/minute", "--pixels", "9/day")
    created = shelf(
        "keys", "create", "--owner", "app-1", "--scope", "upload", "--scope", "read", *limits, settings=lake.settings
    )
    key = Keys(lake.lake.objects).find(created.stdout.strip())
    assert key is not None, "the output must be the token only"
    assert (key.owner, key.scopes) == ("app-1", {"upload", "read"})
    assert (key.requests, key.bytes_, key.pixels) == ("60/minute", "5000/day;100/minute", "9/day")


def test_narrow_terminal_prints_the_whole_token(disk_lake: LakeUnderTest) -> None:
    created = shelf("keys", "create", "--owner", "app", "--scope", "upload", settings=disk_lake.settings, width=20)
    assert Keys(disk_lake.lake.objects).find(created.stdout.strip()) is not None


def test_create_warns_that_the_token_is_shown_once(disk_lake: LakeUnderTest) -> None:
    created = shelf("keys", "create", "--owner", "app", "--scope", "upload", settings=disk_lake.settings)
    message = " ".join(created.stderr.split())
    for words in ("shown only now", "Authorization: Bearer", "shelf keys revoke"):
        assert words in message


def test_secret_is_never_printed_again(disk_lake: LakeUnderTest) -> None:
    key_id, secret = create(disk_lake, "--owner", "app", "--scope", "upload")
    commands = (["keys", "list"], ["keys", "revoke", key_id], ["keys", "list"], ["config"])
    later = [shelf(*words, settings=disk_lake.settings) for words in commands]
    for result in later:
        assert result.exit_code == 0, result.output
        assert secret not in result.output
    assert key_id in later[0].output


def test_list_shows_owner_scopes_limits_and_state(lake: LakeUnderTest) -> None:
    assert "shelf keys create" in printed(shelf("keys", "list", settings=lake.settings))
    first, _ = create(lake, "--owner", "app-1", "--scope", "upload", "--scope", "erase", "--pixels", "9/day")
    second, _ = create(lake, "--owner", "app-2", "--scope", "read")
    assert shelf("keys", "revoke", first, settings=lake.settings).exit_code == 0
    lines = shelf("keys", "list", settings=lake.settings).output.splitlines()
    (line_of_first,) = [line for line in lines if first in line]
    (line_of_second,) = [line for line in lines if second in line]
    for words in ("app-1", "erase, upload", "pixels 9/day", "revoked"):
        assert words in line_of_first
    for words in ("app-2", "read", "as set", "in force"):
        assert words in line_of_second


def test_revoke_states_when_it_takes_effect(disk_lake: LakeUnderTest) -> None:
    key_id, secret = create(disk_lake, "--owner", "app", "--scope", "upload")
    revoked = shelf("keys", "revoke", key_id, settings=disk_lake.settings)
    assert revoked.exit_code == 0
    assert "cache a key for 30 s" in printed(revoked)
    assert Keys(disk_lake.lake.objects).find(f"shelf_{key_id}_{secret}") is None
    assert printed(shelf("keys", "revoke", key_id, settings=disk_lake.settings)) == printed(revoked)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("create", "--owner", "a b", "--scope", "upload"), ["'a b'", "letters, digits"]),
        (("create", "--owner", "app", "--scope", "all"), ["all is no scope", "upload, read, erase"]),
        (("create", "--owner", "app", "--scope", "read", "--bytes", "5/week"), ["5/week", "600/minute"]),
        (("revoke", "0123456789abcdef"), ["0123456789abcdef", "shelf keys list"]),
    ],
)
def test_wrong_key_argument_is_named(disk_lake: LakeUnderTest, words: tuple[str, ...], named: list[str]) -> None:
    refused = shelf("keys", *words, settings=disk_lake.settings)
    assert refused.exit_code == 2
    for part in named:
        assert part in printed(refused)
    assert Keys(disk_lake.lake.objects).list() == []


def test_revoke_of_a_token_does_not_print_its_secret(disk_lake: LakeUnderTest) -> None:
    key_id, secret = create(disk_lake, "--owner", "app", "--scope", "upload")
    refused = shelf("keys", "revoke", f"shelf_{key_id}_{secret}", settings=disk_lake.settings)
    assert refused.exit_code == 2
    assert key_id in refused.output and secret not in refused.output
