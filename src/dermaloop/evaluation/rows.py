"""The rows that are measured: predictions beside the labels, as plain arrays.

Owns which row may enter which metric: a label that only says 'melanoma or not' counts for melanoma against the rest and
never for balanced accuracy. Refuses to know where predictions come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dermaloop.core.calibrated import malignant_probability as sum_of_malignant
from dermaloop.core.taxonomy import Diagnosis, malignant

UNKNOWN = -1


class Label(StrEnum):
    """What a metric needs of a label."""

    DIAGNOSIS = "diagnosis"
    MALIGNANT = "malignant"
    MELANOMA = "melanoma"


@dataclass(frozen=True, eq=False)
class Rows:
    """Predictions and labels of N pictures that were read; K classes.

    Attributes:
        classes: The K diagnoses, in column order.
        probability: float64 (N, K), calibrated, rows sum to 1.
        malignant_probability: float64 (N,).
        suggested: int64 (N,), column of the suggested diagnosis.
        diagnosis: int64 (N,), column of the confirmed diagnosis; -1 where the label is coarser.
        malignant: int64 (N,), 1, 0, or -1 where the label does not say.
        melanoma: int64 (N,), 1, 0, or -1 where the label does not say.
        assessed: bool (N,), whether the model decided, rather than declined.
        groups: int64 (N,), patient or lesion.
        threshold: Of the operating point in question; NaN where none is.
    """

    classes: tuple[Diagnosis, ...]
    probability: NDArray[np.float64]
    malignant_probability: NDArray[np.float64]
    suggested: NDArray[np.int64]
    diagnosis: NDArray[np.int64]
    malignant: NDArray[np.int64]
    melanoma: NDArray[np.int64]
    assessed: NDArray[np.bool_]
    groups: NDArray[np.int64]
    threshold: float = float("nan")

    def __len__(self) -> int:
        return len(self.malignant_probability)

    @property
    def y_malignant(self) -> NDArray[np.bool_]:
        """Returns bool (N,); only meaningful where `malignant` is known."""
        return np.asarray(self.malignant == 1)

    @property
    def y_melanoma(self) -> NDArray[np.bool_]:
        """Returns bool (N,); only meaningful where `melanoma` is known."""
        return np.asarray(self.melanoma == 1)

    @property
    def melanoma_probability(self) -> NDArray[np.float64]:
        """Returns float64 (N,)."""
        return self.probability[:, self.classes.index(Diagnosis.MEL)]

    @property
    def refer(self) -> NDArray[np.bool_]:
        """Returns bool (N,), at or above the threshold."""
        return np.asarray(self.malignant_probability >= self.threshold)

    def known(self, label: Label) -> NDArray[np.bool_]:
        """Returns bool (N,), whether each row's label says what the metric needs."""
        values = {Label.DIAGNOSIS: self.diagnosis, Label.MALIGNANT: self.malignant, Label.MELANOMA: self.melanoma}
        return np.asarray(values[label] != UNKNOWN)

    def select(self, keep: NDArray[np.bool_]) -> Rows:
        """The rows where `keep`, bool (N,), is true."""
        chosen = {
            field.name: getattr(self, field.name)[keep]
            for field in fields(self)
            if isinstance(getattr(self, field.name), np.ndarray)
        }
        return replace(self, **chosen)

    def at(self, threshold: float) -> Rows:
        """The same rows with another operating point in question."""
        return replace(self, threshold=threshold)

    def with_malignant_probability(self, value: NDArray[np.float64], assessed: NDArray[np.bool_]) -> Rows:
        """The same rows with another probability of malignancy, float64 (N,), and whether each was decided."""
        return replace(self, malignant_probability=value, assessed=assessed)


def from_labels(
    classes: Sequence[Diagnosis],
    probability: NDArray[np.float64],
    candidates: Sequence[frozenset[Diagnosis]],
    groups: NDArray[np.int64],
    *,
    suggested: NDArray[np.int64] | None = None,
    assessed: NDArray[np.bool_] | None = None,
    threshold: float = float("nan"),
) -> Rows:
    """Rows from probabilities and labels.

    Args:
        classes: The K diagnoses, in column order.
        probability: float64 (N, K), calibrated.
        candidates: N sets of the diagnoses that each label leaves possible.
        groups: int64 (N,), from `bootstrap.group_index`.
        suggested: int64 (N,); None: the likeliest class.
        assessed: bool (N,); None: all.
        threshold: Of the operating point in question.
    """
    column = {diagnosis: index for index, diagnosis in enumerate(classes)}
    cache: dict[frozenset[Diagnosis], tuple[int, int, int]] = {}
    for label in set(candidates):
        fine = column.get(next(iter(label)), UNKNOWN) if len(label) == 1 else UNKNOWN
        melanoma = UNKNOWN if not label or (Diagnosis.MEL in label and len(label) > 1) else int(Diagnosis.MEL in label)
        cache[label] = (fine, _as_number(malignant(label)), melanoma)
    labels = np.array([cache[label] for label in candidates], dtype=np.int64).reshape(-1, 3)
    return Rows(
        classes=tuple(classes),
        probability=probability,
        malignant_probability=sum_of_malignant(probability, classes),
        suggested=probability.argmax(axis=1) if suggested is None else suggested,
        diagnosis=labels[:, 0],
        malignant=labels[:, 1],
        melanoma=labels[:, 2],
        assessed=np.ones(len(probability), dtype=bool) if assessed is None else assessed,
        groups=groups,
        threshold=threshold,
    )


def _as_number(value: Any) -> int:
    return UNKNOWN if value is None else int(value)
