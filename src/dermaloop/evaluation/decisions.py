"""Right and wrong answers counted: accuracy, sensitivity, specificity, predictive values, confusion, net benefit.

Owns the vectorised counts: every function takes `weights (R, N)` and answers R bootstrap resamples by one matrix
product. Edge case throughout: an empty denominator gives NaN.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


def share(weights: Floats, counted: Bools, among: Bools | None = None) -> Floats:
    """Weighted share of rows that are `counted`, of those that are `among`. (R, N), bool (N,) → (R,)."""
    total = weights.sum(axis=1) if among is None else weights @ among.astype(np.float64)
    hits = weights @ (counted if among is None else counted & among).astype(np.float64)
    return ratio(hits, total)


def ratio(part: Floats, whole: Floats) -> Floats:
    """Divides part by whole, NaN where the whole is zero."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(whole > 0, part / np.where(whole > 0, whole, 1.0), np.nan)


def accuracy_score(y_class: Ints, suggested: Ints, weights: Floats) -> Floats:
    """Share of pictures whose suggested diagnosis is the confirmed one.

    Args:
        y_class: int64 (N,), index of the confirmed diagnosis.
        suggested: int64 (N,), index of the suggested one.
        weights: float64 (R, N).

    Returns:
        float64 (R,).
    """
    return share(weights, y_class == suggested)


def balanced_accuracy_score(y_class: Ints, suggested: Ints, weights: Floats) -> Floats:
    """Mean over the classes present of the share recognised: each diagnosis counts the same, however rare.

    Args and result as for `accuracy_score`; a resample without a class averages over the others.

    Source: the goal metric of ISIC 2018 and 2019; `sklearn.metrics.balanced_accuracy_score`.
    """
    right = y_class == suggested
    recalls = [share(weights, right, y_class == k) for k in np.unique(y_class)]
    if not recalls:
        return np.full(len(weights), np.nan)
    stacked = np.stack(recalls, axis=1)
    present = np.isfinite(stacked)
    return ratio(np.where(present, stacked, 0.0).sum(axis=1), present.sum(axis=1).astype(np.float64))


def sensitivity_score(y_true: Bools, refer: Bools, weights: Floats) -> Floats:
    """Share of the malignant that are referred. bool (N,), bool (N,), float64 (R, N) → float64 (R,)."""
    return share(weights, refer, y_true)


def specificity_score(y_true: Bools, refer: Bools, weights: Floats) -> Floats:
    """Share of the benign that are not referred. bool (N,), bool (N,), float64 (R, N) → float64 (R,)."""
    return share(weights, ~refer, ~y_true)


def positive_predictive_score(y_true: Bools, refer: Bools, weights: Floats) -> Floats:
    """Share of the referred that are malignant, at this data's prevalence. bool, bool (N,), (R, N) → (R,)."""
    return share(weights, y_true, refer)


def negative_predictive_score(y_true: Bools, refer: Bools, weights: Floats) -> Floats:
    """Share of the not referred that are benign, at this data's prevalence. bool, bool (N,), (R, N) → (R,)."""
    return share(weights, ~y_true, ~refer)


def confusion_counts(y_class: Ints, suggested: Ints, n_classes: int, weights: Floats) -> Floats:
    """Confusion matrix, confirmed by row, suggested by column: float64 (R, K, K), summed weights."""
    cell = y_class * n_classes + suggested
    one_hot = np.zeros((len(cell), n_classes * n_classes))
    one_hot[np.arange(len(cell)), cell] = 1.0
    counts: Floats = (weights @ one_hot).reshape(len(weights), n_classes, n_classes)
    return counts


def net_benefit(y_true: Bools, probability: Floats, thresholds: Floats, weights: Floats) -> Floats:
    """Net benefit of referring at or above each threshold, in true positives per picture.

    TP/n - FP/n x t/(1-t): the threshold says how many needless referrals one found cancer is worth.

    Args:
        y_true: bool (N,).
        probability: float64 (N,), calibrated.
        thresholds: float64 (T,), in [0, 1).
        weights: float64 (R, N).

    Returns:
        float64 (R, T). Referring nobody is 0; referring everybody is `net_benefit` of a probability of 1.

    Source: Vickers & Elkin 2006, "Decision curve analysis", doi:10.1177/0272989X06295361.
    """
    refer = probability[:, None] >= thresholds[None, :]  # (N, T)
    value = np.where(y_true[:, None], 1.0, -(thresholds / (1.0 - thresholds))[None, :]) * refer
    return ratio(weights @ value, weights.sum(axis=1)[:, None])


def risk_coverage(wrong: Bools, sureness: Floats, coverages: Floats, weights: Floats) -> Floats:
    """Error rate among the surest share of rows, for each share.

    Args:
        wrong: bool (N,), whether the answer was wrong.
        sureness: float64 (N,), higher means kept longer; ties are kept in one step, at their mean error.
        coverages: float64 (C,), in (0, 1].
        weights: float64 (R, N).

    Returns:
        float64 (R, C).

    Source: El-Yaniv & Wiener 2010, "On the foundations of noise-free selective classification", JMLR 11.
    """
    if not len(wrong):
        return np.full((len(weights), len(coverages)), np.nan)
    order = np.argsort(-sureness, kind="stable")
    ordered = sureness[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    kept = np.cumsum(np.add.reduceat(weights[:, order], starts, axis=1), axis=1)  # (R, U)
    lost = np.cumsum(np.add.reduceat(weights[:, order] * wrong[order], starts, axis=1), axis=1)
    found = np.full((len(weights), len(coverages)), np.nan)
    for row in range(len(weights)):
        if kept[row, -1] > 0:
            wanted = coverages * kept[row, -1]
            found[row] = np.interp(wanted, np.r_[0.0, kept[row]], np.r_[0.0, lost[row]]) / wanted
    return found


def risk_coverage_area(wrong: Bools, sureness: Floats, weights: Floats) -> Floats:
    """Mean error rate over all coverages: the area under the risk-coverage curve; lower is better. (R,).

    Source: Geifman, Uziel, El-Yaniv 2019, "Bias-reduced uncertainty estimation for deep neural classifiers", ICLR.
    """
    coverages = np.linspace(0.02, 1.0, 50)
    mean: Floats = risk_coverage(wrong, sureness, coverages, weights).mean(axis=1)
    return mean
