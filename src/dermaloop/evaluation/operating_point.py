"""Chooses the threshold for a wished sensitivity, and the band around it in which the model had better not decide.

Owns both choices, made on the calibration split only. The trade-off: the threshold is the plain empirical one, with its
interval beside it, rather than a conservative bound that would hide how few malignant cases it rests on.

The band is class-conditional (Mondrian) split-conformal prediction on malignant versus benign. The kept libraries were
looked at: MAPIE serves sets over three classes and more (its issue 216) and wraps an estimator; crepes does Mondrian
sets on plain arrays but brings pandas, for what is here one order statistic per class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dermaloop.core.bundle import OperatingPoint
from dermaloop.core.errors import ManifestError
from dermaloop.evaluation.bootstrap import group_index, interval, resampled_weights

RESAMPLES = 1000


@dataclass(frozen=True, slots=True)
class Band:
    """The malignant probabilities in which a decision is ambiguous.

    Attributes:
        low: From here ...
        high: ... up to here, not included; equal to `low` means never.
        alpha: The share of each class's errors that remains, as used (see `ambiguous_band`).
        share: Of the rows it was fitted on, how many fall in the band.
        n_malignant: Rows behind `low`.
        n_benign: Rows behind `high`.
    """

    low: float
    high: float
    alpha: float
    share: float
    n_malignant: int
    n_benign: int


def choose(
    name: str,
    malignant_probability: NDArray[np.float64],
    y_malignant: NDArray[np.bool_],
    groups: Sequence[str] | NDArray[Any],
    target_sensitivity: float = 0.95,
    *,
    measured_on: str = "",
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> OperatingPoint:
    """The highest threshold whose sensitivity reaches the target, with what was measured there.

    A picture is referred where its malignant probability is at or above the threshold. The threshold lies halfway to
    the next lower probability that occurs, so that rounding on another machine changes no decision of these rows.

    Args:
        name: How the point is called, e.g. `sensitive`.
        malignant_probability: float64 (N,), calibrated.
        y_malignant: bool (N,).
        groups: Patient or lesion by row (N,), for the intervals.
        target_sensitivity: In (0, 1].
        measured_on: Data and split, in words.
        resamples: For the intervals; the threshold stays fixed in them.
        seed: Of the resamples.

    Raises:
        ManifestError: There is no malignant or no benign row.
    """
    _need_both(y_malignant, measured_on)
    malignant = np.sort(malignant_probability[y_malignant])
    # Of n malignant, at least ceil(target * n) must lie at or above; the tolerance keeps 0.95 * 20 at 19.
    needed = max(1, int(np.ceil(target_sensitivity * len(malignant) - 1e-9)))
    lowest_referred = malignant[len(malignant) - needed]
    below = malignant_probability[malignant_probability < lowest_referred]
    threshold = float((lowest_referred + below.max()) / 2) if len(below) else float(lowest_referred / 2)
    if len(below) and not below.max() < threshold <= lowest_referred:  # neighbours in floating point
        threshold = float(lowest_referred)
    refer = malignant_probability >= threshold
    hit = np.stack([refer & y_malignant, y_malignant, ~refer & ~y_malignant, ~y_malignant], axis=1).astype(np.float64)
    sums = hit.sum(axis=0)
    with np.errstate(invalid="ignore"):
        counts = np.concatenate([w @ hit for w in resampled_weights(group_index(groups), resamples, seed)])  # (R, 4)
        sensitivities, specificities = counts[:, 0] / counts[:, 1], counts[:, 2] / counts[:, 3]
    sensitivity, specificity = float(sums[0] / sums[1]), float(sums[2] / sums[3])
    return OperatingPoint(
        name=name,
        target=f"sensitivity >= {target_sensitivity:g}",
        threshold=threshold,
        sensitivity=sensitivity,
        specificity=specificity,
        sensitivity_interval=interval(
            sensitivity, sensitivities, lowest=0, highest=1, cases=_cases(groups, y_malignant)
        ),
        specificity_interval=interval(
            specificity, specificities, lowest=0, highest=1, cases=_cases(groups, ~y_malignant)
        ),
        n_malignant=int(sums[1]),
        n_benign=int(sums[3]),
        measured_on=measured_on,
    )


def ambiguous_band(
    malignant_probability: NDArray[np.float64],
    y_malignant: NDArray[np.bool_],
    *,
    threshold: float,
    alpha: float = 0.8,
    largest_share: float = 0.15,
) -> Band:
    """The band around an operating point in which the conformal set holds both benign and malignant.

    Each class gets its own error level: `alpha` times the error rate that the operating point has in it. Malignant is
    left out of the set only below the score under which that share of malignant cases lies, benign only above the
    score over which that share of benign cases lies; between the two the set is {benign, malignant} and the model
    abstains. So of all malignant lesions at most `alpha` x (1 - sensitivity) are decided benign, of all benign ones at
    most `alpha` x (1 - specificity) are decided malignant, with the finite-sample guarantee of split-conformal
    prediction for pictures like those it was fitted on. `alpha` = 1 declines next to nothing, smaller declines more.

    Args:
        malignant_probability: float64 (N,), calibrated, calibration split.
        y_malignant: bool (N,).
        threshold: Of the operating point.
        alpha: In (0, 1], share of each class's errors that remains.
        largest_share: Of the rows that may be declined; where the band would take more, `alpha` is raised until it
            does not (few malignant rows: one order statistic then reaches far).

    Raises:
        ManifestError: There is no malignant or no benign row.

    Source: Vovk, Gammerman, Shafer 2005, "Algorithmic Learning in a Random World", 4.5 (Mondrian); Angelopoulos &
    Bates 2023, "Conformal prediction: a gentle introduction", doi:10.1561/2200000101.
    """
    _need_both(y_malignant, "")
    malignant = np.sort(malignant_probability[y_malignant])
    benign = np.sort(malignant_probability[~y_malignant])
    miss_rate = float(np.mean(malignant < threshold))
    false_rate = float(np.mean(benign >= threshold))
    for level in (*np.arange(alpha, 1.0, 0.02), 1.0):
        low = min(threshold, _order_statistic(malignant, level, miss_rate, default=0.0))
        high = max(threshold, _order_statistic(benign[::-1], level, false_rate, default=1.0))
        if high > threshold:  # the band's upper end is excluded, the case that set it belongs in
            high = min(1.0, float(np.nextafter(high, 2.0)))
        share = float(np.mean((malignant_probability >= low) & (malignant_probability < high)))
        if share <= largest_share:
            return Band(low, high, float(level), share, len(malignant), len(benign))
    return Band(threshold, threshold, 1.0, 0.0, len(malignant), len(benign))


def _order_statistic(outermost_first: NDArray[np.float64], alpha: float, error_rate: float, *, default: float) -> float:
    """The score beyond which at most `alpha * error_rate` of new cases of the class fall.

    Where so few cases can promise nothing it is `default`, the end of the scale; where the operating point makes no
    error in the class it is the innermost score, so that the threshold itself bounds the band.
    """
    if error_rate == 0:
        return float(outermost_first[-1])
    rank = int(np.floor(alpha * error_rate * (len(outermost_first) + 1) + 1e-9))
    rank = min(rank, len(outermost_first))  # where every case is an error
    return float(outermost_first[rank - 1]) if rank >= 1 else default


def _cases(groups: Sequence[str] | NDArray[Any], among: NDArray[np.bool_]) -> int:
    return len(np.unique(np.asarray(groups)[among]))


def _need_both(y_malignant: NDArray[np.bool_], measured_on: str) -> None:
    for present, kind in ((y_malignant.any(), "malignant"), ((~y_malignant).any(), "benign")):
        if not present:
            raise ManifestError(
                "one_class_only",
                f"there is no {kind} row to choose a threshold on",
                where=measured_on or "calibration split",
                way_out="Give the calibration split malignant and benign rows.",
            )
