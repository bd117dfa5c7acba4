"""Fits the two numbers per class that turn logits into calibrated probabilities.

Owns the fit; applying it is `core.calibrated`'s, so that a bundle needs no SciPy. The trade-off: one temperature and
one bias per class (bias-corrected temperature scaling) instead of a full matrix or a spline, because a calibration
split holds a few dozen cases of the rare classes, and because the order of cases between two classes stays untouched.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import logsumexp

from dermaloop.core.bundle import Calibration
from dermaloop.core.errors import ManifestError

BIAS_SCALE = 1.0
"""Standard deviation of the Gaussian prior on each bias, in nats: about one case's worth of evidence, so a class that
the calibration split hardly contains keeps a bias near zero, and a class with dozens of cases is fitted freely."""
_LOG_TEMPERATURE_LIMIT = 4.0


def fit(
    logits: NDArray[np.float32],
    candidates: NDArray[np.bool_],
    weights: NDArray[np.float64] | None = None,
    *,
    fitted_on: str = "",
) -> Calibration:
    """Fits `softmax(logits / temperature + bias)` by maximum likelihood, coarse labels included.

    A row's likelihood is the summed probability over its candidates, so that 'melanoma or not' rows count for what they
    say and no more; a row whose candidates are all classes says nothing. The mean bias is zero.

    Args:
        logits: float32 (N, K).
        candidates: bool (N, K), the diagnoses each label leaves possible. Rows without any are left out.
        weights: float64 (N,), at least 0; None: all rows count the same. Only their ratios matter.
        fitted_on: Data and split, in words, kept in the result.

    Returns:
        Temperature and bias (K).

    Raises:
        ManifestError: No row has a label that says anything.

    Source: Alexandari, Kundaje, Shrikumar 2020, "Maximum likelihood with bias-corrected calibration is hard-to-beat at
    label shift adaptation", ICML; partial labels as in Jin & Ghahramani 2002, "Learning with multiple labels", NeurIPS.
    """
    says_something = candidates.any(axis=1) & ~candidates.all(axis=1)
    if not says_something.any():
        raise ManifestError(
            "no_labels",
            "no row has a label to calibrate on",
            where=fitted_on or "calibration split",
            way_out="Give the calibration split labelled rows.",
        )
    scores = logits[says_something].astype(np.float64)  # (M, K)
    possible = candidates[says_something]
    weight = np.ones(len(scores)) if weights is None else np.asarray(weights, dtype=np.float64)[says_something]
    weight *= len(weight) / weight.sum()
    n_classes = scores.shape[1]

    def loss(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Negative log posterior and its gradient, by (log temperature, bias)."""
        inverse_temperature, bias = np.exp(-parameters[0]), parameters[1:]
        scaled = scores * inverse_temperature + bias
        everything = logsumexp(scaled, axis=1, keepdims=True)
        masked = np.where(possible, scaled, -np.inf)
        within = logsumexp(masked, axis=1, keepdims=True)
        by_row = (everything - within)[:, 0]
        # d(-log sum of candidates)/d scaled = softmax over all - softmax within the candidates.
        slope = weight[:, None] * (np.exp(scaled - everything) - np.exp(masked - within))  # (M, K)
        value = float(weight @ by_row) + float(bias @ bias) / (2 * BIAS_SCALE**2) + float(parameters[0] ** 2) / 2
        gradient = np.empty(n_classes + 1)
        gradient[0] = -np.sum(slope * scores) * inverse_temperature + parameters[0]
        gradient[1:] = slope.sum(axis=0) + bias / BIAS_SCALE**2
        return value, gradient

    limits = [(-_LOG_TEMPERATURE_LIMIT, _LOG_TEMPERATURE_LIMIT), *[(None, None)] * n_classes]
    found = minimize(
        loss, np.zeros(n_classes + 1), jac=True, method="L-BFGS-B", bounds=limits, options={"maxiter": 500}
    )
    bias = found.x[1:] - found.x[1:].mean()
    return Calibration(
        temperature=float(np.exp(found.x[0])), bias=tuple(float(value) for value in bias), fitted_on=fitted_on
    )
