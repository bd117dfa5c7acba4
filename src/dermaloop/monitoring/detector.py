"""Sequential tests that may be looked at after every case, for ever: Shiryaev-Roberts e-detectors.

Owns bets, their sums, and when a sum is an alarm. A bet multiplies a stake by a factor whose expected value is at most
1 as long as nothing has changed, given all that came before. A new stake is laid with every case, so that a change at
any time finds fresh money; the stake of a case is the time since the one before it, in years, so that one unit is laid
in a year however many cases that year has. While nothing has changed the expected sum after T years is then at most T,
and the chance that it ever reached a limit L by then is at most T / L (Markov's inequality at the stopping time). With
L = measures / rate the chance that any of the measures raises a false alarm within a year is at most `rate`, no matter
how often anybody looks and how the measures depend on each other.

Refuses to know what the numbers mean. The trade-off: the bound is not tight, so that fewer false alarms are raised than
are allowed, and a change is found some cases later than the quickest test for exactly that change would.

Source: Shin, Ramdas and Rinaldo 2024, "E-detectors: a nonparametric framework for sequential change detection", New
England Journal of Statistics in Data Science, doi:10.51387/23-NEJSDS51 (the e-SR detector and its mixtures); Vovk 2021,
"Testing randomness online", doi:10.1214/20-STS817 (betting on conformal p-values); Waudby-Smith and Ramdas 2024,
"Estimating means of bounded random variables by betting", doi:10.1093/jrsssb/qkad009 (bets on a mean).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_LEAST_P = 1e-6
_SLOPES = (-0.9, -0.5, 0.5, 0.9)
_SPREADS = (-0.9, 0.9)
_POWER = 0.3
_SHARES = (0.15, 0.35, 0.7)
"""Of the most that can be staked against a mean without going bankrupt."""
_MOST = 1e100
_BLOCK = 32
"""Cases at once: so few that no product of so many factors, of at most some thousands, leaves the range of a float."""


@dataclass(frozen=True, slots=True)
class Trace:
    """What a detector said after each case.

    Attributes:
        evidence: float64 (N,), the sum over its limit: an alarm from 1 on.
        alarm: The first case at which it reached 1; None where it never did.
        began: The case from which on the evidence that raised the alarm was gathered: an estimate of when the change
            happened; None without an alarm.
    """

    evidence: NDArray[np.float64]
    alarm: int | None
    began: int | None


def rank_bets(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bets that p-values are no longer uniform: lower or higher than before, farther apart or closer together.

    Args:
        p: float64 (...), conformal p-values; NaN bets nothing.

    Returns:
        float64 (..., K), factors at least 0, each with expected value 1 while p is uniform.
    """
    value = np.clip(p, _LEAST_P, 1 - _LEAST_P)
    slope = 2 * value - 1
    spread = 1.5 * slope**2 - 0.5
    factors = [1 + share * slope for share in _SLOPES]
    factors += [1 + share * spread for share in _SPREADS]
    factors += [_POWER * value ** (_POWER - 1), _POWER * (1 - value) ** (_POWER - 1)]
    stacked = np.stack(factors, axis=-1)
    return np.where(np.isnan(stacked), 1.0, stacked)


def mean_bets(values: NDArray[np.float64], most: float) -> NDArray[np.float64]:
    """Bets that the mean of values in [0, 1] is above `most`.

    Args:
        values: float64 (N,) in [0, 1]; NaN bets nothing.
        most: The largest mean that is no alarm, in (0, 1).

    Returns:
        float64 (N, K), factors at least 0, each with expected value at most 1 while the mean of the next value, given
        those before, is at most `most`.
    """
    factors = np.stack([1 + share / most * (values - most) for share in _SHARES], axis=-1)
    return np.where(np.isnan(factors), 1.0, factors)


def stakes(at: NDArray[np.float64], learning: int) -> NDArray[np.float64]:
    """What is newly laid on each case: the years since the case before.

    Args:
        at: float64 (N,), times in years, ascending.
        learning: The first cases, on which nothing is laid: they are what the others are compared with.
    """
    laid = np.diff(at, prepend=at[:1])
    laid[:learning] = 0.0
    return np.asarray(laid, dtype=np.float64)


def detect(factors: NDArray[np.float64], laid: NDArray[np.float64], limit: float) -> Trace:
    """Runs one detector over a stream.

    Args:
        factors: float64 (N, E), above 0, the bets of E experts on each case; the detector is their mean.
        laid: float64 (N,), what is newly laid on each case, see `stakes`.
        limit: The sum that is an alarm, e.g. measures / false alarms a year.
    """
    experts = factors.shape[1]
    start = np.zeros(experts)
    evidence = np.empty(len(factors))
    alarm: int | None = None
    for first in range(0, len(factors), _BLOCK):
        block, new = factors[first : first + _BLOCK], laid[first : first + _BLOCK, None] / experts
        # sum[t] = (sum[t - 1] + laid[t]) * factor[t], for a block of cases at once.
        grown = np.cumprod(block, axis=0)
        before = np.concatenate([np.ones((1, experts)), grown[:-1]])
        sums = np.minimum(grown * (start + np.cumsum(new / before, axis=0)), _MOST)
        evidence[first : first + len(block)] = sums.sum(axis=1) / limit
        start = sums[-1]
        if alarm is None and (reached := np.flatnonzero(evidence[first : first + len(block)] >= 1)).size:
            alarm = first + int(reached[0])
            strongest = int(sums[reached[0]].argmax())
    began = None if alarm is None else _beginning(factors[: alarm + 1, strongest], laid[: alarm + 1])
    return Trace(evidence, alarm, began)


def _beginning(factors: NDArray[np.float64], laid: NDArray[np.float64]) -> int:
    """The case from which on one expert would have won most, of those that something was laid on."""
    won = np.cumsum(np.log(factors))
    since = won[-1] - won + np.log(factors)
    return int(np.where(laid > 0, since, -np.inf).argmax())
