"""From logits to calibrated probabilities, and from those to the probability of malignancy.

One function for every path that shows a probability. Fitting is `evaluation.calibration`'s.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dermaloop.core.bundle import Calibration
from dermaloop.core.taxonomy import MALIGNANT, Diagnosis


def probabilities(logits: NDArray[np.float32], calibration: Calibration) -> NDArray[np.float64]:
    """softmax(logits / temperature + bias).

    Args:
        logits: float32 (N, K).
        calibration: Fitted temperature and per-class bias (K).

    Returns:
        float64 (N, K), rows sum to 1.

    Source: Alexandari, Kundaje, Shrikumar 2020, "Maximum likelihood with bias-corrected calibration", ICML.
    """
    scaled = logits.astype(np.float64) / calibration.temperature + np.asarray(calibration.bias)
    scaled -= scaled.max(axis=1, keepdims=True)
    exponential = np.exp(scaled)
    total: NDArray[np.float64] = exponential / exponential.sum(axis=1, keepdims=True)
    return total


def malignant_probability(probability: NDArray[np.float64], classes: Sequence[Diagnosis]) -> NDArray[np.float64]:
    """Sum over the classes that count as malignant. `probability` (N, K) → (N,), in [0, 1]."""
    columns = [index for index, diagnosis in enumerate(classes) if diagnosis in MALIGNANT]
    malignant: NDArray[np.float64] = np.clip(probability[:, columns].sum(axis=1), 0.0, 1.0)
    return malignant
