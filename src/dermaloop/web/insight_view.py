"""Insights as their page shows them: the counts worded, and the geometry of the plots.

Owns both; places are percentages of a plot's width, so that a plot fits any screen and its text stays as large as the
rest. Refuses to count, and to show a share of fewer cases than say anything: then there are the counts, and that they
are too few. Every plot has its figures as a table or list beside it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dermaloop.cases.comparison import Share
from dermaloop.cases.insight_records import (
    LEAST_CASES,
    Agreement,
    DayVolume,
    Duration,
    Insights,
    Outcomes,
    Rates,
    says_something,
)
from dermaloop.web.translation import date, month, number, span
from dermaloop.web.translation import gettext as _
from dermaloop.web.translation import gettext_noop as N_  # noqa: N812 - the name that extraction looks for
from dermaloop.web.wording import percent

REASON_NAMES: dict[str, str] = {
    "blurred": N_("Blurred"),
    "overexposed": N_("Too bright"),
    "underexposed": N_("Too dark"),
    "border": N_("Dark border"),
    "hair": N_("Hair"),
    "ruler": N_("Ruler"),
    "ink": N_("Ink"),
    "noisy": N_("Noise or pattern"),
    "out_of_distribution": N_("Unlike the pictures the model knows"),
    "ambiguous": N_("Too close to the threshold"),
}
"""Reasons to decline in a word or two; others are shown by their code."""
_WEEKS_SHOWN = 27
"""A longer period is shown by months."""
_MONTHS = 12


@dataclass(frozen=True, slots=True)
class Figure:
    """A share in words. `share` and `interval` are empty where it rests on too few cases; `few` says so then.

    Attributes:
        counts: e.g. '34 of 40'.
        share: e.g. '85%'.
        interval: e.g. '71% to 93%'.
        few: Why there is no share.
        at: The share's place in percent of the width; None where there is none.
        low: Where its interval begins.
        high: Where it ends.
    """

    counts: str
    share: str = ""
    interval: str = ""
    few: str = ""
    at: float | None = None
    low: float = 0.0
    high: float = 0.0


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a bar: its kind (colour and pattern), how many, and where it begins and how wide it is, in percent."""

    kind: str
    count: int
    x: float
    width: float


@dataclass(frozen=True, slots=True)
class Column:
    """The cases of a week or month. `parts` stand on each other; their `x` and `width` are heights from below."""

    label: str
    cases: int
    x: float
    width: float
    parts: tuple[Part, ...]
    day: dt.date


@dataclass(frozen=True, slots=True)
class Judge:
    """One line of the outcomes: who judged, what, and how well."""

    name: str
    explained: str
    sensitivity: Figure
    specificity: Figure
    silent: str


@dataclass(frozen=True, slots=True)
class Agreed:
    """Agreement at one time: how often, in four parts."""

    title: str
    figure: Figure
    parts: tuple[Part, ...]
    counts: Agreement
    same_diagnosis: Figure


def figure_of(share: Share) -> Figure:
    """A share in words."""
    counts = _("%(count)s of %(n)s") % {"count": number(share.count), "n": number(share.n)}
    if not says_something(share) or share.value is None or share.interval is None:
        least = number(LEAST_CASES)
        return Figure(counts, few=_("too few for a share, which needs %(least)s") % {"least": least})
    low, high = share.interval
    between = _("%(low)s to %(high)s") % {"low": percent(low, 0), "high": percent(high, 0)}
    return Figure(
        counts,
        percent(share.value, 0),
        between,
        at=round(100 * share.value, 2),
        low=round(100 * low, 2),
        high=round(100 * high, 2),
    )


def columns_of(found: Insights) -> tuple[Column, ...]:
    """The volume by week, or by month where the period is long; with the weeks in which nobody came."""
    if not found.volume:
        return ()
    first, last = found.volume[0].day, found.volume[-1].day
    by_month = (last - first).days > 7 * _WEEKS_SHOWN
    begins = _months(first, last) if by_month else _weeks(first, last)
    sums = [_sum(day for day in found.volume if begin <= day.day < end) for begin, end in begins]
    highest = max(sum(one) for one in sums)
    width = 100 / len(begins)
    found_columns = []
    for number_, ((begin, _end), counts) in enumerate(zip(begins, sums, strict=True)):
        parts = _stack(counts, highest)
        label = month(begin) if by_month else date(begin)
        found_columns.append(Column(label, sum(counts), round(width * number_, 3), round(width, 3), parts, begin))
    return tuple(found_columns)


