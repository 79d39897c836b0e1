"""Settings of every HTTP server: time limits, rate limits, proxies."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, field_validator

from shelf_assets.http.limit_text import parse_limits


class HttpSettings(BaseModel):
    """How a server runs, and how much a key or an address may send."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    body_seconds: float = Field(60.0, gt=0, description="Longest time for a request's body to arrive.")
    silence_seconds: float = Field(10.0, gt=0, description="Longest time without a byte from the client.")
    drain_seconds: int = Field(20, ge=0, description="How long a stopping server finishes the requests that it has.")

    key_requests: str = Field("600/minute", description="Requests of one API key: amount/period, several by ';'.")
    key_bytes: str = Field("20000000000/day", description="Bytes of one API key.")
    key_pixels: str = Field("200000000000/day", description="Pixels of one API key; a phone's photo has 12 million.")
    address_requests: str = Field(
        "1200/minute",
        description="Requests of one address (IPv6: its /64 network); those without a valid key are counted apart.",
    )
    address_bytes: str = Field("20000000000/day", description="Bytes of one address.")
    address_pixels: str = Field("200000000000/day", description="Pixels of one address.")
    redis_url: SecretStr | None = Field(
        None,
        description="Redis that replicas share their rate limits through, redis://host:port/0; none: this process alone.",
    )
    trusted_proxies: str = Field(
        "", description="Addresses whose X-Forwarded-For is trusted, by commas; none: the peer is the client."
    )

    @field_validator("key_requests", "key_bytes", "key_pixels", "address_requests", "address_bytes", "address_pixels")
    @classmethod
    def _is_a_limit(cls, text: str, field: ValidationInfo) -> str:
        if text == cls.model_fields[str(field.field_name)].default:
            return text  # avoids the import of the library in processes that count nothing
        parse_limits(text)
        return text
