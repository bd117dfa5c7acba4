"""What the API says of the watch: shapes, and the way from the records to them.

Owns the fields that programs read. Refuses to know what they mean to a person: that is `web.watch_words`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from dermaloop.cases.findings import Alarm, Run
from dermaloop.cases.watch_tables import Outcome
from dermaloop.monitoring.findings import State
from dermaloop.monitoring.measures import MEASURES, Group, Kind


class _Shape(BaseModel):
    model_config = ConfigDict(frozen=True)


class WatchPoint(_Shape):
    """Some cases after one another."""

    at: AwareDatetime
    count: int
    value: float | None
    low: float | None
    high: float | None
    evidence: float


class WatchMeasure(_Shape):
    """One measure of the latest look."""

    name: str
    group: Group
    kind: Kind = Field(description="Compared with the first cases (numbers, words), or with what the model states.")
    state: State
    count: int = Field(description="Cases compared.")
    learning: int = Field(description="The first of them, that are only compared with.")
    evidence: float = Field(description="An alarm from 1 on.")
    most_evidence: float
    change: float = Field(description="Distance between the distributions before and after, from 0 to 1.")
    before: float | None
    after: float | None
    limit: float | None = Field(description="Largest mean that is no alarm, for the kind limit.")
    began_at: AwareDatetime | None
    found_at: AwareDatetime | None
    delay: int | None = Field(description="Cases from the beginning of the change to the alarm.")
    series: list[WatchPoint]


class WatchInterval(_Shape):
    """A figure on confirmed cases, with an interval that holds however often it is looked at."""

    value: float | None
    low: float
    high: float
    count: int
    stated: float | None


class WatchConfirmed(_Shape):
    """How many cases of an answer there are, and how many of them are confirmed."""

    answer: str
    confirmed: int
    cases: int


class WatchOutcome(_Shape):
    """What confirmed cases say."""

    sensitivity: WatchInterval
    specificity: WatchInterval
    calibration: WatchInterval = Field(description="Mean of finding (1 malignant, 0 benign) minus probability.")
    declined: int
    confirmed_by_answer: list[WatchConfirmed]


class WatchLook(_Shape):
    """The latest look."""

    made_at: AwareDatetime
    bundle: str
    visits: int
    confirmed: int
    false_alarms_a_year: float
    measures: list[WatchMeasure]
    outcome: WatchOutcome


class WatchReview(_Shape):
    """What a lead found behind an alarm."""

    at: AwareDatetime
    by: str
    outcome: Outcome
    note: str


class WatchAlarm(_Shape):
    """An alarm; `review` is null while it is open."""

    id: str
    raised_at: AwareDatetime
    bundle: str
    measure: str
    began_at: AwareDatetime
    found_at: AwareDatetime
    review: WatchReview | None


class WatchAnswer(_Shape):
    """The latest look and every alarm."""

    look: WatchLook | None = Field(description="Null before the first look.")
    alarms: list[WatchAlarm]


def answer_of(run: Run | None, alarms: Sequence[Alarm]) -> WatchAnswer:
    """The records as the API says them."""
    look = None if run is None or not run.report else _look(run)
    return WatchAnswer(look=look, alarms=[_alarm(alarm) for alarm in alarms])


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
    return WatchMeasure(
        **told,
        group=measure.group,
        kind=measure.kind,
        began_at=None if began is None else _time(began),
        found_at=None if found is None else _time(found),
        series=series,
    )


def _alarm(alarm: Alarm) -> WatchAlarm:
    said, review = alarm.review, None
    if said is not None:
        review = WatchReview(at=said.at, by=said.actor_name, outcome=said.outcome, note=said.note)
    return WatchAlarm(
        id=alarm.id,
        raised_at=alarm.made_at,
        bundle=alarm.bundle,
        measure=alarm.measure,
        began_at=alarm.began_at,
        found_at=alarm.found_at,
        review=review,
    )


def _time(seconds: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(seconds, dt.UTC)
