"""One measure over time, as points, lines and labels of a small drawing.

Owns the geometry, in units of the drawing's view box. Refuses to draw (the template does) and to know the statistics.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dermaloop.monitoring.measures import MEASURES, Kind
from dermaloop.web.chart import Label
from dermaloop.web.translation import date
from dermaloop.web.watch_words import moved, value_said

WIDTH, HEIGHT = 420.0, 170.0
LEFT, RIGHT, TOP, BOTTOM = 62.0, 14.0, 12.0, 28.0
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_TICKS = 3


@dataclass(frozen=True, slots=True)
class WatchChart:
    """All there is to draw.

    Attributes:
        line: Points of an SVG polyline through the values.
        points: The single values, (x, y).
        band: Points of an SVG polygon between the tenth and the ninetieth percentile; empty without them.
        learning: From the left to here nothing is tested yet, only compared with; None where nothing is learnt.
        limit: Height of the largest value that is allowed; None without one.
        began: Where the change began; None without one.
        ticks: Of the values.
        days: First and last.
    """

    line: str
    points: tuple[tuple[float, float], ...]
    band: str
    learning: float | None
    limit: float | None
    began: float | None
    ticks: tuple[Label, ...]
    days: tuple[Label, ...]
    width: float = WIDTH
    height: float = HEIGHT
    left: float = LEFT
    right: float = WIDTH - RIGHT
    top: float = TOP
    bottom: float = HEIGHT - BOTTOM


def chart_of(finding: Mapping[str, Any]) -> WatchChart | None:
    """The chart of a finding as the report keeps it; None where there are too few values for one."""
    series = [one for one in finding["series"] if one["value"] is not None]
    if len(series) < 2:  # noqa: PLR2004 - one point is no course over time
        return None
    name = finding["name"]
    across = _Across(series[0]["at"], series[-1]["at"])
    low, high = _range(name, series, finding["limit"])
    ticks = _ticks(low, high)
    up = _Up(min(low, ticks[0]), max(high, ticks[-1]))
    points = tuple((across(one["at"]), up(one["value"])) for one in series)
    banded = [one for one in series if one["low"] is not None]
    edge = [(across(one["at"]), up(one["high"])) for one in banded]
    edge += [(across(one["at"]), up(one["low"])) for one in reversed(banded)]
    return WatchChart(
        line=_joined(points),
        points=points,
        band=_joined(edge),
        learning=_learning(finding, series, across),
        limit=None if finding["limit"] is None else up(finding["limit"]),
        began=None if finding["began"] is None else across(finding["began"]),
        ticks=tuple(Label(up(value), value_said(name, value), "end") for value in ticks),
        days=(Label(LEFT, _day(series[0]["at"]), "start"), Label(WIDTH - RIGHT, _day(series[-1]["at"]), "end")),
    )


class _Across:
    """From a time to a place; a single moment lies in the middle."""

    def __init__(self, first: float, last: float) -> None:
        self._first, self._span = first, last - first

    def __call__(self, at: float) -> float:
        share = min(max((at - self._first) / self._span, 0.0), 1.0) if self._span else 0.5
        return round(LEFT + 8 + share * (WIDTH - LEFT - RIGHT - 16), 1)


class _Up:
    """From a value to a height."""

    def __init__(self, low: float, high: float) -> None:
        self._low, self._span = low, (high - low) or 1.0

    def __call__(self, value: float) -> float:
        return round(TOP + (1 - (value - self._low) / self._span) * (HEIGHT - TOP - BOTTOM), 1)


def _range(name: str, series: Sequence[Mapping[str, Any]], limit: float | None) -> tuple[float, float]:
    values = [one[field] for one in series for field in ("low", "value", "high") if one[field] is not None]
    values += [] if limit is None else [limit]
    measure = MEASURES.get(name)
    from_zero = moved(name) or (measure is not None and (measure.share or measure.kind is Kind.WORDS))
    low, high = min(values), max(values)
    least = (1.0 if moved(name) else 0.1) if from_zero else 0.02
    low = 0.0 if from_zero else low
    return low, max(high, low + least)


def _ticks(low: float, high: float) -> tuple[float, ...]:
    """About three round values that hold the range between them."""
    raw = (high - low) / (_TICKS - 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(step * power for step in _STEPS if step * power >= raw * (1 - 1e-9))
    first = math.floor(low / step + 1e-9)
    last = math.ceil(high / step - 1e-9)
    return tuple(round(place * step, 10) for place in range(first, last + 1))


def _learning(finding: Mapping[str, Any], series: Sequence[Mapping[str, Any]], across: _Across) -> float | None:
    """Where the last of the cases lies that are only compared with, to the nearest group of cases."""
    left = finding["learning"]
    if not left:
        return None
    for one in series:
        left -= one["count"]
        if left <= 0:
            return across(one["at"])
    return across(series[-1]["at"])


def _joined(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x},{y}" for x, y in points)


def _day(at: float) -> str:
    return date(dt.datetime.fromtimestamp(at).astimezone().date())
