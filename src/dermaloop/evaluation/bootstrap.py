"""Intervals by resampling patients, or lesions where patients are unknown: never single images.

Owns the resamples and the interval. A resample is a vector of weights, how often each row was drawn, so a metric is one
function of `weights (R, N)` that answers all resamples at once and the plain estimate with weights of one. The
trade-off: R x N numbers of memory (in chunks of a few tens of megabytes) against a Python loop of minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
IntervalKind = Literal["percentile", "basic"]

LEVEL = 0.95
_CHUNK_NUMBERS = 3_000_000
_LEAST_FINITE_SHARE = 0.5


def group_index(groups: Sequence[str] | NDArray[Any]) -> NDArray[np.int64]:
    """Numbers the groups from 0: (N,) names → int64 (N,)."""
    _, index = np.unique(np.asarray(groups), return_inverse=True)
    return np.asarray(index, dtype=np.int64).reshape(-1)


def resampled_weights(groups: NDArray[np.int64], resamples: int, seed: int = 0) -> Iterator[Floats]:
    """How often each row is drawn when whole groups are drawn with replacement.

    Args:
        groups: int64 (N,), from `group_index`.
        resamples: How many resamples in all.
        seed: Same seed, same resamples, whatever the chunking.

    Yields:
        float64 (r, N), r resamples at a time, `resamples` in all; each sums to about N (exactly, if groups are equal).
    """
    n_groups = int(groups.max()) + 1 if len(groups) else 0
    generator = np.random.default_rng(seed)
    step = max(1, min(resamples, _CHUNK_NUMBERS // max(1, len(groups))))
    for start in range(0, resamples, step):
        count = min(step, resamples - start)
        drawn = generator.integers(n_groups, size=(count, n_groups)) if n_groups else np.empty((count, 0), np.int64)
        drawn += np.arange(count)[:, None] * n_groups
        counts = np.bincount(drawn.ravel(), minlength=count * n_groups).reshape(count, n_groups)  # (r, G)
        yield counts[:, groups].astype(np.float64)


def replicates(
    groups: NDArray[np.int64], functions: Mapping[str, Callable[[Floats], Floats]], resamples: int, seed: int = 0
) -> dict[str, tuple[Floats, Floats]]:
    """Each function on the sample itself and on the same resamples, so that differences between them are paired.

    Args:
        groups: int64 (N,); numbers may be missing, as in a subset of rows.
        functions: By name: weights (r, N) → (r, ...).
        resamples: How many.
        seed: Of the resamples.

    Returns:
        By name: the estimate (...) and the replicates (resamples, ...).
    """
    plain = np.ones((1, len(groups)))
    estimates = {name: function(plain)[0] for name, function in functions.items()}
    chunks: dict[str, list[Floats]] = {name: [] for name in functions}
    for weights in resampled_weights(group_index(groups), resamples, seed):
        for name, function in functions.items():
            chunks[name].append(function(weights))
    none = {name: np.full((0, *np.shape(estimate)), np.nan) for name, estimate in estimates.items()}
    return {name: (estimates[name], np.concatenate(parts) if parts else none[name]) for name, parts in chunks.items()}


def interval(
    estimate: float,
    replicates: Floats,
    kind: IntervalKind = "percentile",
    *,
    lowest: float = -np.inf,
    highest: float = np.inf,
    cases: int | None = None,
) -> tuple[float, float]:
    """The 95 % bootstrap interval.

    Args:
        estimate: On the sample itself.
        replicates: float64 (R,), NaN where a resample lacks a class.
        kind: `percentile`; or `basic` (reverse percentile) for measures that noise can only raise, such as a
            calibration error, whose resamples all lie above the estimate.
        lowest: Bound of the measure.
        highest: Bound of the measure.
        cases: For a share: the patients or lesions it is a share of. A share of 0 or 1 is the same in every resample,
            and an interval without width would be a lie; the exact binomial one is given then.

    Returns:
        (low, high); NaN where the estimate is NaN or more than half of the resamples are.

    Source: Efron & Tibshirani 1993, "An Introduction to the Bootstrap", chapter 13; `scipy.stats.bootstrap` names both
    kinds. Clopper & Pearson 1934, doi:10.1093/biomet/26.4.404.
    """
    finite = replicates[np.isfinite(replicates)]
    if not np.isfinite(estimate) or len(finite) <= _LEAST_FINITE_SHARE * len(replicates):
        return (float("nan"), float("nan"))
    tail = (1 - LEVEL) / 2
    if cases and estimate in (0.0, 1.0):
        reach = 1 - tail ** (1 / cases)
        return (0.0, reach) if estimate == 0.0 else (1 - reach, 1.0)
    low, high = np.quantile(finite, [tail, 1 - tail])
    if kind == "basic":
        low, high = 2 * estimate - high, 2 * estimate - low
    return float(np.clip(low, lowest, highest)), float(np.clip(high, lowest, highest))
