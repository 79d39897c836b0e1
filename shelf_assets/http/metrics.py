"""The counters on /metrics, each app's own. Labels are few and ours alone: nothing that a sender writes becomes one."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

# From an answer out of memory to the longest that a photo may take to arrive.
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """What one app counts."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "shelf_door_requests",
            "Requests by route and status.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self.seconds = Histogram(
            "shelf_door_request_seconds",
            "From a request's head to its answer.",
            ("method", "route"),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.in_flight = Gauge("shelf_door_in_flight", "Requests being served.", registry=self.registry)
        self.places_taken = Gauge(
            "shelf_door_places_taken", "Uploads that hold one of the places.", registry=self.registry
        )
        self.bytes = Counter("shelf_door_received_bytes", "Bytes of bodies, refused ones too.", registry=self.registry)
        self.pixels = Counter("shelf_door_pixels", "Pixels of photos that were rebuilt.", registry=self.registry)
        self.photos = Counter(
            "shelf_door_photos", "Photos answered for, by whether they were new.", ("outcome",), registry=self.registry
        )
        self.refusals = Counter(
            "shelf_door_refusals", "Requests that ended in a problem, by reason.", ("reason",), registry=self.registry
        )

    def count(self, method: str, route: str, status: int, seconds: float, body_bytes: int, reason: str | None) -> None:
        """Count one request that has ended."""
        self.requests.labels(method, route, str(status)).inc()
        self.seconds.labels(method, route).observe(seconds)
        self.bytes.inc(body_bytes)
        if reason is not None:
            self.refusals.labels(reason).inc()

    def text(self) -> bytes:
        return generate_latest(self.registry)
