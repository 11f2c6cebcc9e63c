"""What Prometheus scrapes from the endpoint."""

import os

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

# Where several workers share their figures: the client library reads this variable when it is imported.
MULTIPROCESS_DIR = "PROMETHEUS_MULTIPROC_DIR"
# Seconds. One prediction takes about a millisecond, a batch of a thousand some tens.
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Metrics:
    """The endpoint's counters, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        # Memory, processor time and open files; of several workers there is no one figure for these.
        ProcessCollector(registry=registry)
        self.requests = Counter("http_requests", "Answered requests", ["route", "status"], registry=registry)
        self.latency = Histogram(
            "http_request_duration_seconds", "Time to answer", ["route"], buckets=BUCKETS, registry=registry
        )
        self.predictions = Counter("predictions", "Predictions given", ["predicted", "version"], registry=registry)
        self.unlogged = Counter("predictions_unlogged", "Predictions given that are not in the log", registry=registry)
        self.log_writes = Histogram(
            "prediction_log_write_seconds",
            "Time of a write, for one or more requests",
            buckets=BUCKETS,
            registry=registry,
        )
        self.log_failures = Counter("prediction_log_failures", "Writes to the log that failed", registry=registry)
        self.challenger_failures = Counter(
            "challenger_failures", "Times that a challenger failed, and the champion answered", registry=registry
        )
        # An Info would say this, but cannot be had from several workers.
        self.model = Gauge(
            "model_info",
            "1 for a model in service, 0 for one that was",
            ["version", "model", "role"],
            multiprocess_mode="max",
            registry=registry,
        )

    def exposed(self) -> bytes:
        """Return all figures as Prometheus reads them: of every worker, where there are several."""
        if MULTIPROCESS_DIR not in os.environ:
            return generate_latest(self.registry)
        workers = CollectorRegistry()
        MultiProcessCollector(workers)  # type: ignore[no-untyped-call]
        return generate_latest(workers)
