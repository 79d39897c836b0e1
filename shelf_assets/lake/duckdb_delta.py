"""Prepare a DuckDB connection to read the lake's Delta tables. SQL about photos does not belong here.

The extensions are wheels and are loaded by path with their signatures checked: nothing is downloaded.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import duckdb

_SECRET_NAME = "shelf_lake"


class ExtensionMissingError(RuntimeError):
    """The wheel of a DuckDB extension is not installed, or is for another version of DuckDB."""


def extension_path(name: str) -> Path:
    """File of the extension `name` ("delta", "httpfs", "aws") for the installed version of DuckDB."""
    wheel = f"duckdb-extension-{name}=={duckdb.__version__}"
    spec = importlib.util.find_spec(f"duckdb_extension_{name}")
    if spec is None or not spec.submodule_search_locations:
        raise ExtensionMissingError(f"DuckDB cannot read the lake without its {name} extension: install {wheel}")
    folder = Path(next(iter(spec.submodule_search_locations))) / "extensions"
    path = folder / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"
    if not path.is_file():
        present = ", ".join(sorted(p.name for p in folder.glob("v*"))) or "none"
        raise ExtensionMissingError(
            f"the {name} extension is there for DuckDB {present}, but this is v{duckdb.__version__}: install {wheel}"
        )
    return path


def prepare_connection(connection: duckdb.DuckDBPyConnection, lake_url: str, environ: Mapping[str, str]) -> None:
    """Load the extensions that `delta_scan` needs for this lake; for a lake on S3 also create its secret, in memory only.

    `lake_url` is `file:///absolute/path` or `s3://bucket/prefix`; `environ` contains the usual AWS variables. Nothing is
    installed or downloaded: a missing wheel raises ExtensionMissingError.
    """
    connection.execute("SET autoinstall_known_extensions = false")
    connection.execute("SET autoload_known_extensions = false")
    _load(connection, "delta")
    if lake_url.startswith("s3://"):
        _load(connection, "httpfs")
        if not environ.get("AWS_ACCESS_KEY_ID"):
            _load(connection, "aws")  # finds the credentials of a pod role, a profile or the machine
        connection.execute(s3_secret_sql(lake_url, environ))


def s3_secret_sql(lake_url: str, environ: Mapping[str, str]) -> str:
    """The statement that creates the secret of one bucket from the usual AWS variables.

    With AWS_ACCESS_KEY_ID the keys are used as given; without it DuckDB uses the credential chain of AWS tools (pod role,
    profile, machine). AWS_ENDPOINT_URL names an S3 server other than AWS, http or https, with path-style addresses. The
    statement contains the keys: never log it.
    """
    options = {"TYPE": "s3", "SCOPE": f"s3://{urlsplit(lake_url).netloc}"}
    if environ.get("AWS_ACCESS_KEY_ID"):
        options["KEY_ID"] = environ["AWS_ACCESS_KEY_ID"]
        if not environ.get("AWS_SECRET_ACCESS_KEY"):
            raise ValueError("AWS_ACCESS_KEY_ID is set but AWS_SECRET_ACCESS_KEY is not: set both, or neither")
        options["SECRET"] = environ["AWS_SECRET_ACCESS_KEY"]
        if environ.get("AWS_SESSION_TOKEN"):
            options["SESSION_TOKEN"] = environ["AWS_SESSION_TOKEN"]
    else:
        options["PROVIDER"] = "credential_chain"
    options["REGION"] = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    if environ.get("AWS_ENDPOINT_URL"):
        options |= _endpoint_options(environ["AWS_ENDPOINT_URL"])
    listed = ", ".join(f"{name} '{_quoted(value)}'" for name, value in options.items())
    return f"CREATE OR REPLACE TEMPORARY SECRET {_SECRET_NAME} ({listed})"


def _endpoint_options(endpoint_url: str) -> dict[str, str]:
    parts = urlsplit(endpoint_url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ValueError(f"AWS_ENDPOINT_URL is {endpoint_url!r}: give it as http://host:port or https://host:port")
    return {
        "ENDPOINT": parts.netloc + parts.path.rstrip("/"),
        "USE_SSL": "true" if parts.scheme == "https" else "false",
        "URL_STYLE": "path",
    }


def _load(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    connection.execute(f"LOAD '{_quoted(str(extension_path(name)))}'")


def _quoted(text: str) -> str:
    return text.replace("'", "''")
