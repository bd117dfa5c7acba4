"""The shapes of the API's answers, described for OpenAPI.

Owns names and meanings over the wire; they follow `core.prediction`. Refuses to know how an answer is made.
"""

from __future__ import annotations

import base64
from dataclasses import asdict
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field

from dermaloop.cases.audit_list import Entry
from dermaloop.core.bundle import Bundle, Gate, OperatingPoint
from dermaloop.core.prediction import Prediction
from dermaloop.core.taxonomy import ENTRIES
from dermaloop.web.render import heatmap_png
from dermaloop.web.wording import DISCLAIMER


class HeatmapFormat(StrEnum):
    """How the heatmap is sent."""

    NONE = "none"
    ARRAY = "array"
    PNG = "png"


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ReasonModel(_Answer):
    """Why a picture was declined or could not be read."""

    code: str = Field(description="Stable name.", examples=["blurred"])
    text: str = Field(
        description="The same in plain words, with what to do about it.",
        examples=["The picture is blurred. Hold still, focus on the lesion and take it again."],
    )
    value: float | None = Field(description="The measured number, where there is one.", examples=[0.71])
    limit: float | None = Field(description="The limit that it broke, where there is one.", examples=[0.62])


class SimilarModel(_Answer):
    """A training image near the picture in feature space."""

    image_id: str = Field(description="Public identifier in its source.", examples=["ISIC_0024310"])
    source: str = Field(examples=["ham10000"])
    diagnosis: str = Field(description="Short code.", examples=["MEL"])
    confirmation: str = Field(description="How the diagnosis was confirmed.", examples=["histopathology"])
    similarity: float = Field(description="Cosine, from -1 to 1; higher is more alike.", examples=[0.93])


class HeatmapModel(_Answer):
    """Evidence for malignancy over the square that the model saw."""

    format: Literal["array", "png"]
    values: list[list[float]] | None = Field(default=None, description="Rows from top to bottom, each value in [0, 1].")
    png: str | None = Field(default=None, description="A transparent PNG to lay over `frame`, in base64.")


class ResultModel(_Answer):
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


class ClassifyAnswer(_Answer):
    """One result per file, in the order sent."""

    disclaimer: str = Field(default=DISCLAIMER)
    results: list[ResultModel]


class DiagnosisModel(_Answer):
    """One class of the model."""

    code: str = Field(examples=["MEL"])
    name: str = Field(examples=["Melanoma"])
    malignancy: str = Field(description="benign, indeterminate or malignant.", examples=["malignant"])
    counts_as_malignant: bool


class ModelAnswer(_Answer):
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


class AuditEntryModel(_Answer):
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


class AuditAnswer(_Answer):
    """One page of the audit log, newest first."""

    entries: list[AuditEntryModel]
    next: int | None = Field(description="Send it as `before` for the next page; null at the end.")


class Problem(_Answer):
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


class Health(_Answer):
    """Whether the server runs (healthz) or can assess pictures (readyz)."""

    status: Literal["ok", "ready"]


def audit_entry(entry: Entry) -> AuditEntryModel:
    """The entry as the API sends it."""
    return AuditEntryModel.model_validate(asdict(entry))


def result(prediction: Prediction, heatmap: HeatmapFormat) -> ResultModel:
    """The prediction as the API sends it."""
    return ResultModel(
        image=prediction.image,
        sha256=prediction.sha256,
        bundle=prediction.bundle,
        status=prediction.status.value,
        reasons=[
            ReasonModel(code=reason.code, text=reason.text, value=reason.value, limit=reason.limit)
            for reason in prediction.reasons
        ],
        malignant_probability=prediction.malignant_probability,
        decision=cast("Literal['refer', 'no_referral'] | None", prediction.decision.value or None),
        operating_point=prediction.operating_point,
        threshold=prediction.threshold,
        top_diagnosis=None if prediction.top_diagnosis is None else str(prediction.top_diagnosis),
        probabilities={str(diagnosis): share for diagnosis, share in prediction.probabilities.items()},
        quality=dict(prediction.quality),
        ood_distance=prediction.ood_distance,
        similar=[
            SimilarModel(
                image_id=case.image_id,
                source=case.source,
                diagnosis=str(case.diagnosis),
                confirmation=case.confirmation,
                similarity=case.similarity,
            )
            for case in prediction.similar
        ],
        frame=prediction.frame,
        heatmap=_heatmap(prediction, heatmap),
    )


def _heatmap(prediction: Prediction, kind: HeatmapFormat) -> HeatmapModel | None:
    if prediction.heatmap is None or kind is HeatmapFormat.NONE:
        return None
    if kind is HeatmapFormat.PNG:
        return HeatmapModel(format="png", png=base64.b64encode(heatmap_png(prediction.heatmap)).decode("ascii"))
    values: Any = prediction.heatmap.round(4).tolist()
    return HeatmapModel(format="array", values=values)


def model(bundle: Bundle, operating_point: str) -> ModelAnswer:
    """The model as the API describes it."""
    spec = bundle.spec
    return ModelAnswer(
        identity=bundle.identity,
        name=spec.name,
        version=spec.version,
        sha256=bundle.sha256,
        created=spec.created,
        network=spec.network,
        size_px=spec.size_px,
        licence=spec.licence,
        diagnoses=[
            DiagnosisModel(
                code=str(diagnosis),
                name=ENTRIES[diagnosis].name,
                malignancy=str(ENTRIES[diagnosis].malignancy),
                counts_as_malignant=ENTRIES[diagnosis].counts_as_malignant,
            )
            for diagnosis in spec.classes
        ],
        operating_points=list(spec.operating_points),
        operating_point=operating_point,
        gate=spec.gate,
        sources=dict(spec.sources),
    )
