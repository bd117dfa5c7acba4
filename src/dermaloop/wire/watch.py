"""The watch as the server sends it: what the latest look found, and the alarms.

Owns those shapes. Refuses to say what they mean to a person, and to look.
"""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime, Field

from dermaloop.wire.base import Answer


class WatchPoint(Answer):
    """Some cases after one another."""

    at: AwareDatetime
    count: int
    value: float | None
    low: float | None
    high: float | None
    evidence: float


class WatchMeasure(Answer):
    """One measure of the latest look."""

    name: str
    group: Literal["pictures", "answers", "outcome"]
    kind: Literal["numbers", "words", "limit"] = Field(
        description="Compared with the first cases (numbers, words), or with what the model states."
    )
    state: Literal["learning", "steady", "slight", "alarm", "unknown"]
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


class WatchInterval(Answer):
    """A figure on confirmed cases, with an interval that holds however often it is looked at."""

    value: float | None
    low: float
    high: float
    count: int
    stated: float | None


class WatchConfirmed(Answer):
    """How many cases of an answer there are, and how many of them are confirmed."""

    answer: str
    confirmed: int
    cases: int


class WatchOutcome(Answer):
    """What confirmed cases say."""

    sensitivity: WatchInterval
    specificity: WatchInterval
    calibration: WatchInterval = Field(description="Mean of finding (1 malignant, 0 benign) minus probability.")
    declined: int
    confirmed_by_answer: list[WatchConfirmed]


class WatchLook(Answer):
    """The latest look."""

    made_at: AwareDatetime
    bundle: str
    visits: int
    confirmed: int
    false_alarms_a_year: float
    measures: list[WatchMeasure]
    outcome: WatchOutcome


class WatchReview(Answer):
    """What a lead found behind an alarm."""

    at: AwareDatetime
    by: str
    outcome: Literal["passed", "stays"]
    note: str


class WatchAlarm(Answer):
    """An alarm; `review` is null while it is open."""

    id: str
    raised_at: AwareDatetime
    bundle: str
    measure: str
    began_at: AwareDatetime
    found_at: AwareDatetime
    review: WatchReview | None


class AskedLook(Answer):
    """A look that was asked for: by a lead, or by the server's clock."""

    id: str
    made_at: AwareDatetime
    actor_name: str
    begun: bool = Field(description="Whether a server is at work on it.")
    done: int = Field(description="Steps that are done.")
    steps: int = Field(description="Of so many; 0 before the first is known.")
    ended_at: AwareDatetime | None = Field(description="Null while it is to be done or under way.")
    failure: str = Field(description="Why nothing was found out; empty where it went well or has not ended.")


class WatchAnswer(Answer):
    """The latest look, every alarm, and the look that was asked for last."""

    look: WatchLook | None = Field(description="Null before the first look.")
    alarms: list[WatchAlarm]
    asked: AskedLook | None = Field(default=None, description="Null before the first.")
