"""How the settings name the lake's store. No Dagster, no tables: a door opens it as well as the graph does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shelf_assets.lake.object_store import ObjectStore, RetryOptions

if TYPE_CHECKING:
    from shelf_assets.settings import Settings


def store_options(settings: Settings) -> dict[str, str]:
    """Options of the store by the names that delta-rs, obstore and dagster-deltalake share; without keys, S3 clients ask for
    the pod's role."""
    if not settings.lake.on_s3:
        return {}
    secret, token = settings.lake.s3.secret_access_key, settings.lake.s3.session_token
    plain_http = (settings.lake.s3.endpoint_url or "").startswith("http://")
    options = {
        "access_key_id": settings.lake.s3.access_key_id,
        "secret_access_key": secret.get_secret_value() if secret else None,
        "token": token.get_secret_value() if token else None,
        "region": settings.lake.s3.region,
        "endpoint": settings.lake.s3.endpoint_url,
        "allow_http": "true" if plain_http else None,
    }
    return {name: value for name, value in options.items() if value is not None}


def object_store_of(settings: Settings, patience: RetryOptions | None = None) -> ObjectStore:
    """The lake's objects. Raises StoreUnavailable where the lake is a folder that cannot be made."""
    return ObjectStore.of_delta(settings.lake.url, store_options(settings), patience or RetryOptions())
