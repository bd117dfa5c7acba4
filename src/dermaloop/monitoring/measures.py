"""What is watched: the measures, what each is compared with, and the limits of an alarm.

Owns the list. Every measure has the same part of the allowed false alarms, so a measure that is added here makes all
others a little slower. Refuses to know where the numbers come from.

Two kinds of comparison. A measure of the kind `numbers` or `words` is compared with the service's own first cases under
the same bundle: no clinic's pictures are distributed like the training's, and it is a change that has a cause. A
measure of the kind `limit` is compared with what the bundle states, plus a margin from the settings.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Group(StrEnum):
    """What a measure is about."""

    PICTURES = "pictures"
    ANSWERS = "answers"
    OUTCOME = "outcome"


class Kind(StrEnum):
    """What it is made of and compared with."""

    NUMBERS = "numbers"
    WORDS = "words"
    LIMIT = "limit"


@dataclass(frozen=True, slots=True)
class Measure:
    """One thing that is watched.

    Attributes:
        name: Its stable name.
        group: What it is about.
        kind: How it is compared.
        share: Whether each value is 0 or 1, so that its mean is a share.
        first: Whether the first of several numbers is shown, instead of how far all have moved.
    """

    name: str
    group: Group
    kind: Kind
    share: bool = False
    first: bool = False


_MEASURES = (
    Measure("embedding", Group.PICTURES, Kind.NUMBERS),
    Measure("texture", Group.PICTURES, Kind.NUMBERS),
    Measure("colour", Group.PICTURES, Kind.NUMBERS),
    Measure("blur", Group.PICTURES, Kind.NUMBERS),
    Measure("brightness", Group.PICTURES, Kind.NUMBERS, first=True),
    Measure("distance", Group.PICTURES, Kind.NUMBERS),
    Measure("device", Group.PICTURES, Kind.WORDS),
    Measure("image_type", Group.PICTURES, Kind.WORDS),
    Measure("unfamiliar", Group.PICTURES, Kind.LIMIT, share=True),
    Measure("outside", Group.PICTURES, Kind.LIMIT, share=True),
    Measure("probability", Group.ANSWERS, Kind.NUMBERS),
    Measure("declined", Group.ANSWERS, Kind.NUMBERS, share=True),
    Measure("declined_stated", Group.ANSWERS, Kind.LIMIT, share=True),
    Measure("missed", Group.OUTCOME, Kind.LIMIT, share=True),
    Measure("needless", Group.OUTCOME, Kind.NUMBERS, share=True),
    Measure("malignant", Group.OUTCOME, Kind.NUMBERS, share=True),
    Measure("calibration", Group.OUTCOME, Kind.NUMBERS),
)
MEASURES: dict[str, Measure] = {measure.name: measure for measure in _MEASURES}
"""Every measure by name, in the order in which they are shown."""


@dataclass(frozen=True, slots=True)
class Limits:
    """When a change is an alarm.

    Attributes:
        false_alarms_a_year: Chance that any measure raises a false alarm within a year, all measures and all looks
            together, in (0, 1].
        learning: Visits that are only compared with, at the beginning.
        learning_confirmed: Confirmed cases that are only compared with, at the beginning.
        least_change: Smallest distance between the distributions before and after that is an alarm, in [0, 1].
        unfamiliar: Largest share of pictures that resemble the training's less than 95 % of those do one another.
        outside_margin: What the share of pictures outside the bundle's limit may exceed the stated one by.
        declined_margin: What the declined share may exceed the bundle's own by.
        sensitivity_margin: What the sensitivity may fall short of the stated one by.
    """

    false_alarms_a_year: float = 0.05
    learning: int = 200
    learning_confirmed: int = 50
    least_change: float = 0.15
    unfamiliar: float = 0.15
    outside_margin: float = 0.10
    declined_margin: float = 0.10
    sensitivity_margin: float = 0.05

    @property
    def evidence(self) -> float:
        """The sum of a detector that is an alarm; see `monitoring.detector`."""
        return len(MEASURES) / self.false_alarms_a_year
