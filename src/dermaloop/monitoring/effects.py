"""How large a change is, beside how certain: certain and small is no alarm.

Owns the sizes of a change. They are described, not tested: the tests are `monitoring.detector`'s.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import ks_2samp


def largest_shift(before: NDArray[np.float64], after: NDArray[np.float64]) -> float:
    """The largest distance between two empirical distributions over the columns.

    Args:
        before: float64 (N, C).
        after: float64 (M, C).

    Returns:
        Kolmogorov and Smirnov's distance in [0, 1]; 0 where one side is empty.
    """
    if not len(before) or not len(after):
        return 0.0
    # The p-value is not used, and its asymptotic form is the quickest.
    columns = zip(before.T, after.T, strict=True)
    return max(float(ks_2samp(old, new, method="asymp").statistic) for old, new in columns)


def word_shift(before: NDArray[np.float64], after: NDArray[np.float64]) -> float:
    """How much the shares of words, given by their number, differ: total variation distance; 0 without a word."""
    if not len(before) or not len(after):
        return 0.0
    words = np.union1d(before, after)
    return float(sum(abs((before == word).mean() - (after == word).mean()) for word in words) / 2)


def standardised_shift(reference: NDArray[np.float64], values: NDArray[np.float64]) -> float:
    """How far the mean of many columns has moved, in standard deviations: root mean square over the columns."""
    spread = np.maximum(reference.std(axis=0), 1e-9)
    away = (values.mean(axis=0) - reference.mean(axis=0)) / spread
    return float(np.sqrt((away**2).mean()))
