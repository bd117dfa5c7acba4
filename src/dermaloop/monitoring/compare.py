"""One measure over its stream: from values to evidence, a finding, and how it went over time.

Owns what is left out and where the comparison begins after a review. Refuses to know where values come from.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dermaloop.monitoring.detector import Trace, detect, mean_bets, rank_bets, stakes
from dermaloop.monitoring.effects import largest_shift, standardised_shift, word_shift
from dermaloop.monitoring.findings import Bucket, Finding, State
from dermaloop.monitoring.measures import Kind, Limits, Measure
from dermaloop.monitoring.ranks import conformal_p, word_p
from dermaloop.monitoring.streams import Review, Values

YEAR_S = 365.25 * 24 * 3600
_BUCKETS, _LEAST_BUCKET = 40, 10
_LATEST = 50
"""Cases that count as the latest, at least, where there is no alarm to say since when."""


@dataclass(frozen=True, slots=True)
class _Cases:
    """The cases of a measure that count.

    Attributes:
        measure: Which.
        at: float64 (N,), seconds since 1970.
        columns: float64 (N, C); of words, the number of each.
        ties: float64 (N, C) in (0, 1).
        learning: The first of them, that are only compared with.
        start: Nothing is staked up to this time.
        most: The largest mean that is no alarm, for the kind `limit`.
    """

    measure: Measure
    at: NDArray[np.float64]
    columns: NDArray[np.float64]
    ties: NDArray[np.float64]
    learning: int
    start: float
    most: float | None


def compare(
    measure: Measure,
    at: NDArray[np.float64],
    values: Values,
    limits: Limits,
    *,
    learning: int,
    most: float | None = None,
    reviews: Sequence[Review] = (),
    seed: int,
) -> Finding:
    """Looks for a change in one measure.

    Args:
        measure: Which.
        at: float64 (N,), seconds since 1970, ascending.
        values: Of each case, see `streams.Stream`.
        limits: When a change is an alarm.
        learning: Cases that are only compared with, at the beginning.
        most: The largest mean that is no alarm, for the kind `limit`.
        reviews: What leads said of earlier alarms of this measure.
        seed: See `look.look`.
    """
    cases = _select(measure, at, values, learning=learning, most=most, reviews=reviews, seed=seed)
    count = len(cases.at)
    if not count:
        return Finding(measure.name, State.LEARNING, 0, 0, limit=most)
    laid = stakes(cases.at / YEAR_S, learning)
    laid[cases.at <= cases.start] = 0.0
    trace = detect(_factors(cases), laid, limits.evidence)
    began, alarm = trace.began, trace.alarm
    first = min(learning, count)
    split = max(first, count - max(learning, _LATEST)) if began is None else began
    change = _change(cases, split)
    state = State.LEARNING if count <= learning else State.STEADY
    if alarm is not None:
        enough = measure.kind is Kind.LIMIT or change >= limits.least_change
        state = State.ALARM if enough else State.SLIGHT
    told = state is State.ALARM and alarm is not None and began is not None
    return Finding(
        name=measure.name,
        state=state,
        count=count,
        learning=first,
        evidence=float(trace.evidence[-1]),
        most_evidence=float(trace.evidence.max()),
        change=change,
        before=cases.most if measure.kind is Kind.LIMIT else _value(cases, 0, split)[0],
        after=_value(cases, split, count)[0],
        limit=cases.most,
        began=float(cases.at[began]) if told and began is not None else None,
        found=float(cases.at[alarm]) if told and alarm is not None else None,
        delay=alarm - began + 1 if told and alarm is not None and began is not None else None,
        series=_series(cases, trace),
    )


def _select(
    measure: Measure,
    at: NDArray[np.float64],
    values: Values,
    *,
    learning: int,
    most: float | None,
    reviews: Sequence[Review],
    seed: int,
) -> _Cases:
    if measure.kind is Kind.WORDS:
        number = {word: float(place) for place, word in enumerate(sorted({str(word) for word in values if word}))}
        columns = np.asarray([number.get(str(word), np.nan) for word in values], dtype=np.float64)[:, None]
    else:
        columns = np.asarray(values, dtype=np.float64)
        columns = columns[:, None] if columns.ndim == 1 else columns
    keep = ~np.isnan(columns).any(axis=1)
    start = -np.inf
    for review in reviews:
        anew = review.stays or measure.kind is Kind.LIMIT
        keep &= (at > review.at) | ((at < review.began) & (not anew))
        start = max(start, review.at)
    # Drawn for all cases, so that what is left out changes nothing for the others; the same at every look.
    ties = np.random.default_rng((seed, zlib.crc32(measure.name.encode()))).random(columns.shape)
    return _Cases(measure, at[keep], columns[keep], ties[keep], learning, start, most)


def _factors(cases: _Cases) -> NDArray[np.float64]:
    """The bets of all experts: float64 (N, E)."""
    columns, ties = cases.columns, cases.ties
    if cases.measure.kind is Kind.LIMIT:
        assert cases.most is not None
        return mean_bets(columns[:, 0], cases.most)
    if cases.measure.kind is Kind.WORDS:
        return rank_bets(word_p(columns[:, 0].astype(np.int64), ties[:, 0]))
    p = np.stack([conformal_p(columns[:, place], ties[:, place]) for place in range(columns.shape[1])], axis=1)
    return rank_bets(p).reshape(len(p), -1)


def _change(cases: _Cases, split: int) -> float:
    before, after = cases.columns[:split], cases.columns[split:]
    if cases.measure.kind is Kind.WORDS:
        return word_shift(before[:, 0], after[:, 0])
    if cases.measure.kind is Kind.LIMIT:
        return max(0.0, float(after.mean()) - (cases.most or 0.0)) if len(after) else 0.0
    return largest_shift(before, after)


def _value(cases: _Cases, start: int, stop: int) -> tuple[float | None, float | None, float | None]:
    """(value, low, high) of some cases, as `Bucket` says."""
    part = cases.columns[start:stop]
    if not len(part):
        return None, None, None
    reference = cases.columns[: max(cases.learning, 1)]
    if cases.measure.kind is Kind.WORDS:
        usual = np.bincount(reference[:, 0].astype(np.int64)).argmax()
        return float((part[:, 0] != usual).mean()), None, None
    if part.shape[1] > 1 and not cases.measure.first:
        return standardised_shift(reference, part), None, None
    if cases.measure.share:
        return float(part.mean()), None, None
    low, middle, high = np.quantile(part[:, 0], (0.1, 0.5, 0.9))
    return float(middle), float(low), float(high)


def _series(cases: _Cases, trace: Trace) -> tuple[Bucket, ...]:
    count = len(cases.at)
    buckets = max(1, min(_BUCKETS, count // _LEAST_BUCKET))
    edges = np.linspace(0, count, buckets + 1).round().astype(int)
    return tuple(
        Bucket(float(cases.at[a:b].mean()), int(b - a), *_value(cases, a, b), float(trace.evidence[b - 1]))
        for a, b in itertools.pairwise(edges)
        if b > a
    )
