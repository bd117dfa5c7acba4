"""How well a value ranks one class above the other: AUC, average precision, partial AUC, the ROC curve.

Owns the weighted, vectorised forms: `weights (R, N)` answers R bootstrap resamples in a few array operations, sorted
once. scikit-learn computes the same for one weight vector; the tests hold the two together to 1e-10. The trade-off: R
times N numbers at once, which the caller bounds by chunks.

Edge case throughout: where one of the two classes has no weight, the answer is NaN.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def _steps(y_true: Bools, value: Floats, weights: Floats, *, descending: bool) -> tuple[Floats, Floats]:
    """Cumulative weight of positives and negatives by distinct value, (R, U) each, ties taken in one step."""
    order = np.argsort(-value if descending else value, kind="stable")
    ordered = value[order]
    if not len(ordered):
        empty = np.zeros((len(weights), 0))
        return empty, empty
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    in_order = weights[:, order]
    positive = np.add.reduceat(in_order * y_true[order], starts, axis=1)
    negative = np.add.reduceat(in_order * ~y_true[order], starts, axis=1)
    return np.cumsum(positive, axis=1), np.cumsum(negative, axis=1)


def _curve(y_true: Bools, value: Floats, weights: Floats, *, descending: bool) -> tuple[Floats, Floats]:
    """The steps as shares of each class, from 0 on: (R, U + 1) each; NaN rows where a class is missing."""
    positive, negative = _steps(y_true, value, weights, descending=descending)
    start = np.zeros((len(weights), 1))
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = [
            np.concatenate([start, cumulative], axis=1) / np.where(total > 0, total, np.nan)
            for cumulative, total in (
                (positive, weights @ y_true.astype(np.float64)[:, None]),
                (negative, weights @ (~y_true).astype(np.float64)[:, None]),
            )
        ]
    return shares[0], shares[1]


def auc_score(y_true: Bools, value: Floats, weights: Floats) -> Floats:
    """Area under the ROC curve: the chance that a positive gets a higher value than a negative, ties half.

    Args:
        y_true: bool (N,).
        value: float64 (N,), higher means more positive.
        weights: float64 (R, N), at least 0.

    Returns:
        float64 (R,), in [0, 1]; 0.5 is chance.

    Source: Hanley & McNeil 1982, doi:10.1148/radiology.143.1.7063747.
    """
    sensitivity, false_rate = _curve(y_true, value, weights, descending=True)
    area: Floats = np.sum(np.diff(false_rate, axis=1) * (sensitivity[:, 1:] + sensitivity[:, :-1]), axis=1) / 2
    return _nan_if_empty(area, y_true)


def macro_auc_score(y_class: NDArray[np.int64], probability: Floats, weights: Floats) -> Floats:
    """Mean of the one-versus-rest AUCs over the classes present, each class counting the same.

    Args:
        y_class: int64 (N,), index into the columns of `probability`.
        probability: float64 (N, K).
        weights: float64 (R, N).

    Returns:
        float64 (R,); in each resample over the classes that it holds. NaN with fewer than two classes.
    """
    scores = [auc_score(y_class == k, probability[:, k], weights) for k in np.unique(y_class)]
    if not scores:
        return np.full(len(weights), np.nan)
    return _mean_of_finite(np.stack(scores, axis=1))


def average_precision_score(y_true: Bools, value: Floats, weights: Floats) -> Floats:
    """Mean precision over the recall steps, without interpolation. Chance level: the share of positives.

    Args and result as for `auc_score`; also NaN without negatives, where it would be 1 whatever the ranking.
    """
    positive, negative = _steps(y_true, value, weights, descending=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = positive / (positive + negative)
        gain = np.diff(positive, axis=1, prepend=0.0)
        # A distinct value without weight in a resample adds no recall; 0/0 there must not spread.
        score: Floats = np.sum(np.where(gain > 0, precision * gain, 0.0), axis=1) / (
            weights @ y_true.astype(np.float64)
        )
    missing = (weights @ (~y_true).astype(np.float64)) <= 0
    return np.where(missing, np.nan, score)


def partial_auc_score(y_true: Bools, value: Floats, weights: Floats, least_sensitivity: float = 0.8) -> Floats:
    """Area under the ROC curve above a sensitivity of 80 %: the ISIC 2024 challenge's score, in [0, 0.2].

    Chance gives 0.02. Unscaled, as the challenge publishes it: the area between the curve and the line of the least
    sensitivity.

    Args and result as for `auc_score`.

    Source: ISIC 2024 challenge, primary metric (Kurtansky, MSKCC), kaggle.com/competitions/isic-2024-challenge: the
    labels and values reversed, `roc_auc_score(max_fpr=0.2)`, and its McClish scaling undone.
    """
    missed, kept = _curve(y_true, value, weights, descending=False)  # 1 - sensitivity, specificity
    limit = 1.0 - least_sensitivity
    left, right = missed[:, :-1], missed[:, 1:]
    low, high = kept[:, :-1], kept[:, 1:]
    width = right - left
    inside = np.clip(limit - left, 0.0, width)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(width > 0, inside / width, 0.0)
    area: Floats = np.sum(inside * (low + (low + share * (high - low))) / 2, axis=1)
    return _nan_if_empty(area, y_true)


def roc_points(y_true: Bools, value: Floats, weights: Floats, false_rates: Floats) -> Floats:
    """Sensitivity at given false-positive rates: the highest that is reached without exceeding each.

    Args:
        y_true: bool (N,).
        value: float64 (N,).
        weights: float64 (R, N).
        false_rates: float64 (P,), in [0, 1].

    Returns:
        float64 (R, P).
    """
    sensitivity, false_rate = _curve(y_true, value, weights, descending=True)
    found = np.full((len(weights), len(false_rates)), np.nan)
    for row in range(len(weights)):
        if np.isfinite(sensitivity[row, -1]) and np.isfinite(false_rate[row, -1]):
            last = np.searchsorted(false_rate[row], false_rates + 1e-12, side="right") - 1
            found[row] = sensitivity[row, last]
    return found


def _nan_if_empty(area: Floats, y_true: Bools) -> Floats:
    return area if len(y_true) else np.full(len(area), np.nan)


def _mean_of_finite(scores: Floats) -> Floats:
    """Mean over the finite entries of each row; NaN where there are none."""
    finite = np.isfinite(scores)
    count = finite.sum(axis=1)
    total = np.where(finite, scores, 0.0).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
