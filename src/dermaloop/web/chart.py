"""The probability of malignancy of one lesion over time, as points, lines and labels of a small drawing.

Owns the geometry, in units of the drawing's view box. Refuses to draw (the template does) and to join what cannot be
compared: answers of two models are two rulers, so a line connects those of one model only, each model's threshold spans
its own time, and an upright line stands where the model changed. Where the model gave no estimate there is a cross on
the axis instead of a point. Source for the time axis: days, to scale.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dermaloop.cases.timeline import Answer
from dermaloop.core.prediction import Prediction
from dermaloop.web.translation import date
from dermaloop.web.views import shows_figures
from dermaloop.web.wording import percent

WIDTH, HEIGHT = 640.0, 220.0
LEFT, RIGHT, TOP, BOTTOM = 52.0, 18.0, 12.0, 34.0
_SIDE = 24.0
"""Half the least length of a threshold's line: one that stands for a single visit must be seen too."""
_MOST_LABELS = 5
_TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True, slots=True)
class Point:
    """One answer: its place, and what it says."""

    x: float
    y: float
    day: dt.date
    probability: float
    suspicious: bool


@dataclass(frozen=True, slots=True)
class Threshold:
    """A threshold over the time of the answers that it decided."""

    x1: float
    x2: float
    y: float
    label: str


@dataclass(frozen=True, slots=True)
class Change:
    """That a day's answers are the first of another model."""

    x: float
    day: dt.date
    bundle: str


@dataclass(frozen=True, slots=True)
class Label:
    """A label of an axis; `anchor` is how it lies on its place."""

    at: float
    text: str
    anchor: str = "middle"


@dataclass(frozen=True, slots=True)
class Chart:
    """All there is to draw."""

    points: tuple[Point, ...]
    lines: tuple[str, ...]
    """For each model, the points of an SVG polyline through its highest answer of each day."""
    thresholds: tuple[Threshold, ...]
    ticks: tuple[Label, ...]
    days: tuple[Label, ...]
    declined: tuple[float, ...] = ()
    """Where pictures were taken that the model gave no estimate on."""
    changes: tuple[Change, ...] = ()
    width: float = WIDTH
    height: float = HEIGHT
    left: float = LEFT
    right: float = WIDTH - RIGHT
    top: float = TOP
    bottom: float = HEIGHT - BOTTOM


def chart_of(answers: Sequence[Answer]) -> Chart | None:
    """The chart of a lesion's answers, oldest first; None where there is no probability to show."""
    given = [(one.visit.visited_on, one.stored.prediction) for one in answers if one.stored is not None]
    found = [(day, prediction) for day, prediction in given if shows_figures(prediction)]
    if not found:
        return None
    days = sorted({day for day, _ in given})
    place = _Time(days[0], days[-1])
    points = []
    runs: dict[tuple[str, float], list[Point]] = {}
    for day, prediction in found:
        probability, threshold = prediction.malignant_probability or 0.0, prediction.threshold or 0.0
        point = Point(place(day), _height(probability), day, probability, probability >= threshold)
        points.append(point)
        runs.setdefault((prediction.bundle, threshold), []).append(point)
    return Chart(
        points=tuple(points),
        lines=tuple(_line(run) for run in runs.values()),
        thresholds=tuple(_threshold(run, threshold) for (_, threshold), run in runs.items()),
        ticks=tuple(Label(_height(value), percent(value, 0), "end") for value in _TICKS),
        days=tuple(_day_labels(days, place)),
        declined=tuple(sorted({place(day) for day, prediction in given if not shows_figures(prediction)})),
        changes=tuple(_changes(found, place)),
    )


class _Time:
    """From a day to a place on the axis; a single day lies in the middle."""

    def __init__(self, first: dt.date, last: dt.date) -> None:
        self._first, self._days = first, (last - first).days

    def __call__(self, day: dt.date) -> float:
        share = (day - self._first).days / self._days if self._days else 0.5
        inner = WIDTH - LEFT - RIGHT - 2 * _SIDE
        return round(LEFT + _SIDE + share * inner, 1)


def _changes(found: Iterable[tuple[dt.date, Prediction]], place: _Time) -> Iterable[Change]:
    """Half-way between the last answer of one model and the first of the next."""
    last: tuple[dt.date, str] | None = None
    for day, prediction in sorted(found, key=lambda one: one[0]):
        if last is not None and prediction.bundle != last[1]:
            yield Change(round((place(last[0]) + place(day)) / 2, 1), day, prediction.bundle)
        last = day, prediction.bundle


def _height(value: float) -> float:
    return round(TOP + (1 - value) * (HEIGHT - TOP - BOTTOM), 1)


def _line(run: Iterable[Point]) -> str:
    highest: dict[dt.date, Point] = {}
    for point in run:
        known = highest.get(point.day)
        if known is None or point.probability > known.probability:
            highest[point.day] = point
    return " ".join(f"{point.x},{point.y}" for _, point in sorted(highest.items()))


def _threshold(run: Sequence[Point], value: float) -> Threshold:
    x = [point.x for point in run]
    return Threshold(min(x) - _SIDE, max(x) + _SIDE, _height(value), percent(value))


def _day_labels(days: Sequence[dt.date], place: _Time) -> Iterable[Label]:
    """As many days as fit beside each other, the first and the last always."""
    if len(days) == 1:
        yield Label(place(days[0]), date(days[0]))
        return
    room = (WIDTH - LEFT - RIGHT) / _MOST_LABELS
    yield Label(LEFT, date(days[0]), "start")
    last = place(days[0]) + room / 2
    for day in days[1:-1]:
        if place(day) - last >= room / 2 and WIDTH - RIGHT - place(day) >= room * 1.5:
            yield Label(place(day), date(day))
            last = place(day) + room / 2
    yield Label(WIDTH - RIGHT, date(days[-1]), "end")
