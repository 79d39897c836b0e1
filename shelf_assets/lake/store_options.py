"""How the settings name the lake's store. No Dagster, no tables: a door opens it as well as the graph does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shelf_assets.lake.object_store import ObjectStore, Patience

if TYPE_CHECKING:
    from shelf_assets.settings import Settings


def store_options(settings: Settings) -> dict[str, str]:
    """Options of the store by the names that delta-rs, obstore and dagster-deltalake share; without keys, S3 clients ask for
    the pod's role."""
    if not settings.on_s3:
        return {}
    secret, token = settings.s3_secret_access_key, settings.s3_session_token
    plain_http = (settings.s3_endpoint_url or "").startswith("http://")
    options = {
        "access_key_id": settings.s3_access_key_id,
        "secret_access_key": secret.get_secret_value() if secret else None,
        "token": token.get_secret_value() if token else None,
        "region": settings.s3_region,
        "endpoint": settings.s3_endpoint_url,
        "allow_http": "true" if plain_http else None,
    }
    return {name: value for name, value in options.items() if value is not None}


def object_store_of(settings: Settings, patience: Patience | None = None) -> ObjectStore:
    """The lake's objects. Raises StoreUnavailable where the lake is a folder that cannot be made."""
    return ObjectStore.of_delta(settings.lake_url, store_options(settings), patience or Patience())
