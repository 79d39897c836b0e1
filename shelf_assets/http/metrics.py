"""The metrics that every server counts, in a registry of its own. No label holds text that a sender chooses."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

# From an answer out of memory to the longest that a body may take to arrive.
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class HttpMetrics:
    """Metrics of one app. Rooms add their own to `registry`."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "shelf_http_requests",
            "Requests by route and status.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self.seconds = Histogram(
            "shelf_http_request_seconds",
            "From a request's head to the end of its answer.",
            ("method", "route"),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.in_flight = Gauge("shelf_http_in_flight", "Requests being served.", registry=self.registry)
        self.bytes = Counter(
            "shelf_http_received_bytes", "Bytes read of bodies, refused ones included.", registry=self.registry
        )
        self.refusals = Counter(
            "shelf_http_refusals", "Requests that ended in a problem, by reason.", ("reason",), registry=self.registry
        )

    def count(self, method: str, route: str, status: int, seconds: float, body_bytes: int, reason: str | None) -> None:
        """Count one finished request."""
        self.requests.labels(method, route, str(status)).inc()
        self.seconds.labels(method, route).observe(seconds)
        self.bytes.inc(body_bytes)
        if reason is not None:
            self.refusals.labels(reason).inc()

    def text(self) -> bytes:
        return generate_latest(self.registry)
