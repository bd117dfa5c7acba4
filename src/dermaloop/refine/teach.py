"""Which unconfirmed cases would teach the most: those that the model cannot tell, and that differ from each other.

Owns the ranking, a pure function. Uncertainty alone picks one hard kind over and over; diversity alone picks oddities.
Here the least certain are taken first, and among them each next one is the farthest from all before and from what is
known already. Refuses to judge whether a case can be confirmed at all.

Source: Citovsky et al. 2021, "Batch active learning at scale", arXiv:2107.14263 (margin first, then diversity); Sener &
Savarese 2018, "Active learning for convolutional neural networks: a core-set approach", arXiv:1708.00489 (k-center).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

POOL = 4
"""The least certain cases looked at, in multiples of those wanted."""


def margins(probability: Floats) -> Floats:
    """How much likelier the first diagnosis is than the second: float64 (N, K) → (N,) in [0, 1]; 0 is undecided."""
    if not len(probability):
        return np.zeros(0)
    top = np.sort(probability, axis=1)[:, -2:]
    return np.asarray(top[:, 1] - top[:, 0])


def rank(margin: Floats, features: Floats, known: Floats, *, wanted: int) -> list[int]:
    """The rows that teach most, the first one most.

    Args:
        margin: float64 (N,), see `margins`.
        features: float64 (N, D), rows of length 1.
        known: float64 (M, D), what is confirmed already, rows of length 1; may be empty.
        wanted: How many, at least 0.

    Returns:
        At most `wanted` row numbers. Ties go to the smaller number, so that the same input gives the same list.
    """
    pool = np.argsort(margin, kind="stable")[: POOL * wanted]
    chosen: list[int] = []
    if not len(pool) or wanted <= 0:
        return chosen
    candidates = features[pool]
    distance = np.full(len(pool), np.inf)
    if len(known):
        distance = 1.0 - (candidates @ known.T).max(axis=1)
    while len(chosen) < min(wanted, len(pool)):
        # Nothing known yet: begin with the least certain.
        best = 0 if not chosen and not len(known) else int(distance.argmax())
        chosen.append(int(pool[best]))
        distance = np.minimum(distance, 1.0 - candidates @ candidates[best])
        distance[best] = -np.inf
    return chosen
