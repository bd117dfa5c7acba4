"""When the model declines to decide: the feature-space distance and its limits.

Owns the distance and its parameters. Refuses to know how a limit is chosen: that is a quantile on the calibration
split, taken when the bundle is packaged.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
