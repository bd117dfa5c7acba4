"""Two models as plots: intervals of each figure, gates against their limits, ROC curves and reliability.

Owns the geometry, in units of each drawing's view box. Refuses to draw (the template does) and to compute a figure:
what is plotted was measured by an evaluation or a gate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dermaloop.cases.model_records import GateResult
from dermaloop.web.chart import Label
from dermaloop.web.model_figures import Figure, SideBySide
from dermaloop.web.translation import number
from dermaloop.web.wording import percent

BAR_WIDTH, BAR_EDGE = 200.0, 6.0
SIDE, LEFT, BOTTOM, EDGE = 300.0, 46.0, 34.0, 10.0
_TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)
_MARGIN = 0.12
"""Of a scale's span, beyond what is drawn on it at either end."""


@dataclass(frozen=True, slots=True)
class Bar:
    """An interval and the value in it, on a horizontal scale; the interval may be missing."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class GateScale:
    """A gate's measure with its interval, against its limit; and where nothing changes, if that is on the scale."""

    bar: Bar
    limit: float
    zero: float | None
    limit_text: str
    limit_anchor: str


@dataclass(frozen=True, slots=True)
class Series:
    """One model's points in a square plot.

    Attributes:
        who: `champion` or `candidate`.
        line: Points of an SVG polyline.
        points: Marks on it, (x, y).
    """

    who: str
    line: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Square:
    """A plot of two shares against each other, with its diagonal or its other one."""

    series: tuple[Series, ...]
    ticks: tuple[tuple[Label, Label], ...]
    diagonal: str
    side: float = SIDE
    left: float = LEFT
    right: float = SIDE - EDGE
    top: float = EDGE
    bottom: float = SIDE - BOTTOM


def bars(figures: Sequence[Figure | None]) -> tuple[Bar | None, ...]:
    """The figures of one line of the table on a scale of their own: their numbers stand beside it."""
    there = [one for one in figures if one is not None]
    if not there:
        return tuple(None for _ in figures)
    place = _scale([end for one in there for end in _ends(one)], BAR_WIDTH, BAR_EDGE)
    return tuple(None if one is None else Bar(place(one.value), *map(place, _ends(one))) for one in figures)


def _ends(figure: Figure) -> tuple[float, float]:
    low = figure.value if figure.low is None else figure.low
    return low, figure.value if figure.high is None else figure.high


def gate_scale(gate: GateResult) -> GateScale | None:
    """A gate as a plot; None where it has no interval or no limit."""
    if gate.measured is None or gate.interval is None or gate.limit is None:
        return None
    low, high = gate.interval
    difference = low < 0 or gate.limit < 0  # only differences are ever below nothing
    ends = [low, high, gate.measured, gate.limit, *((0.0,) if difference else ())]
    place = _scale(ends, BAR_WIDTH, BAR_EDGE)
    limit = place(gate.limit)
    anchor = "start" if limit < BAR_WIDTH / 2 else "end"
    zero = place(0.0) if difference else None
    return GateScale(Bar(place(gate.measured), place(low), place(high)), limit, zero, number(gate.limit, 3), anchor)


def _scale(values: Sequence[float], width: float, edge: float) -> Any:
    least, most = min(values), max(values)
    span = (most - least) or 1.0
    least, span = least - _MARGIN * span, span * (1 + 2 * _MARGIN)
    return lambda value: round(edge + (value - least) / span * (width - 2 * edge), 1)


def roc(table: SideBySide) -> Square | None:
    """Both ROC curves, with each model's operating point; None where there is none."""
    found = []
    for who, section in _sections(table):
        curve = section.get("roc", {})
        if not curve.get("sensitivity"):
            continue
        pairs = zip(curve["false_positive_rate"], curve["sensitivity"]["value"], strict=True)
        found.append(Series(who, _line(pairs), _operating_points(table, who)))
    return Square(tuple(found), _ticks(), _line([(0.0, 0.0), (1.0, 1.0)])) if found else None


def _operating_points(table: SideBySide, who: str) -> tuple[tuple[float, float], ...]:
    """Where a model decides: the table's first two lines are its sensitivity and specificity."""
    sides = [line.champion if who == "champion" else line.candidate for line in table.lines[:2]]
    if len(sides) < 2 or sides[0] is None or sides[1] is None:  # noqa: PLR2004 - sensitivity and specificity
        return ()
    return (_at(1 - sides[1].value, sides[0].value),)


def reliability(table: SideBySide) -> Square | None:
    """The share found malignant against the probability stated, of both; None where there is none."""
    found = []
    for who, section in _sections(table):
        curve = section.get("reliability", {})
        if not curve.get("predicted"):
            continue
        pairs = [
            (x, y) for x, y in zip(curve["predicted"], curve["observed"]["value"], strict=True) if None not in (x, y)
        ]
        found.append(Series(who, _line(pairs), tuple(_at(x, y) for x, y in pairs)))
    return Square(tuple(found), _ticks(), _line([(0.0, 0.0), (1.0, 1.0)])) if found else None


def _sections(table: SideBySide) -> list[tuple[str, Mapping[str, Any]]]:
    sides = zip(("champion", "candidate"), table.curves, strict=True)
    return [(who, section) for who, section in sides if section is not None]


def _at(x: float, y: float) -> tuple[float, float]:
    width, height = SIDE - EDGE - LEFT, SIDE - BOTTOM - EDGE
    return round(LEFT + x * width, 1), round(SIDE - BOTTOM - y * height, 1)


def _line(pairs: Any) -> str:
    return " ".join(f"{x},{y}" for x, y in (_at(*pair) for pair in pairs if None not in pair))


def _ticks() -> tuple[tuple[Label, Label], ...]:
    """Of the axis below and of the one at the side."""
    return tuple(
        (Label(_at(share, 0)[0], percent(share, 0)), Label(_at(0, share)[1], percent(share, 0))) for share in _TICKS
    )
