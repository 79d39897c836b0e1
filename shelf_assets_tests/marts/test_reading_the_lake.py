"""A DuckDB connection that reads the lake offline: extensions by path, the S3 secret, marts from S3."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest

from shelf_assets.lake import duckdb_delta
from shelf_assets.lake.duckdb_delta import (
    ExtensionMissingError,
    extension_path,
    prepare_connection,
    s3_secret_sql,
)
from shelf_assets_tests.marts.dbt_runner import DbtRunner, succeeded
from shelf_assets_tests.marts.small_lake import FULL_DAY, LAST_DAY, SmallLake, photo, write_three_days

KEYS = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "it's secret"}


def secret_of(environ: dict[str, str]) -> str:
    """The secret in DuckDB after the statement, with its secret parts redacted."""
    with duckdb.connect() as connection:
        prepare_connection(connection, "s3://photos/shelf", environ)
        [row] = connection.execute("SELECT scope, persistent, secret_string FROM duckdb_secrets()").fetchall()
    assert row[:2] == (["s3://photos"], False), "a secret must be bound to the bucket and never be written to disk"
    return str(row[2])


def test_extensions_are_those_of_this_duckdb() -> None:
    for name in ("delta", "httpfs", "aws"):
        assert f"v{duckdb.__version__}" in extension_path(name).parts


def test_missing_wheel_is_named_with_its_version() -> None:
    with pytest.raises(ExtensionMissingError, match=f"install duckdb-extension-nowhere=={duckdb.__version__}"):
        extension_path("nowhere")


def test_wheel_of_another_duckdb_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duckdb_delta.duckdb, "__version__", "9.9.9")
    with pytest.raises(ExtensionMissingError, match=r"there for DuckDB v1\.\d+\.\d+, but this is v9\.9\.9"):
        extension_path("delta")


def test_a_folder_is_read_without_network_or_secret(tmp_path: Path) -> None:
    lake = SmallLake((tmp_path / "with space").as_uri())
    lake.append("raw_images", [photo(FULL_DAY, "p0"), photo(LAST_DAY, "q0")])
    with duckdb.connect() as connection:
        prepare_connection(connection, lake.url, {})
        query = f"SELECT image_id FROM delta_scan('{lake.url}/tables/raw_images') WHERE day = DATE '{FULL_DAY}'"
        assert connection.execute(query).fetchall() == [("p0",)]
        plan = str(connection.execute(f"EXPLAIN ANALYZE {query}").fetchall())
        assert "Scanning Files: 1/2" in plan, "the file of the other day must not be opened"
        assert connection.execute("SELECT count(*) FROM duckdb_secrets()").fetchone() == (0,)


def test_keys_with_a_quote_are_escaped_in_the_secret() -> None:
    assert "key_id=id" in secret_of(KEYS)
    assert "'it''s secret'" in s3_secret_sql("s3://photos", KEYS)


def test_custom_endpoint_is_addressed_by_path_over_http() -> None:
    secret = secret_of({**KEYS, "AWS_ENDPOINT_URL": "http://127.0.0.1:8333", "AWS_REGION": "eu-west-1"})
    for part in ("endpoint=127.0.0.1:8333", "use_ssl=false", "url_style=path", "region=eu-west-1"):
        assert part in secret


def test_https_endpoint_keeps_tls() -> None:
    secret = secret_of({**KEYS, "AWS_ENDPOINT_URL": "https://s3.example.com", "AWS_SESSION_TOKEN": "token"})
    assert "use_ssl=true" in secret and "session_token=redacted" in secret


def test_half_a_key_pair_is_refused() -> None:
    with pytest.raises(ValueError, match="set both, or neither"):
        s3_secret_sql("s3://photos", {"AWS_ACCESS_KEY_ID": "id"})


def test_endpoint_without_scheme_is_refused() -> None:
    with pytest.raises(ValueError, match="http://host:port"):
        s3_secret_sql("s3://photos", {**KEYS, "AWS_ENDPOINT_URL": "127.0.0.1:8333"})


def test_pod_role_is_used_without_keys() -> None:
    assert "PROVIDER 'credential_chain'" in s3_secret_sql("s3://photos", {})


@pytest.mark.s3
@pytest.mark.slow
def test_marts_on_s3_equal_marts_on_disk(s3_lake: Any, tmp_path: Path) -> None:
    aws_environment = s3_lake.settings.lake.aws_environment()
    write_three_days(SmallLake(s3_lake.url, s3_lake.lake.storage_options, aws_environment))
    on_s3 = DbtRunner(tmp_path, s3_lake.url, aws_environment)
    succeeded(on_s3.build(FULL_DAY, LAST_DAY))
    intake = on_s3.marts()["daily_intake_quality"]
    assert intake["photos_in"].to_list() == [11, 0, 1]
    assert on_s3.marts()["daily_label_popularity"]["images"].sum() == 8
