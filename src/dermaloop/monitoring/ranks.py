"""Conformal p-values of a stream: where each value ranks among all that came before it.

Owns the ranking. If nothing changes, that is if the stream is exchangeable, the p-values are independent and uniform
on [0, 1], whatever the distribution of the values: no reference distribution has to be known or estimated, and the
number of earlier values does not matter. The trade-off: after a change the new values join those that are ranked
against, so evidence for it grows fast at first and then stops; a detector has to hear it in time.

Source: Vovk, Gammerman and Shafer 2005, "Algorithmic learning in a random world", theorem 8.2 (smoothed conformal
predictors, on-line mode).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_BLOCK = 64


def conformal_p(values: NDArray[np.float64], ties: NDArray[np.float64]) -> NDArray[np.float64]:
    """The smoothed conformal p-value of each value among itself and all before it.

    Args:
        values: float64 (N,), in the order in which they came. NaN is no value: it is not ranked and nothing is ranked
            against it.
        ties: float64 (N,) in (0, 1), random and independent of the values; they place a value among its equals.

    Returns:
        float64 (N,) in (0, 1): near 0 for a value lower than those before; NaN where there is no value.
    """
    found = np.full(len(values), np.nan)
    known = np.flatnonzero(~np.isnan(values))
    kept = np.asarray(values, dtype=np.float64)[known]
    earlier = np.empty(0)
    for start in range(0, len(kept), _BLOCK):
        block = kept[start : start + _BLOCK]
        below = np.searchsorted(earlier, block, side="left")
        equal = np.searchsorted(earlier, block, side="right") - below
        # (B, B): which of the block came before or is the value itself.
        past = np.tri(len(block), dtype=bool)
        below = below + ((block[None, :] < block[:, None]) & past).sum(axis=1)
        equal = equal + ((block[None, :] == block[:, None]) & past).sum(axis=1)
        count = start + 1 + np.arange(len(block))
        place = known[start : start + _BLOCK]
        found[place] = (below + ties[place] * equal) / count
        earlier = np.sort(np.concatenate([earlier, block]), kind="stable")
    return found


def word_p(words: NDArray[np.int64], ties: NDArray[np.float64]) -> NDArray[np.float64]:
    """The smoothed conformal p-value of each word: how frequent it is among itself and all before it.

    Args:
        words: int64 (N,), a number from 0 for each word.
        ties: float64 (N,) in (0, 1), see `conformal_p`.

    Returns:
        float64 (N,) in (0, 1): near 0 for a word that hardly ever came before.
    """
    counts = np.zeros(int(words.max(initial=0)) + 1, dtype=np.int64)
    found = np.empty(len(words))
    for place, word in enumerate(words):
        counts[word] += 1
        own = counts[word]
        rarer, equal = counts[counts < own].sum(), counts[counts == own].sum()
        found[place] = (rarer + ties[place] * equal) / (place + 1)
    return found
