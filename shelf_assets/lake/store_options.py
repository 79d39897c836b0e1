"""The lake's store from its settings: options of the S3 clients, and the object store itself."""

from __future__ import annotations

from shelf_assets.lake.object_store import ObjectStore, RetryOptions
from shelf_assets.lake.settings import LakeSettings


def store_options(lake: LakeSettings) -> dict[str, str]:
    """Options of the store under the names that delta-rs, obstore and dagster-deltalake share; none for a folder.

    Without keys, S3 clients use the pod's role.
    """
    if not lake.on_s3:
        return {}
    s3 = lake.s3
    plain_http = (s3.endpoint_url or "").startswith("http://")
    options = {
        "access_key_id": s3.access_key_id,
        "secret_access_key": s3.secret_access_key.get_secret_value() if s3.secret_access_key else None,
        "token": s3.session_token.get_secret_value() if s3.session_token else None,
        "region": s3.region,
        "endpoint": s3.endpoint_url,
        "allow_http": "true" if plain_http else None,
    }
    return {name: value for name, value in options.items() if value is not None}


def open_object_store(lake: LakeSettings, retry_options: RetryOptions | None = None) -> ObjectStore:
    """Open the lake's objects. Raises StoreUnavailable if the lake is a folder that cannot be made."""
    return ObjectStore.of_delta(lake.url, store_options(lake), retry_options or RetryOptions())
