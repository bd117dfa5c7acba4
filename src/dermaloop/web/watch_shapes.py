"""The way from the watch's records to what the API says of them (`wire.watch`).

Owns that translation. Refuses to know what it means to a person: that is `web.watch_words`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

from dermaloop.cases.findings import Alarm, Run
from dermaloop.cases.watch_looks import Look
from dermaloop.monitoring.measures import MEASURES
from dermaloop.web.api_shapes import shape
from dermaloop.wire.watch import (
    AskedLook,
    WatchAlarm,
    WatchAnswer,
    WatchConfirmed,
    WatchLook,
    WatchMeasure,
    WatchOutcome,
    WatchPoint,
    WatchReview,
)


def answer_of(run: Run | None, alarms: Sequence[Alarm], asked: Look | None) -> WatchAnswer:
    """The records as the API says them."""
    look = None if run is None or not run.report else _look(run)
    told = None if asked is None else shape(AskedLook, asked)
    return WatchAnswer(look=look, alarms=[alarm_of(alarm) for alarm in alarms], asked=told)


def _look(run: Run) -> WatchLook:
    report = run.report
    shares = report["confirmed_by_decision"].items()
    confirmed = [WatchConfirmed(answer=name, confirmed=pair[0], cases=pair[1]) for name, pair in shares]
    return WatchLook(
        made_at=run.made_at,
        bundle=run.bundle,
        visits=run.visits,
        confirmed=run.confirmed,
        false_alarms_a_year=report["limits"]["false_alarms_a_year"],
        measures=[_measure(one) for one in report["findings"] if one["name"] in MEASURES],
        outcome=WatchOutcome(**report["outcome"], confirmed_by_answer=confirmed),
    )


def _measure(one: dict[str, Any]) -> WatchMeasure:
    measure = MEASURES[one["name"]]
    series = [WatchPoint(**{**point, "at": _time(point["at"])}) for point in one["series"]]
    began, found = one.get("began"), one.get("found")
    told = {name: value for name, value in one.items() if name not in {"series", "began", "found"}}
    more = {
        "group": str(measure.group),
        "kind": str(measure.kind),
        "began_at": None if began is None else _time(began),
        "found_at": None if found is None else _time(found),
        "series": series,
    }
    return WatchMeasure.model_validate({**told, **more})


def alarm_of(alarm: Alarm) -> WatchAlarm:
    """An alarm as the API says it."""
    said = alarm.review
    review = None if said is None else shape(WatchReview, said, by=said.actor_name)
    return shape(WatchAlarm, alarm, raised_at=alarm.made_at, review=review)


def _time(seconds: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(seconds, dt.UTC)
