"""What the watch found: the records that leave this package.

Owns their fields; every one is a plain number, text or list, so that they can be kept as JSON. Times are seconds since
1970, UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How a measure stands."""

    LEARNING = "learning"
    STEADY = "steady"
    SLIGHT = "slight"
    """Certain, but smaller than what is an alarm."""
    ALARM = "alarm"
    UNKNOWN = "unknown"
    """There is nothing to compare with, or nothing to compare."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """Some cases after one another.

    Attributes:
        at: Mean time.
        count: How many.
        value: Median; mean of a share; for measures of many numbers how far their means moved, in
            standard deviations; for words the share of words unlike the most frequent one at the beginning.
        low: Tenth percentile; None where there is none.
        high: Ninetieth percentile.
        evidence: After the last of them: an alarm from 1 on.
    """

    at: float
    count: int
    value: float | None
    low: float | None
    high: float | None
    evidence: float


@dataclass(frozen=True, slots=True)
class Finding:
    """One measure.

    Attributes:
        name: See `measures.MEASURES`.
        state: How it stands.
        count: Cases looked at, from where it compares.
        learning: How many of them are only compared with.
        evidence: Now; an alarm from 1 on.
        most_evidence: The most since it compares.
        change: Distance between before and after (or the first and the latest cases), in [0, 1].
        before: Value at the beginning, as in `Bucket.value`.
        after: Value since the change, or of the latest cases.
        limit: The largest mean that is no alarm, for the kind `limit`.
        began: When the change began, as estimated; None without one.
        found: When the evidence was enough.
        delay: Cases from one to the other.
        series: Over time.
    """

    name: str
    state: State
    count: int
    learning: int
    evidence: float = 0.0
    most_evidence: float = 0.0
    change: float = 0.0
    before: float | None = None
    after: float | None = None
    limit: float | None = None
    began: float | None = None
    found: float | None = None
    delay: int | None = None
    series: tuple[Bucket, ...] = ()


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with the confidence sequence around it.

    Attributes:
        value: None without a case.
        low: Of the sequence.
        high: Of the sequence.
        count: Cases.
        stated: What the bundle states; None where it states nothing.
    """

    value: float | None
    low: float
    high: float
    count: int
    stated: float | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What confirmed cases say of the answers, whole; the intervals hold however often they are looked at.

    Attributes:
        sensitivity: Malignant cases that were referred, of those answered.
        specificity: Benign ones that were not.
        calibration: Mean of (malignant or not) minus probability: above 0 where risks are stated too low.
        declined: Confirmed cases that the model had declined, which the others leave out.
    """

    sensitivity: Interval
    specificity: Interval
    calibration: Interval
    declined: int


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that one look found."""

    findings: tuple[Finding, ...]
    outcome: Outcome
    visits: int
    confirmed: int
