"""Champion and challenger side by side, and what becomes of a gate: the records that measuring and judging share.

Owns their fields. Refuses to measure and to judge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dermaloop.evaluation.rows import Label, Rows


@dataclass(frozen=True, slots=True)
class Gate:
    """What became of one gate; the registry keeps these fields.

    Attributes:
        name: One of `plan.GATES`.
        passed: None where it cannot be judged.
        measured: What was measured; None where nothing could be.
        limit: What it was held against.
        interval: 95 %, where there is one.
        n: Pictures that it rests on.
        sentence: All of it in words.
    """

    name: str
    passed: bool | None
    measured: float | None
    limit: float
    interval: tuple[float, float] | None
    n: int
    sentence: str

    def plain(self) -> dict[str, Any]:
        """As JSON types."""
        return {
            "name": self.name,
            "passed": self.passed,
            "measured": self.measured,
            "limit": self.limit,
            "interval": None if self.interval is None else list(self.interval),
            "n": self.n,
            "sentence": self.sentence,
        }


@dataclass(frozen=True, eq=False)
class Compared:
    """Champion and challenger on the same pictures (N), each at its own operating point.

    Attributes:
        champion: Its predictions with labels.
        challenger: The other's; the same pictures in the same order.
        attributes: The subgroup of each row by attribute, see `evaluation.subgroups.attributes`.
    """

    champion: Rows
    challenger: Rows
    attributes: Mapping[str, Sequence[str]]

    def readable(self) -> Compared:
        """Without pictures that either could not read."""
        keep = np.isfinite(self.champion.malignant_probability) & np.isfinite(self.challenger.malignant_probability)
        return self.select(np.asarray(keep))

    def known(self, malignant: bool | None = None) -> Compared:  # noqa: FBT001 - a third state of one question
        """Those known to be malignant or benign; or only the malignant, or the benign ones."""
        keep = self.champion.known(Label.MALIGNANT)
        return self.select(keep if malignant is None else keep & (self.champion.y_malignant == malignant))

    def select(self, keep: NDArray[np.bool_]) -> Compared:
        """The rows where `keep`, bool (N,), is true."""
        chosen = {name: [v for v, k in zip(values, keep, strict=True) if k] for name, values in self.attributes.items()}
        return Compared(self.champion.select(keep), self.challenger.select(keep), chosen)

    @property
    def groups(self) -> int:
        """Patients or lesions."""
        return len(np.unique(self.champion.groups))


@dataclass(frozen=True, eq=False)
class Flips:
    """How often each of n drawn pictures' decisions flip when the picture is perturbed.

    Attributes:
        champion: float64 (n,), share of the perturbations that flip its decision.
        challenger: float64 (n,), the other's, under the same perturbations.
        groups: int64 (n,), patient or lesion.
        weights: float64 (n,), how many pictures of the frozen set each stands for: those near a threshold are drawn
            more often than others.
    """

    champion: NDArray[np.float64]
    challenger: NDArray[np.float64]
    groups: NDArray[np.int64]
    weights: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Earlier:
    """The champions before the present one, on the same frozen set.

    Attributes:
        champions: By each bundle's identity: its probability of malignancy, float64 (N,), NaN where it read nothing.
        missing: Identities of those that are neither at hand nor were answered for on this frozen set before.
    """

    champions: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Measures:
    """Everything that the gates judge.

    Attributes:
        frozen: On the frozen set.
        new: On the new cases that nothing was trained on; None where there are none.
        uses: How often the frozen set was used, this time included.
        flips: What perturbations flip; None where nothing was perturbed.
        latency_s: Times for one picture, taken in turn, (k,) champion and challenger.
        size_bytes: Of the two bundles.
        earlier: The champions before, on the frozen set.
    """

    frozen: Compared
    new: Compared | None
    uses: int
    flips: Flips | None
    latency_s: tuple[NDArray[np.float64], NDArray[np.float64]]
    size_bytes: tuple[int, int]
    earlier: Earlier = field(default_factory=Earlier)
