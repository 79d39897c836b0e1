"""Settings of the lake: location of photos and tables, table maintenance, and access to S3."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

# All that AWS's tools read of what the settings say; a child process must not find values of another place there.
AWS_VARIABLES = (
    "AWS_ENDPOINT_URL",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
)


class S3Settings(BaseModel):
    """Access to an S3 server, read from the usual AWS variables. Without keys, the pod's role is used."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    endpoint_url: str | None = Field(
        None,
        json_schema_extra={"variables": ["AWS_ENDPOINT_URL"]},
        description="Endpoint of an S3 server other than AWS.",
    )
    region: str = Field(
        "us-east-1",
        json_schema_extra={"variables": ["AWS_REGION", "AWS_DEFAULT_REGION"]},
        description="Region of the bucket; AWS_DEFAULT_REGION counts where AWS_REGION is not set.",
    )
    access_key_id: str | None = Field(
        None, json_schema_extra={"variables": ["AWS_ACCESS_KEY_ID"]}, description="Access key; none: the pod's role."
    )
    secret_access_key: SecretStr | None = Field(
        None, json_schema_extra={"variables": ["AWS_SECRET_ACCESS_KEY"]}, description="Secret of the access key."
    )
    session_token: SecretStr | None = Field(
        None, json_schema_extra={"variables": ["AWS_SESSION_TOKEN"]}, description="Token of temporary keys."
    )


class LakeSettings(BaseModel):
    """`Settings` sets `url` to `<home>/lake` by default."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = Field(
        "",
        description="Location of photos and tables: file:///folder or s3://bucket/prefix. Default: <home>/lake.",
    )
    small_file_bytes: int = Field(
        32_000_000,
        ge=1_000,
        le=100_000_000,
        description="Maintenance packs a day that has two or more data files below this. 5,000 vectors are 11 MB; "
        "delta-rs cuts at 100.",
    )
    keep_files_days: int = Field(
        7,
        ge=1,
        le=7,
        description="Days that maintenance keeps a file after no newer version needs it; after 7 a checkpoint forgets "
        "since when.",
    )
    s3: S3Settings = S3Settings()

    @field_validator("url")
    @classmethod
    def _known_scheme(cls, url: str) -> str:
        parts = urlsplit(url)
        if (
            url
            and not (parts.scheme == "s3" and parts.netloc)
            and not (parts.scheme == "file" and not parts.netloc and parts.path.startswith("/"))
        ):
            raise ValueError("must be file:///absolute/folder or s3://bucket/prefix")
        return url.rstrip("/")

    def aws_environment(self) -> dict[str, str]:
        """The access to S3 as the variables that AWS's tools read, for a child process; empty for a lake in a folder."""
        if not self.on_s3:
            return {}
        s3 = self.s3
        values = {
            "AWS_ENDPOINT_URL": s3.endpoint_url,
            "AWS_REGION": s3.region,
            "AWS_ACCESS_KEY_ID": s3.access_key_id,
            "AWS_SECRET_ACCESS_KEY": s3.secret_access_key.get_secret_value() if s3.secret_access_key else None,
            "AWS_SESSION_TOKEN": s3.session_token.get_secret_value() if s3.session_token else None,
        }
        return {name: value for name, value in values.items() if value is not None}

    @property
    def on_s3(self) -> bool:
        return self.url.startswith("s3://")

    @property
    def folder(self) -> Path:
        """The lake's folder; only for a lake on disk."""
        return Path(unquote(urlsplit(self.url).path))
