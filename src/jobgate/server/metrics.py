"""What the front counts, for `/metrics`."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest


class Metrics:
    """Requests by dialect, verb and status; their seconds by dialect and verb; how many are being answered now."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "jobgate_requests", "Requests answered", ("dialect", "verb", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "jobgate_request_seconds", "Time to answer", ("dialect", "verb"), registry=self._registry
        )

        self.in_flight = Gauge(
            "jobgate_requests_in_flight", "Requests begun and not yet answered", registry=self._registry
        )

    def count(self, dialect: str, verb: str, status: int, seconds: float) -> None:
        """One request was answered."""
        self._requests.labels(dialect, verb, str(status)).inc()
        self._seconds.labels(dialect, verb).observe(seconds)

    def text(self) -> bytes:
        """In Prometheus' own format."""
        return generate_latest(self._registry)
