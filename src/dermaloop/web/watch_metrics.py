"""The watch's findings as figures for Prometheus.

Owns their names. Refuses to compute: the latest look is read from the records at each scrape, so that every server of a
department says the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from dermaloop.cases.database import Database
from dermaloop.cases.findings import Run, alarms, latest_run
from dermaloop.core.errors import DermaloopError
from dermaloop.monitoring.findings import State

_OUTCOMES = ("sensitivity", "specificity", "calibration")


def register(registry: CollectorRegistry, database: Database) -> None:
    """Adds the watch's figures to an application's."""
    registry.register(_Findings(database))


class _Findings(Collector):
    """Figures of the latest look; none before the first, or where the records cannot be read."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Nothing: the names are our own, and asking for the figures at registration would read the records."""
        return ()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The figures."""
        try:
            with self._database.read() as session:
                run = latest_run(session)
                still_open = {alarm.measure for alarm in alarms(session) if alarm.review is None}
        except DermaloopError:
            return
        if run is None or not run.report:
            return
        yield _one("last_look_timestamp_seconds", "When the watch last looked", run.made_at.timestamp())
        yield _one("visits", "Visits that it looked at", run.visits)
        yield _one("confirmed_cases", "Confirmed cases that it looked at", run.confirmed)
        evidence = _family("evidence", "Evidence of a change by measure: an alarm from 1 on", "measure")
        alarmed = _family("alarm", "1 where an alarm of the measure is open", "measure")
        learning = _family("learning", "1 while a measure has too few cases to compare", "measure")
        for one in run.report["findings"]:
            evidence.add_metric((one["name"],), one["evidence"])
            alarmed.add_metric((one["name"],), float(one["name"] in still_open))
            learning.add_metric((one["name"],), float(one["state"] == State.LEARNING))
        yield from (evidence, alarmed, learning, *_outcome(run))


def _outcome(run: Run) -> Iterator[GaugeMetricFamily]:
    for name in _OUTCOMES:
        one = run.report["outcome"][name]
        if one["value"] is None:
            continue
        family = _family(f"confirmed_{name}", f"On confirmed cases: {name}, and its 95 % confidence sequence", "bound")
        for bound in ("value", "low", "high"):
            family.add_metric((bound,), one[bound])
        yield family


def _family(name: str, text: str, label: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"dermaloop_watch_{name}", text, labels=(label,))


def _one(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"dermaloop_watch_{name}", text, value=value)
