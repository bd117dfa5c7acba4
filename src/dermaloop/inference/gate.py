"""When the model declines to decide: the feature-space distance and its limits.

Owns the distance, its parameters and the words of a refusal. Refuses to know how a limit is chosen: that is a quantile
on the calibration split, taken when the bundle is packaged.

The distance is Mahalanobis' to the mean of the training pictures, with a covariance that keeps the largest directions
and levels the rest (probabilistic PCA). The trade-off: one ellipsoid of a few ten thousand numbers, where a nearest
neighbour or a mixture would need the training features themselves and told odd pictures apart no better when compared.
What matters far more is which features it is given. Fine-tuning teaches the last layer to look at lesions only, so that
it sees a lesion in everything; the textures of a middle layer still tell skin from anything else. Graphs therefore
return `texture`, and the embedding serves where an older graph does not (EXPERIMENTS.md has the figures).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dermaloop.core.bundle import Gate
from dermaloop.core.prediction import Reason
from dermaloop.core.quality import problems

_COMPONENTS = 128
_WIDE = 512
"""Features of at least this length come from a last layer: only their direction is used, see `fit_distribution`."""
_WIDE_COMPONENTS = 64
_SHRINKAGE = 0.01
"""Share of the mean variance added to every direction, so that a direction hardly seen in training is not a needle."""
_TINY = 1e-12


def fit_distribution(
    features: NDArray[np.float32],
    class_index: NDArray[np.int64],
    *,
    sources: Sequence[str] | None = None,
    components: int | None = None,
) -> dict[str, NDArray[Any]]:
    """The in-distribution statistics of the training pictures, for `distribution.npz`.

    Rare diagnoses and small sources weigh more than their share, each picture by 1 / sqrt(pictures of its diagnosis)
    and 1 / pictures of its source: what matters is where real lesions can lie, not where most of them do.

    Args:
        features: float32 (N, D), `Outputs.texture`, N at least 2. For D of 512 and more they are divided by their
            length first: in a last layer it says how much was found, the direction what.
        class_index: int (N,), the diagnosis's place in the bundle's classes; negative where unknown.
        sources: N dataset names; None for one source.
        components: Directions kept; None for 128, and 64 where D is 512 or more.

    Returns:
        Arrays by name.

    Source: Lee et al. 2018, "A simple unified framework for detecting out-of-distribution samples", NeurIPS; Tipping
        and Bishop 1999, "Probabilistic principal component analysis", doi:10.1111/1467-9868.00196.
    """
    unit = features.shape[1] >= _WIDE
    values = _unit(features) if unit else np.asarray(features, dtype=np.float64)
    weights = _weights(class_index, sources)
    mean = weights @ values
    # Raw textures differ in scale by channel; directions of a last layer must keep theirs.
    scale = np.ones_like(mean) if unit else np.sqrt(weights @ (values - mean) ** 2) + 1e-6
    centred = (values - mean) / scale
    variances, directions = np.linalg.eigh((centred * weights[:, None]).T @ centred)
    variances, directions = np.maximum(variances[::-1], 0.0), directions[:, ::-1]
    kept = min(components or (_WIDE_COMPONENTS if unit else _COMPONENTS), len(variances))
    floor = _SHRINKAGE * variances.mean() + _TINY
    tail = variances[kept:].mean() + (0.0 if unit else floor) if kept < len(variances) else floor
    return {
        "unit": np.asarray(unit),
        "mean": mean.astype(np.float32),
        "scale": scale.astype(np.float32),
        "basis": directions[:, :kept].astype(np.float32),
        "variance": (variances[:kept] + (0.0 if unit else floor)).astype(np.float32),
        "tail_variance": np.asarray(max(tail, _TINY), dtype=np.float32),
    }


def _weights(class_index: NDArray[np.int64], sources: Sequence[str] | None) -> NDArray[np.float64]:
    _, diagnosis, of_diagnosis = np.unique(class_index, return_inverse=True, return_counts=True)
    weights = 1 / np.sqrt(of_diagnosis[diagnosis])
    if sources is not None:
        _, source = np.unique(np.asarray(sources, dtype=np.str_), return_inverse=True)
        weights = weights / np.bincount(source, weights)[source]
    normalised: NDArray[np.float64] = weights / weights.sum()
    return normalised


def distance(features: NDArray[np.float32], distribution: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
    """How far each picture lies from the training pictures: higher is farther, about 1 for a usual one.

    Args:
        features: float32 (N, D), of the same graph and layer as those fitted on.
        distribution: What `fit_distribution` returned.

    Returns:
        float64 (N,), at least 0; the square root of the squared distance per dimension.
    """
    centred = _centred(features, distribution)
    projected = centred @ distribution["basis"].astype(np.float64)
    inside = projected**2 @ (1 / np.maximum(distribution["variance"].astype(np.float64), _TINY))
    rest = np.maximum((centred**2).sum(axis=1) - (projected**2).sum(axis=1), 0.0)
    squared = inside + (rest / distribution["tail_variance"] if projected.shape[1] < centred.shape[1] else 0.0)
    result: NDArray[np.float64] = np.sqrt(squared / centred.shape[1])
    return result


def project(
    features: NDArray[np.float32], distribution: Mapping[str, NDArray[Any]], components: int
) -> NDArray[np.float32]:
    """The largest directions of each picture's features, in standard deviations of the training pictures.

    Args:
        features: As for `distance`.
        distribution: What `fit_distribution` returned.
        components: How many.

    Returns:
        float32 (N, at most components).
    """
    basis = distribution["basis"].astype(np.float64)[:, :components]
    spread = np.sqrt(np.maximum(distribution["variance"].astype(np.float64)[: basis.shape[1]], _TINY))
    return np.asarray(_centred(features, distribution) @ basis / spread, dtype=np.float32)


def _centred(features: NDArray[np.float32], distribution: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
    values = _unit(features) if distribution["unit"] else np.asarray(features, dtype=np.float64)
    centred: NDArray[np.float64] = (values - distribution["mean"]) / distribution["scale"]
    return centred


def _unit(features: NDArray[np.float32]) -> NDArray[np.float64]:
    values = np.asarray(features, dtype=np.float64)
    unit: NDArray[np.float64] = values / np.maximum(np.sqrt((values**2).sum(axis=1, keepdims=True)), _TINY)
    return unit


class Distribution:
    """The in-distribution statistics of an opened bundle, ready to measure distances."""

    def __init__(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self._arrays = arrays

    def distance(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """See the function `distance`."""
        return distance(features, self._arrays)

    def project(self, features: NDArray[np.float32], components: int) -> NDArray[np.float32]:
        """See the function `project`."""
        return project(features, self._arrays, components)


def reasons(
    limits: Gate, *, quality: Mapping[str, float], distance: float, malignant_probability: float
) -> tuple[Reason, ...]:
    """Why the model declines to decide on a picture; empty where it does not decline.

    A probability near the operating point is a reason only for a picture that is otherwise accepted: of a picture that
    the model was never validated on, the probability means nothing, near or far.

    Args:
        limits: The bundle's gate.
        quality: Measures by name, as `core.quality.measure_fast` returns them.
        distance: Feature-space distance.
        malignant_probability: Calibrated.
    """
    found = problems(quality, limits.quality)
    if not distance <= limits.ood_limit:
        found.append(
            Reason(
                "out_of_distribution",
                "The picture is unlike the photographs of skin lesions that the model was validated on. "
                "Take a close-up of one skin lesion that fills a good part of the picture.",
                distance,
                limits.ood_limit,
            )
        )
    if not found and limits.ambiguous_low <= malignant_probability < limits.ambiguous_high:
        low, high = round(100 * limits.ambiguous_low), round(100 * limits.ambiguous_high)
        found.append(
            Reason(
                "ambiguous",
                f"The probability of malignancy lies between {low} % and {high} %, where the model was too often wrong "
                "to decide. Let a dermatologist see the lesion.",
                malignant_probability,
            )
        )
    return tuple(found)
