"""What the server says of pictures, of the model and of itself, and how it says what went wrong.

Owns those shapes; names and meanings follow `core.prediction`. Refuses to know how an answer is made.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from pydantic import Field

from dermaloop.core.bundle_spec import Gate, OperatingPoint
from dermaloop.wire.base import Answer

DISCLAIMER = "Decision support for research use. Not a medical device."


class HeatmapFormat(StrEnum):
    """How the heatmap is sent."""

    NONE = "none"
    ARRAY = "array"
    PNG = "png"


class ReasonModel(Answer):
    """Why a picture was declined or could not be read."""

    code: str = Field(description="Stable name.", examples=["blurred"])
    text: str = Field(
        description="The same in plain words, with what to do about it.",
        examples=["The picture is blurred. Hold still, focus on the lesion and take it again."],
    )
    value: float | None = Field(description="The measured number, where there is one.", examples=[0.71])
    limit: float | None = Field(description="The limit that it broke, where there is one.", examples=[0.62])


class SimilarModel(Answer):
    """A training image near the picture in feature space."""

    image_id: str = Field(description="Public identifier in its source.", examples=["ISIC_0024310"])
    source: str = Field(examples=["ham10000"])
    diagnosis: str = Field(description="Short code.", examples=["MEL"])
    confirmation: str = Field(description="How the diagnosis was confirmed.", examples=["histopathology"])
    similarity: float = Field(description="Cosine, from -1 to 1; higher is more alike.", examples=[0.93])


class HeatmapModel(Answer):
    """Evidence for malignancy over the square that the model saw."""

    format: Literal["array", "png"]
    values: list[list[float]] | None = Field(default=None, description="Rows from top to bottom, each value in [0, 1].")
    png: str | None = Field(default=None, description="A transparent PNG to lay over `frame`, in base64.")


class ResultModel(Answer):
    """What the model said of one picture."""

    image: str = Field(description="The file name that was sent.", examples=["lesion.jpg"])
    sha256: str = Field(description="Of the file as received; empty where it was not kept.", examples=["9f86d081884c…"])
    bundle: str = Field(description="Identity of the model.", examples=["reference@0123456789ab"])
    status: Literal["assessed", "abstained", "unreadable"]
    reasons: list[ReasonModel] = Field(description="Why it was declined or not readable; empty when assessed.")
    malignant_probability: float | None = Field(
        description="Calibrated, in [0, 1]; null when unreadable.", examples=[0.62]
    )
    decision: Literal["refer", "no_referral"] | None = Field(description="Null unless assessed.")
    operating_point: str = Field(examples=["sensitivity-95"])
    threshold: float | None = Field(description="Of the operating point, on malignant_probability.", examples=[0.18])
    top_diagnosis: str | None = Field(description="Short code of the suggested diagnosis.", examples=["MEL"])
    probabilities: dict[str, float] = Field(
        description="Calibrated probability by diagnosis; sums to 1. Also given for declined pictures, for evaluation.",
        examples=[
            {"MEL": 0.55, "NV": 0.3, "BCC": 0.05, "AKIEC": 0.02, "BKL": 0.06, "DF": 0.01, "VASC": 0.01, "SCC": 0}
        ],
    )
    quality: dict[str, float] = Field(description="Measured picture quality by name.", examples=[{"blur": 0.31}])
    ood_distance: float | None = Field(
        description="Distance to the training pictures; higher is farther.", examples=[0.8]
    )
    similar: list[SimilarModel]
    frame: tuple[float, float, float, float] | None = Field(
        description="The square that the model saw: left, top, right, bottom in fractions of the picture.",
        examples=[(0.125, 0.0, 0.875, 1.0)],
    )
    heatmap: HeatmapModel | None = None


class ClassifyAnswer(Answer):
    """One result per file, in the order sent."""

    disclaimer: str = Field(default=DISCLAIMER)
    results: list[ResultModel]


class DiagnosisModel(Answer):
    """One class of the model."""

    code: str = Field(examples=["MEL"])
    name: str = Field(examples=["Melanoma"])
    malignancy: str = Field(description="benign, indeterminate or malignant.", examples=["malignant"])
    counts_as_malignant: bool


class ModelAnswer(Answer):
    """The model being served."""

    disclaimer: str = Field(default=DISCLAIMER)
    identity: str = Field(examples=["reference@0123456789ab"])
    name: str
    version: str
    sha256: str
    created: str
    network: str
    size_px: int = Field(description="Side of the square that the network sees.")
    licence: str
    diagnoses: list[DiagnosisModel]
    operating_points: list[OperatingPoint]
    operating_point: str = Field(description="Name of the one that decides.")
    gate: Gate
    sources: dict[str, int] = Field(description="Training images by source.")


class AuditEntryModel(Answer):
    """One entry of the audit log."""

    sequence: int = Field(description="From 1, without gaps.", examples=[1024])
    at: datetime = Field(examples=["2026-03-04T09:30:00.000000Z"])
    actor_kind: str = Field(description="account, token or system.", examples=["account"])
    actor_id: str = Field(examples=["2f1c5d0e-7a53-4f0b-9d57-0b8f6d0f3a11"])
    actor_name: str = Field(description="As it was called at the time.", examples=["Dr. Ada Example"])
    address: str | None = Field(description="Where the request came from.", examples=["127.0.0.1"])
    action: str = Field(examples=["account.signed_in"])
    subject_kind: str = Field(examples=["account"])
    subject_id: str = Field(examples=["2f1c5d0e-7a53-4f0b-9d57-0b8f6d0f3a11"])
    detail: dict[str, Any] = Field(examples=[{"how": "password"}])
    previous: str = Field(description="Hash of the entry before.")
    hash: str = Field(description="Keyed hash of this entry, the one before included.")


class AuditAnswer(Answer):
    """One page of the audit log, newest first."""

    entries: list[AuditEntryModel]
    next: int | None = Field(description="Send it as `before` for the next page; null at the end.")


class Problem(Answer):
    """An error, as RFC 9457 says, with what it concerns and the way out."""

    type: str = Field(examples=["urn:dermaloop:problem:file_too_large"])
    title: str = Field(examples=["The picture file is too large"])
    status: int = Field(examples=[413])
    detail: str = Field(examples=["'scan.tif' is larger than 32 MB."])
    code: str = Field(description="Stable name.", examples=["file_too_large"])
    field: str = Field(description="The form field, parameter or header concerned.", examples=["pictures[0]"])
    way_out: str = Field(
        description="What to do.", examples=["Export it as JPEG, or photograph at a lower resolution."]
    )


class Health(Answer):
    """Whether the server runs (healthz) or can assess pictures (readyz)."""

    status: Literal["ok", "ready"]
