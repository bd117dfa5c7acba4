"""What is looked at: the records that come into this package.

Owns their fields. Times are seconds since 1970, UTC.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64] | Sequence[str]


@dataclass(frozen=True, slots=True)
class Stream:
    """Cases in their order.

    Attributes:
        at: float64 (N,), seconds since 1970, ascending.
        values: By measure, float64 (N,) or (N, C), NaN where unknown; or N words, "" where unknown.
    """

    at: NDArray[np.float64]
    values: dict[str, Values]


@dataclass(frozen=True, slots=True)
class Confirmed:
    """Confirmed cases in the order of their confirmation.

    Attributes:
        at: float64 (N,), seconds since 1970, ascending.
        malignant: bool (N,).
        referred: bool (N,); what it says of a declined case does not count.
        declined: bool (N,).
        probability: float64 (N,), of malignancy.
    """

    at: NDArray[np.float64]
    malignant: NDArray[np.bool_]
    referred: NDArray[np.bool_]
    declined: NDArray[np.bool_]
    probability: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Stated:
    """What the bundle states, to be compared with; None where it does not.

    Attributes:
        sensitivity: At the operating point.
        specificity: At the operating point.
        declined: Share declined in its own evaluation.
        outside: Share outside its limit in its own evaluation.
    """

    sensitivity: float | None = None
    specificity: float | None = None
    declined: float | None = None
    outside: float | None = None


@dataclass(frozen=True, slots=True)
class Review:
    """What a lead said of an alarm.

    Attributes:
        measure: Its name.
        at: When, seconds since 1970.
        began: When the change had begun.
        stays: True: the comparison begins anew. False: it has passed; what came in between is left out.
    """

    measure: str
    at: float
    began: float
    stays: bool
