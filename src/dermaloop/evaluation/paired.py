"""Two models on the same pictures: how far apart they are, with intervals for the difference.

Owns the paired comparisons that decide whether one model may follow another. Patients and lesions are the units: a
patient's pictures are no independent witnesses. Refuses to know margins and what follows from a difference.

The trade-off for shares (sensitivity, specificity): the bootstrap by patient knows of clusters but is too narrow where
the two hardly ever differ (no difference at all would give an interval without width); Tango's score interval is right
there but takes every picture for a case of its own. The wider of both is given: it errs towards not knowing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

from dermaloop.evaluation.bootstrap import LEVEL, group_index, replicates

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

_Z = float(stats.norm.ppf(0.5 + LEVEL / 2))


@dataclass(frozen=True, slots=True)
class Difference:
    """Second model minus first.

    Attributes:
        first: Of the first model.
        second: Of the second.
        value: The difference; NaN where it cannot be said.
        low: Lower end of the 95 % interval of the difference.
        high: Upper end.
        n: Pictures that it rests on.
        groups: Patients or lesions that it rests on.
    """

    first: float
    second: float
    value: float
    low: float
    high: float
    n: int
    groups: int


def _nothing(n: int, groups: int) -> Difference:
    nan = float("nan")
    return Difference(nan, nan, nan, nan, nan, n, groups)


def placements(y_true: Bools, value: Floats) -> tuple[Floats, Floats]:
    """How each positive stands among the negatives, and each negative among the positives.

    Args:
        y_true: bool (N,), both kinds present.
        value: float64 (N,), higher means more positive.

    Returns:
        float64 (m,), for each positive the share of negatives below it (ties half); float64 (n,), for each negative the
        share of positives above it. Both have the AUC as their mean.

    Source: DeLong, DeLong & Clarke-Pearson 1988, doi:10.2307/2531595; by ranks as in Sun & Xu 2014,
    doi:10.1109/LSP.2014.2337313.
    """
    positive, negative = value[y_true], value[~y_true]
    m, n = len(positive), len(negative)
    ranks = stats.rankdata(np.concatenate([positive, negative]))
    own_positive, own_negative = stats.rankdata(positive), stats.rankdata(negative)
    return (ranks[:m] - own_positive) / n, 1.0 - (ranks[m:] - own_negative) / m


def auc_difference(y_true: Bools, first: Floats, second: Floats, groups: Ints | None = None) -> Difference:
    """The difference of two AUCs on the same pictures: DeLong's test, with patients as units.

    Args:
        y_true: bool (N,).
        first: float64 (N,), the first model's probability.
        second: float64 (N,), the second's.
        groups: int64 (N,), patient or lesion; None: every picture stands alone, which is DeLong's own test.

    Returns:
        The difference with its normal interval, kept within [-1, 1]; NaN where a class is missing, or where there are
        fewer than two patients.

    Source: Obuchowski 1997, "Nonparametric analysis of clustered ROC curve data", doi:10.2307/2533958, applied to the
    difference of the two models' placements. With one picture a patient it is DeLong's test exactly: positives and
    negatives then share no patient, and their covariance is none.
    """
    index = np.arange(len(y_true)) if groups is None else group_index(groups)
    units = int(index.max()) + 1 if len(index) else 0
    m, n = int(y_true.sum()), int((~y_true).sum())
    if m == 0 or n == 0 or units < 2:  # noqa: PLR2004 - a variance needs two
        return _nothing(len(y_true), units)
    ours, theirs = [placements(y_true, value) for value in (first, second)]
    auc = float(ours[0].mean()), float(theirs[0].mean())
    value = auc[1] - auc[0]

    def by_unit(which: int, among: Bools) -> Floats:
        """Each unit's sum of the centred differences of placements, (units,)."""
        change = theirs[which] - ours[which] - value
        return np.bincount(index[among], weights=change, minlength=units).astype(np.float64)

    positives, negatives = by_unit(0, y_true), by_unit(1, ~y_true)
    of_positive, of_negative = (len(np.unique(index[among])) for among in (y_true, ~y_true))
    if min(of_positive, of_negative) < 2:  # noqa: PLR2004
        return _nothing(len(y_true), units)
    variance = (
        of_positive / (of_positive - 1) * float(positives @ positives) / m**2
        + of_negative / (of_negative - 1) * float(negatives @ negatives) / n**2
        + 2 * units / (units - 1) * float(positives @ negatives) / (m * n)
    )
    reach = _Z * math.sqrt(max(variance, 0.0))
    return Difference(*auc, value, max(-1.0, value - reach), min(1.0, value + reach), len(y_true), units)


