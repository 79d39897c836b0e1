"""`shelf keys` as people type it: the token once and nowhere else, and a mistake told with exit code 2."""

from __future__ import annotations

import pytest

from shelf_assets.http.keys import Keys
from shelf_assets_tests.cli.test_cli import _wide_terminal, said, shelf
from shelf_assets_tests.conftest import LakeUnderTest

__all__ = ["_wide_terminal"]  # tables are looked into here too


def made(*words: str) -> tuple[str, str]:
    """Key id and secret of a new key."""
    created = shelf("keys", "create", *words)
    assert created.exit_code == 0, created.output
    _, key_id, secret = created.stdout.strip().split("_", 2)
    return key_id, secret


def test_a_verb_that_help_does_not_name() -> None:
    helped = shelf("keys", "--help")
    assert helped.exit_code == 0
    for verb in ("create", "list", "revoke"):
        assert f" {verb} " in helped.output, verb
        assert shelf("keys", verb, "--help").exit_code == 0, verb
    assert " keys " in shelf("--help").output


def test_a_token_that_opens_nothing(lake: LakeUnderTest) -> None:
    limits = ("--requests", "60/minute", "--bytes", "5000/day;100/minute", "--pixels", "9/day")
    created = shelf("keys", "create", "--owner", "app-1", "--scope", "upload", "--scope", "read", *limits)
    key = Keys(lake.lake.objects).find(created.stdout.strip())
    assert key is not None, "the output is not the token, whole and alone"
    assert (key.owner, key.scopes) == ("app-1", {"upload", "read"})
    assert (key.requests, key.bytes_, key.pixels) == ("60/minute", "5000/day;100/minute", "9/day")


def test_a_token_that_a_narrow_terminal_cuts(disk_lake: LakeUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    from shelf_assets.cli.app import app as cli

    monkeypatch.setattr(cli.console, "width", 20)
    created = shelf("keys", "create", "--owner", "app", "--scope", "upload")
    assert Keys(disk_lake.lake.objects).find(created.stdout.strip()) is not None


def test_a_token_whose_reader_thinks_he_can_ask_again(disk_lake: LakeUnderTest) -> None:
    told = " ".join(shelf("keys", "create", "--owner", "app", "--scope", "upload").stderr.split())
    for words in ("shown only now", "Authorization: Bearer", "shelf keys revoke"):
        assert words in told


def test_a_secret_on_the_screen_a_second_time(disk_lake: LakeUnderTest) -> None:
    key_id, secret = made("--owner", "app", "--scope", "upload")
    later = [shelf("keys", "list"), shelf("keys", "revoke", key_id), shelf("keys", "list"), shelf("config")]
    for result in later:
        assert result.exit_code == 0, result.output
        assert secret not in result.output
    assert key_id in later[0].output


def test_a_list_that_leaves_out_what_matters(lake: LakeUnderTest) -> None:
    assert "shelf keys create" in said(shelf("keys", "list"))
    first, _ = made("--owner", "app-1", "--scope", "upload", "--scope", "erase", "--pixels", "9/day")
    second, _ = made("--owner", "app-2", "--scope", "read")
    assert shelf("keys", "revoke", first).exit_code == 0
    lines = shelf("keys", "list").output.splitlines()
    (line_of_first,) = [line for line in lines if first in line]
    (line_of_second,) = [line for line in lines if second in line]
    for words in ("app-1", "erase, upload", "pixels 9/day", "revoked"):
        assert words in line_of_first
    for words in ("app-2", "read", "as set", "in force"):
        assert words in line_of_second


def test_a_revocation_that_hides_when_it_takes_effect(disk_lake: LakeUnderTest) -> None:
    key_id, secret = made("--owner", "app", "--scope", "upload")
    told = shelf("keys", "revoke", key_id)
    assert told.exit_code == 0
    assert "remember a key for 30 s" in said(told)
    assert Keys(disk_lake.lake.objects).find(f"shelf_{key_id}_{secret}") is None
    assert said(shelf("keys", "revoke", key_id)) == said(told)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("create", "--owner", "a b", "--scope", "upload"), ["'a b'", "letters, digits"]),
        (("create", "--owner", "app", "--scope", "all"), ["all is no scope", "upload, read, erase"]),
        (("create", "--owner", "app", "--scope", "read", "--bytes", "5/week"), ["5/week", "600/minute"]),
        (("revoke", "0123456789abcdef"), ["0123456789abcdef", "shelf keys list"]),
    ],
)
def test_a_mistake_that_is_not_named(disk_lake: LakeUnderTest, words: tuple[str, ...], told: list[str]) -> None:
    refused = shelf("keys", *words)
    assert refused.exit_code == 2
    for part in told:
        assert part in said(refused)
    assert Keys(disk_lake.lake.objects).list() == []


def test_a_token_given_for_its_key_id_and_shown_again(disk_lake: LakeUnderTest) -> None:
    key_id, secret = made("--owner", "app", "--scope", "upload")
    refused = shelf("keys", "revoke", f"shelf_{key_id}_{secret}")
    assert refused.exit_code == 2
    assert key_id in refused.output and secret not in refused.output
