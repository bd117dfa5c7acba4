"""Whether a probability of 30 % comes true in 30 of 100: calibration error, Brier score, reliability diagram.

Owns the binnings and says which: equal width for the top label (as the papers report it), equal count for the
probability of malignancy (most pictures lie near zero, where equal width would pile them in one bin). Bins are cut on
the whole sample and stay fixed over the resamples. Edge case: no rows gives NaN.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dermaloop.evaluation.decisions import ratio

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

WIDTH_BINS = 15
COUNT_BINS = 10


def equal_width_bins(probability: Floats, n_bins: int = WIDTH_BINS) -> Ints:
    """Bin by row, bins of equal width over [0, 1], closed above as in Guo et al.; float64 (N,) → int64 (N,)."""
    return np.clip(np.ceil(probability * n_bins).astype(np.int64) - 1, 0, n_bins - 1)


def equal_count_bins(probability: Floats, n_bins: int = COUNT_BINS) -> Ints:
    """Bin by row, bins of about equal count; equal probabilities share a bin. float64 (N,) → int64 (N,)."""
    if not len(probability):
        return np.zeros(0, dtype=np.int64)
    edges = np.unique(np.quantile(probability, np.linspace(0, 1, n_bins + 1)[1:-1]))
    return np.searchsorted(edges, probability, side="left").astype(np.int64)


def by_bin(outcome: Bools, probability: Floats, bins: Ints, weights: Floats) -> tuple[Floats, Floats, Floats]:
    """Weight, mean probability and observed share by bin, each float64 (R, B); NaN in bins without weight."""
    one_hot = np.zeros((len(bins), int(bins.max()) + 1 if len(bins) else 1))
    one_hot[np.arange(len(bins)), bins] = 1.0
    weight = weights @ one_hot
    predicted = ratio(weights @ (one_hot * probability[:, None]), weight)
    observed = ratio(weights @ (one_hot * outcome[:, None]), weight)
    return weight, predicted, observed


def expected_calibration_error(outcome: Bools, probability: Floats, bins: Ints, weights: Floats) -> Floats:
    """Mean distance between predicted probability and observed share over bins, by weight; lower is better.

    Args:
        outcome: bool (N,), whether what the probability was of came true.
        probability: float64 (N,).
        bins: int64 (N,), from `equal_width_bins` or `equal_count_bins`.
        weights: float64 (R, N).

    Returns:
        float64 (R,), in [0, 1]. Noise raises it: a perfectly calibrated model on few rows is above zero.

    Source: Naeini et al. 2015, AAAI; Guo et al. 2017, "On calibration of modern neural networks", ICML.
    """
    weight, predicted, observed = by_bin(outcome, probability, bins, weights)
    gap = np.where(weight > 0, np.abs(predicted - observed) * weight, 0.0)
    return ratio(gap.sum(axis=1), weight.sum(axis=1))


def brier_error(y_true: Bools, probability: Floats, weights: Floats) -> Floats:
    """Mean squared distance between a probability and what came true (1 or 0), in [0, 1]; lower is better.

    Args:
        y_true: bool (N,).
        probability: float64 (N,).
        weights: float64 (R, N).

    Returns:
        float64 (R,).

    Source: Brier 1950, doi:10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2.
    """
    return ratio(weights @ np.square(probability - y_true), weights.sum(axis=1))


def multiclass_brier_error(y_class: Ints, probability: Floats, weights: Floats) -> Floats:
    """Brier's original form: squared distance summed over the classes, in [0, 2]; lower is better.

    Args:
        y_class: int64 (N,).
        probability: float64 (N, K).
        weights: float64 (R, N).

    Returns:
        float64 (R,).
    """
    one_hot = np.zeros_like(probability)
    one_hot[np.arange(len(y_class)), y_class] = 1.0
    return ratio(weights @ np.square(probability - one_hot).sum(axis=1), weights.sum(axis=1))
