"""Outside tools as Dagster resources. The other resources are plain objects, made in `shelf_assets.build`."""
