"""The metrics that the upload API adds to those of every server."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge


class UploadMetrics:
    """Metrics of one app, in its registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.in_flight = Gauge("shelf_upload_in_flight", "Uploads being received and stored.", registry=registry)
        self.pixels = Counter("shelf_upload_pixels", "Pixels of accepted photos.", registry=registry)
        self.photos = Counter(
            "shelf_upload_photos",
            "Photos answered with 200 or 201, by whether they were new.",
            ("outcome",),
            registry=registry,
        )