def _sum(days: Iterable[DayVolume]) -> tuple[int, int, int, int]:
    referred = below = declined = without = 0
    for day in days:
        referred, below = referred + day.referred, below + day.below
        declined, without = declined + day.declined, without + day.without
    return referred, below, declined, without


def _weeks(first: dt.date, last: dt.date) -> list[tuple[dt.date, dt.date]]:
    begin = first - dt.timedelta(days=first.weekday())
    count = (last - begin).days // 7 + 1
    return [(begin + dt.timedelta(weeks=n), begin + dt.timedelta(weeks=n + 1)) for n in range(count)]


def _months(first: dt.date, last: dt.date) -> list[tuple[dt.date, dt.date]]:
    found = []
    year, of_year = first.year, first.month
    while (year, of_year) <= (last.year, last.month):
        following = (year, of_year + 1) if of_year < _MONTHS else (year + 1, 1)
        found.append((dt.date(year, of_year, 1), dt.date(*following, 1)))
        year, of_year = following
    return found


KINDS = ("referred", "below", "declined", "without")


def _stack(counts: Sequence[int], highest: int) -> tuple[Part, ...]:
    parts, at = [], 0.0
    for kind, count in zip(KINDS, counts, strict=True):
        height = 100 * count / highest if highest else 0.0
        parts.append(Part(kind, count, round(at, 3), round(height, 3)))
        at += height
    return tuple(parts)


def agreed_of(found: Insights) -> tuple[Agreed, Agreed]:
    """Agreement before and after the answer was seen."""
    return (
        _agreed(_("Before seeing the model's answer"), found.before),
        _agreed(_("After seeing the model's answer"), found.after),
    )


def _agreed(title: str, counts: Agreement) -> Agreed:
    cells = (
        ("both", counts.both),
        ("neither", counts.neither),
        ("model_only", counts.model_only),
        ("clinician_only", counts.clinician_only),
    )
    all_of = counts.share.n
    parts, at = [], 0.0
    for kind, count in cells:
        width = 100 * count / all_of if all_of else 0.0
        parts.append(Part(kind, count, round(at, 3), round(width, 3)))
        at += width
    return Agreed(title, figure_of(counts.share), tuple(parts), counts, figure_of(counts.same_diagnosis))


def judges_of(outcomes: Outcomes) -> tuple[Judge, ...]:
    """Model and clinician on the confirmed lesions."""
    return (
        _judge(_("Model"), _("suspicious: at or above its referral threshold"), outcomes.model),
        _judge(_("Clinician's diagnosis"), _("suspicious: a malignant diagnosis was chosen"), outcomes.diagnosis),
        _judge(
            _("Clinician's decision"),
            _("suspicious: a malignant diagnosis, or biopsy, excision or referral"),
            outcomes.decision,
        ),
    )


def _judge(name: str, explained: str, rates: Rates) -> Judge:
    silent = ""
    if rates.no_malignant or rates.no_benign:
        silent = _("No judgement on %(malignant)s malignant and %(benign)s benign lesions.") % {
            "malignant": number(rates.no_malignant),
            "benign": number(rates.no_benign),
        }
    return Judge(name, explained, figure_of(rates.sensitivity), figure_of(rates.specificity), silent)


def reasons_of(found: Insights) -> tuple[tuple[str, int, float], ...]:
    """Why the model declined: name, how many pictures, and the width of its bar in percent."""
    highest = max((count for _code, count in found.declines.reasons), default=0)
    return tuple(
        (_(REASON_NAMES.get(code, code)), count, round(100 * count / highest, 2))
        for code, count in found.declines.reasons
    )


def times_of(found: Insights) -> tuple[tuple[str, int, str, str], ...]:
    """What took how long: name, of how many, half within, nine in ten within; empty times where they are too few."""
    return (
        _time(_("From the picture to the model's answer"), found.to_answer),
        _time(_("From opening the case to sign-off"), found.to_sign_off),
        _time(_("From opening the case to the confirmed diagnosis"), found.to_finding),
    )


def _time(name: str, taken: Duration) -> tuple[str, int, str, str]:
    if taken.n < LEAST_CASES or taken.median_s is None or taken.most_s is None:
        return name, taken.n, "", ""
    return name, taken.n, span(taken.median_s), span(taken.most_s)
