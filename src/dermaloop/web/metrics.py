"""What the server counts and measures of itself, for Prometheus.

Owns names, labels and buckets. Labels have few values, all of them written in the program: a request's route as a
template, an error's code, a bundle's identity; never an id, a name or an address. Refuses to know HTTP. One registry
per application, so that two in one process do not share numbers. The format and the process's own figures are
`prometheus-client`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from dermaloop import __version__
from dermaloop.core.bundle import Bundle
from dermaloop.core.prediction import Prediction

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_REQUEST_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_ASSESSMENT_S = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1, 5)


class Pool(Protocol):
    """A bounded number of places, some of which are worked at (`web.capacity.Capacity`)."""

    @property
    def places(self) -> int:
        """How many there are."""

    @property
    def taken(self) -> int:
        """How many are taken."""

    @property
    def running(self) -> int:
        """How many of these are worked at now; the others wait."""


@dataclass(frozen=True, slots=True)
class StoreSizes:
    """How much the store holds; read at most once a minute, see `web.probes`."""

    figures: dict[str, float]
    """By the ends of the names `dermaloop_store_…`."""


STORE_FIGURES: dict[str, str] = {
    "patients": "Patients who are not deleted",
    "cases": "Cases",
    "cases_open": "Cases that are not signed off",
    "pictures": "Pictures in the records",
    "pictures_bytes": "Their size together",
    "predictions": "Predictions in the records",
    "audit_entries": "Entries of the audit log",
    "database_bytes": "Size of the database",
    "free_bytes": "Room left on the disk that the store's folder lies on",
}
"""The figures of the store, and what each is."""


_QUEUE: tuple[tuple[str, str, Callable[[Pool], int]], ...] = (
    ("places", "Requests that a pool takes at most", lambda pool: pool.places),
    ("running", "Requests that are worked at", lambda pool: pool.running),
    ("waiting", "Requests that wait for their turn", lambda pool: max(0, pool.taken - pool.running)),
)


class Metrics:
    """The counters of one running application.

    Args:
        bundle: What is served, for the figures that name it.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        labels = ("method", "route")
        self._requests = self._counter("http_requests", "Requests answered", (*labels, "status"))
        self._duration = Histogram(
            "dermaloop_http_request_duration_seconds",
            "From a request's head to the end of its answer, the time of its upload included",
            labels,
            buckets=_REQUEST_S,
            registry=self.registry,
        )
        self._in_flight = Gauge(
            "dermaloop_http_requests_in_flight", "Requests not answered yet", registry=self.registry
        )
        self._refusals = self._counter("refusals", "Requests refused, by the problem's code", ("code",))
        self._predictions = self._counter(
            "predictions", "Pictures answered, by what was said of them", ("bundle", "status", "decision")
        )
        self._declined = self._counter(
            "declined", "Reasons for which pictures were declined or could not be read", ("bundle", "reason")
        )
        self._assessment = Histogram(
            "dermaloop_assessment_duration_seconds",
            "One picture from its bytes to the answer, without the time in the queue",
            buckets=_ASSESSMENT_S,
            registry=self.registry,
        )
        self._built = Gauge(
            "dermaloop_build_info", "Always 1; its labels say what runs", ("version", "bundle"), registry=self.registry
        )
        self.serves(bundle)
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)

    def _counter(self, name: str, text: str, labels: tuple[str, ...]) -> Counter:
        return Counter(f"dermaloop_{name}", text, labels, registry=self.registry)

    def serves(self, bundle: Bundle) -> None:
        """Another bundle answers from here on."""
        self._built.clear()
        self._built.labels(__version__, bundle.identity).set(1)

    def watch(self, pools: dict[str, Pool], sizes: Callable[[], StoreSizes | None]) -> None:
        """Adds what is looked up when asked for.

        Args:
            pools: By the name that they get in the label `pool`.
            sizes: What is known of the store's sizes; None where it could not be read.
        """
        self.registry.register(_Watched(pools, sizes))

    def begun(self) -> None:
        """A request has come."""
        self._in_flight.inc()

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request has been answered.

        Args:
            method: One of the few that HTTP knows.
            route: Its template.
            status: As answered; 499 where nobody waited for it.
            seconds: How long it took.
        """
        self._in_flight.dec()
        self._requests.labels(method, route, str(status)).inc()
        self._duration.labels(method, route).observe(seconds)

    def refused(self, code: str) -> None:
        """A request was answered with a problem."""
        self._refusals.labels(code).inc()

    def predicted(self, prediction: Prediction, seconds: float) -> None:
        """A picture was answered."""
        decision = prediction.decision.value or "none"
        self._predictions.labels(prediction.bundle, prediction.status.value, decision).inc()
        for reason in prediction.reasons:
            self._declined.labels(prediction.bundle, reason.code).inc()
        self._assessment.observe(seconds)

    def text(self) -> bytes:
        """Everything, as Prometheus reads it."""
        return generate_latest(self.registry)


class _Watched(Collector):
    """Figures that are known at the moment of asking only."""

    def __init__(self, pools: dict[str, Pool], sizes: Callable[[], StoreSizes | None]) -> None:
        self._pools, self._sizes = pools, sizes

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Nothing: the names are our own, and asking for the figures at registration would read the store."""
        return ()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The figures."""
        for name, text, figure in _QUEUE:
            family = GaugeMetricFamily(f"dermaloop_queue_{name}", text, labels=("pool",))
            for pool, one in self._pools.items():
                family.add_metric((pool,), figure(one))
            yield family
        found = self._sizes()
        for name, value in (found.figures if found else {}).items():
            yield GaugeMetricFamily(f"dermaloop_store_{name}", STORE_FIGURES[name], value=value)
