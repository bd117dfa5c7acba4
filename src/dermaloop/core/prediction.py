"""The prediction record: what one bundle said of one image, or why it declined to.

Owns the columns that others read (CSV, JSON, Parquet) and their order. Refuses to know how a prediction is made.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from dermaloop.core.taxonomy import Diagnosis


class Status(StrEnum):
    """Whether the picture was assessed."""

    ASSESSED = "assessed"
    ABSTAINED = "abstained"
    UNREADABLE = "unreadable"


class Decision(StrEnum):
    """What the operating point says of an assessed picture; empty when it was not assessed."""

    REFER = "refer"
    NO_REFERRAL = "no_referral"
    NONE = ""


@dataclass(frozen=True, slots=True)
class Reason:
    """One named reason to abstain or to refuse a file.

    Attributes:
        code: Stable name, e.g. `blurred`, `out_of_distribution`, `ambiguous`, `truncated`.
        text: The same in plain words for a clinician, with what to do about it.
        value: The measured number, where there is one.
        limit: The limit it broke, where there is one.
    """

    code: str
    text: str
    value: float | None = None
    limit: float | None = None


@dataclass(frozen=True, slots=True)
class SimilarCase:
    """A training image near the picture in feature space. `similarity` is the cosine in [-1, 1]."""

    image_id: str
    source: str
    diagnosis: Diagnosis
    confirmation: str
    similarity: float


@dataclass(frozen=True, slots=True)
class Imprint:
    """What is kept of a picture's features to see whether pictures change; no picture can be made from it.

    Attributes:
        embedding: float32 (E,), the direction of the embedding in the first dimensions of the bundle's references.
        texture: float32 (T,), the first standardised directions of the bundle's in-distribution statistics.
        colour: Mean share of red and of blue in the light of the square that the network saw, each in [0, 1].
    """

    embedding: NDArray[np.float32]
    texture: NDArray[np.float32]
    colour: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Prediction:
    """What one bundle said of one image.

    Attributes:
        image: The name the caller gave (path or upload name); never metadata of the file.
        sha256: Of the bytes as received, lower-case hex; empty if they could not be read.
        bundle: Identity of the bundle (`name@12 hex digits`).
        status: assessed, abstained or unreadable.
        reasons: Why it abstained or could not read; empty when assessed.
        malignant_probability: Calibrated, in [0, 1]; None when unreadable.
        decision: refer, no_referral, or empty.
        operating_point: Name of the operating point used.
        threshold: Its threshold on `malignant_probability`.
        top_diagnosis: The suggested diagnosis; None when unreadable.
        probabilities: Calibrated probability by diagnosis, sums to 1; empty when unreadable.
        quality: Measured picture quality by name (`core.quality`).
        ood_distance: Feature-space distance to the training embeddings; higher is farther.
        similar: Nearest training images.
        heatmap: float32 (h, w) in [0, 1], evidence for malignancy over the input square; None when unreadable.
        frame: The square that the network saw, in fractions of the picture: (left, top, right, bottom).
        imprint: For watching drift; None when unreadable, and in a prediction that was read back from where it is kept.
    """

    image: str
    sha256: str
    bundle: str
    status: Status
    reasons: tuple[Reason, ...] = ()
    malignant_probability: float | None = None
    decision: Decision = Decision.NONE
    operating_point: str = ""
    threshold: float | None = None
    top_diagnosis: Diagnosis | None = None
    probabilities: dict[Diagnosis, float] = field(default_factory=dict)
    quality: dict[str, float] = field(default_factory=dict)
    ood_distance: float | None = None
    similar: tuple[SimilarCase, ...] = ()
    heatmap: NDArray[np.float32] | None = field(default=None, compare=False, repr=False)
    frame: tuple[float, float, float, float] | None = None
    imprint: Imprint | None = field(default=None, compare=False, repr=False)

    def row(self) -> dict[str, str | float | None]:
        """The flat row for tables, keys in the order of `COLUMNS`."""
        flat: dict[str, str | float | None] = {
            "image": self.image,
            "sha256": self.sha256,
            "bundle": self.bundle,
            "status": str(self.status),
            "reasons": ";".join(reason.code for reason in self.reasons),
            "malignant_probability": self.malignant_probability,
            "decision": str(self.decision),
            "operating_point": self.operating_point,
            "top_diagnosis": "" if self.top_diagnosis is None else str(self.top_diagnosis),
        }
        for diagnosis in Diagnosis:
            flat[f"p_{diagnosis}"] = self.probabilities.get(diagnosis)
        return flat


COLUMNS: tuple[str, ...] = tuple(Prediction("", "", "", Status.UNREADABLE).row())
"""Columns of a table of predictions, in order."""
