"""Two models at one specificity: how far apart their sensitivities are, whatever thresholds they were given.

Owns the comparison of two ROC curves where the first model works. A threshold is drawn from the malignant cases of a
calibration split; what two models find at their own thresholds differs by the luck of two draws, though they may rank
every lesion alike. Read at one specificity the thresholds fall out, and what is left is the networks. Refuses to know
margins, and to say that thresholds do not matter: what is decided in use is decided at them.

pROC for R compares so by the bootstrap (`roc.test`, method `specificity`); neither SciPy nor scikit-learn does.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dermaloop.evaluation.paired import Difference, metric_difference

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def sensitivity_difference(
    y_true: Bools,
    first: Floats,
    second: Floats,
    groups: NDArray[np.int64],
    *,
    threshold: float,
    resamples: int = 2000,
    seed: int = 0,
) -> Difference:
    """The difference of two sensitivities at the specificity that the first model has at its threshold.

    Both are read off their ROC curves there, so that a model against itself differs by nothing. In each resample the
    first model's specificity is counted anew, and both curves are read there: the interval knows that the place of the
    reading is drawn too.

    Args:
        y_true: bool (N,).
        first: float64 (N,), the first model's probability.
        second: float64 (N,), the second's.
        groups: int64 (N,), patient or lesion.
        threshold: Of the first model.
        resamples: Of the bootstrap by group.
        seed: Of the resamples.

    Returns:
        The difference with its percentile interval, 95 %; NaN where a class is missing.

    Source: Wieand, Gail, James & James 1989, doi:10.1093/biomet/76.3.585 (paired comparison at one specificity); Platt,
    Hanley & Yang 2000, doi:10.1002/(SICI)1097-0258(20000215)19:3<313::AID-SIM370>3.0.CO;2-K (the bootstrap with the
    threshold found anew in each resample).
    """

    def sensitivity(value: Floats) -> Curve:
        return Curve(y_true, value, first >= threshold)

    return metric_difference(sensitivity(first).at, sensitivity(second).at, groups, resamples=resamples, seed=seed)


class Curve:
    """A model's ROC curve, to be read in many resamples at the share of false positives that another model has.

    Args:
        y_true: bool (N,).
        value: float64 (N,), this model's probability.
        referred: bool (N,), what the other model calls positive at its threshold.
    """

    def __init__(self, y_true: Bools, value: Floats, referred: Bools) -> None:
        negative, positive = np.flatnonzero(~y_true), np.flatnonzero(y_true)
        self._negative = negative[np.argsort(-value[negative], kind="stable")]
        self._positive = positive[np.argsort(-value[positive], kind="stable")]
        self._referred = np.flatnonzero(referred & ~y_true)
        falling, ends = np.unique(-value[self._negative], return_counts=True)  # the highest value first
        self._taken = np.concatenate([[0], np.cumsum(ends)])  # negatives down to each value that occurs
        # Positives above the next value of a negative, and those at it or above: the curve there is a straight line.
        ahead, own = np.append(falling, np.inf), -value[self._positive]
        self._above = np.searchsorted(own, ahead, side="left")
        self._at = np.searchsorted(own, ahead, side="right")

    def at(self, weights: Floats) -> Floats:
        """Sensitivity in each resample: weights (R, N) → (R,); NaN where a class is missing."""
        wanted = weights[:, self._referred].sum(axis=1)  # (R,), false positives of the other model
        none = np.zeros((len(weights), 1))
        negatives = np.concatenate([none, weights[:, self._negative].cumsum(axis=1)], axis=1)[:, self._taken]
        positives = np.concatenate([none, weights[:, self._positive].cumsum(axis=1)], axis=1)
        row, last = np.arange(len(weights)), negatives.shape[1] - 1
        place = (negatives <= wanted[:, None]).sum(axis=1) - 1  # the last value with no more false positives
        low, high = negatives[row, place], negatives[row, np.minimum(place + 1, last)]
        here, there = positives[row, self._above[place]], positives[row, self._at[place]]
        share = np.divide(wanted - low, high - low, out=np.zeros(len(weights)), where=high > low)
        with np.errstate(invalid="ignore"):
            found = (here + share * (there - here)) / positives[:, -1]
        return np.asarray(np.where(negatives[:, -1] > 0, found, np.nan))