def tango_interval(lost: int, gained: int, n: int) -> tuple[float, float]:
    """The score interval of a difference of two paired shares; has a width also where the two never differ.

    Args:
        lost: Cases that only the first has right.
        gained: Cases that only the second has right.
        n: All cases, at least 1.

    Returns:
        (low, high) of (gained - lost) / n, 95 %, in [-1, 1].

    Source: Tango 1998, doi:10.1002/(SICI)1097-0258(19980430)17:8<891::AID-SIM780>3.0.CO;2-B.
    """

    def excess(delta: float) -> float:
        """The score statistic, falling in delta."""
        a, b = 2.0 * n, -gained - lost + (2 * n - gained + lost) * delta
        q = max(0.0, (math.sqrt(max(b * b - 4 * a * (-lost * delta * (1 - delta)), 0.0)) - b) / (2 * a))
        spread = n * (2 * q + delta * (1 - delta))
        distance = gained - lost - n * delta
        return distance / math.sqrt(spread) if spread > 0 else math.copysign(math.inf, distance) if distance else 0.0

    centre = (gained - lost) / n

    def solve(outer: float, wanted: float) -> float:
        inner = centre + (outer - centre) * 1e-9
        edge = outer * (1 - 1e-12)
        if (excess(edge) - wanted) * (excess(inner) - wanted) > 0:
            return outer
        return float(optimize.brentq(lambda delta: excess(delta) - wanted, *sorted((inner, edge)), xtol=1e-10))

    low = -1.0 if centre <= -1.0 else solve(-1.0, _Z)
    high = 1.0 if centre >= 1.0 else solve(1.0, -_Z)
    return low, high


def share_difference(
    right_first: Bools, right_second: Bools, groups: Ints, *, resamples: int = 2000, seed: int = 0
) -> Difference:
    """The difference of two shares of right answers on the same cases, e.g. of sensitivities on the malignant ones.

    Args:
        right_first: bool (N,), whether the first model is right on each case.
        right_second: bool (N,), the second.
        groups: int64 (N,), patient or lesion.
        resamples: Of the bootstrap by group.
        seed: Of the resamples.

    Returns:
        The difference, with the wider of the bootstrap's interval and Tango's; NaN without cases.
    """
    n = len(right_first)
    units = len(np.unique(groups))
    if n == 0:
        return _nothing(0, 0)
    change = right_second.astype(np.float64) - right_first.astype(np.float64)
    boot = mean_difference(right_first.astype(np.float64), change + right_first, groups, resamples=resamples, seed=seed)
    low, high = tango_interval(int((change < 0).sum()), int((change > 0).sum()), n)
    return Difference(
        boot.first, boot.second, boot.value, float(np.nanmin([low, boot.low])), float(np.nanmax([high, boot.high])),
        n, units,
    )  # fmt: skip


def mean_difference(first: Floats, second: Floats, groups: Ints, *, resamples: int = 2000, seed: int = 0) -> Difference:
    """The difference of two means over the same cases (e.g. of Brier errors), by the bootstrap by group.

    Args:
        first: float64 (N,).
        second: float64 (N,).
        groups: int64 (N,).
        resamples: How many.
        seed: Of the resamples.
    """
    change = second - first

    def mean(weights: Floats) -> Floats:
        total = weights.sum(axis=1)
        return np.asarray(weights @ change / np.where(total > 0, total, np.nan))

    value, low, high = _bootstrapped(mean, groups, resamples, seed)
    means = (float(first.mean()), float(second.mean())) if len(first) else (float("nan"), float("nan"))
    return Difference(*means, value, low, high, len(first), len(np.unique(groups)))


def metric_difference(
    first: Callable[[Floats], Floats],
    second: Callable[[Floats], Floats],
    groups: Ints,
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> Difference:
    """The difference of any metric, both models on the same resamples.

    Args:
        first: Weights (R, N) → (R,), the first model's metric.
        second: The second's.
        groups: int64 (N,).
        resamples: How many.
        seed: Of the resamples.
    """
    plain = np.ones((1, len(groups)))
    one, other = float(first(plain)[0]), float(second(plain)[0])
    value, low, high = _bootstrapped(lambda weights: second(weights) - first(weights), groups, resamples, seed)
    return Difference(one, other, value, low, high, len(groups), len(np.unique(groups)))


def _bootstrapped(
    function: Callable[[Floats], Floats], groups: Ints, resamples: int, seed: int
) -> tuple[float, float, float]:
    nan = float("nan")
    if not len(groups):
        return nan, nan, nan
    value, drawn = replicates(groups, {"": function}, resamples, seed)[""]
    finite = drawn[np.isfinite(drawn)]
    if len(finite) <= len(drawn) / 2:
        return float(value), nan, nan
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(finite, [tail, 1 - tail])
    return float(value), float(low), float(high)
