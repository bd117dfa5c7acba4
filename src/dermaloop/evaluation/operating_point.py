"""Chooses the threshold for a wished sensitivity, and the band around it in which the model had better not decide.

Owns both choices, made on the calibration split only. The trade-off: the threshold is the plain empirical one, with its
interval beside it, rather than a conservative bound that would hide how few malignant cases it rests on. Smoothed ones
(a normal distribution of the malignant, the calibrated probabilities themselves) vary a fifth less and miss more
cancers than they promise (docs/adr/0048). A model that follows another may keep the other's operating point (`keep`).

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
    threshold = _just_below(malignant_probability, malignant[len(malignant) - needed])
    return _measured(
        name, f"sensitivity >= {target_sensitivity:g}", threshold, malignant_probability, y_malignant, groups,
        measured_on=measured_on, resamples=resamples, seed=seed,
    )  # fmt: skip


def keep(  # noqa: PLR0917 - two models on the same rows
    former: OperatingPoint,
    former_probability: NDArray[np.float64],
    anew: OperatingPoint,
    malignant_probability: NDArray[np.float64],
    y_malignant: NDArray[np.bool_],
    groups: Sequence[str] | NDArray[Any],
    target_sensitivity: float = 0.95,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> OperatingPoint:
    """The former model's operating point on a new model's scale, where nothing speaks against it; else the one anew.

    The threshold is the one at which the new model has the former one's specificity on the same rows: benign cases are
    many, and what the two make of them is paired. It is kept where the interval of the sensitivity measured there holds
    the target, so a point moves on evidence and not on chance, downwards and upwards alike. A threshold that is chosen
    anew from some hundred malignant cases is another draw each time.

    Args:
        former: The operating point of the model before.
        former_probability: float64 (N,), that model's.
        anew: What `choose` gives for the new model on these rows; its name and words stay.
        malignant_probability: float64 (N,), the new model's.
        y_malignant: bool (N,).
        groups: Patient or lesion by row (N,).
        target_sensitivity: In (0, 1].
        resamples: For the intervals.
        seed: Of the resamples.

    Source: the order of "change nothing unless the data ask for it" is that of Vergouwe et al. 2017, "A closed testing
    procedure to select an appropriate method for updating prediction models", doi:10.1002/sim.7179.
    """
    specificity = float(np.mean(former_probability[~y_malignant] < former.threshold))
    threshold = matched_threshold(malignant_probability, y_malignant, specificity)
    kept = _measured(
        anew.name, f"{anew.target}, kept from the model before", threshold, malignant_probability, y_malignant, groups,
        measured_on=anew.measured_on, resamples=resamples, seed=seed,
    )  # fmt: skip
    low, high = kept.sensitivity_interval
    return kept if low <= target_sensitivity <= high else anew


def matched_threshold(
    malignant_probability: NDArray[np.float64], y_malignant: NDArray[np.bool_], specificity: float
) -> float:
    """The lowest threshold at which the specificity is at least this, halfway to the next lower probability.

    Args:
        malignant_probability: float64 (N,).
        y_malignant: bool (N,), at least one false.
        specificity: In [0, 1].
    """
    benign = np.sort(malignant_probability[~y_malignant])
    wanted = int(np.ceil(specificity * len(benign) - 1e-9))
    last = benign[wanted - 1] if wanted else -np.inf  # the benign case that is just not referred
    above = malignant_probability[malignant_probability > last]
    return _just_below(malignant_probability, above.min()) if len(above) else float(np.nextafter(last, np.inf))


def _just_below(probability: NDArray[np.float64], lowest_referred: float) -> float:
    """Halfway from the lowest probability that is referred to the next lower one."""
    below = probability[probability < lowest_referred]
    threshold = float((lowest_referred + below.max()) / 2) if len(below) else float(lowest_referred / 2)
    if len(below) and not below.max() < threshold <= lowest_referred:  # neighbours in floating point
        return float(lowest_referred)
    return threshold


def _measured(  # noqa: PLR0917 - a point and the rows that it is measured on
    name: str,
    target: str,
    threshold: float,
    malignant_probability: NDArray[np.float64],
    y_malignant: NDArray[np.bool_],
    groups: Sequence[str] | NDArray[Any],
    *,
    measured_on: str,
    resamples: int,
    seed: int,
) -> OperatingPoint:
    """A threshold with what is measured there; it stays fixed in the resamples."""
    refer = malignant_probability >= threshold
    hit = np.stack([refer & y_malignant, y_malignant, ~refer & ~y_malignant, ~y_malignant], axis=1).astype(np.float64)
    sums = hit.sum(axis=0)
    with np.errstate(invalid="ignore"):
        counts = np.concatenate([w @ hit for w in resampled_weights(group_index(groups), resamples, seed)])  # (R, 4)
        sensitivities, specificities = counts[:, 0] / counts[:, 1], counts[:, 2] / counts[:, 3]
    sensitivity, specificity = float(sums[0] / sums[1]), float(sums[2] / sums[3])
    return OperatingPoint(
        name=name,
        target=target,
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
