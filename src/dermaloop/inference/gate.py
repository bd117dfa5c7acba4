"""When the model declines to decide: the feature-space distance and its limits.

Owns the distance and its parameters. Refuses to know how a limit is chosen: that is a quantile on the calibration
split, taken when the bundle is packaged.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dermaloop.core.bundle import Gate
from dermaloop.core.prediction import Reason
from dermaloop.core.quality import problems

_COMPONENTS = 64


def fit_distribution(
    embeddings: NDArray[np.float32], class_index: NDArray[np.int64], *, components: int = _COMPONENTS
) -> dict[str, NDArray[Any]]:
    """The in-distribution statistics of the training embeddings, for `distribution.npz`.

    Args:
        embeddings: float32 (N, D).
        class_index: int (N,), the diagnosis's place in the bundle's classes; negative where unknown.
        components: Dimensions kept by the projection.

    Returns:
        Arrays by name.
    """
    features = np.asarray(embeddings, dtype=np.float64)
    mean = features.mean(axis=0)
    centred = features - mean
    values, vectors = np.linalg.eigh(centred.T @ centred / len(features))
    kept = min(components, features.shape[1], len(features) - 1)
    basis = vectors[:, ::-1][:, :kept] / np.sqrt(np.maximum(values[::-1][:kept], 1e-12))
    projected = centred @ basis
    means = np.stack([projected[class_index == index].mean(axis=0) for index in np.unique(class_index) if index >= 0])
    residual = centred - projected @ np.linalg.pinv(basis)
    return {
        "mean": mean.astype(np.float32),
        "basis": basis.astype(np.float32),
        "class_means": means.astype(np.float32),
        "residual_scale": np.float32(np.sqrt((residual**2).sum(axis=1).mean())),
    }


def distance(embeddings: NDArray[np.float32], distribution: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
    """How far each picture lies from the training pictures; higher is farther. Returns float64 (N,)."""
    centred = np.asarray(embeddings, dtype=np.float64) - distribution["mean"]
    basis = distribution["basis"].astype(np.float64)
    projected = centred @ basis
    nearest = ((projected[:, None] - distribution["class_means"][None]) ** 2).sum(axis=2).min(axis=1)
    result: NDArray[np.float64] = np.sqrt(nearest / basis.shape[1])
    return result


class Distribution:
    """The in-distribution statistics of an opened bundle, ready to measure distances."""

    def __init__(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self._arrays = arrays

    def distance(self, embeddings: NDArray[np.float32]) -> NDArray[np.float64]:
        """See the function `distance`."""
        return distance(embeddings, self._arrays)


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
