"""The clinic's records as the server sends them.

Owns those shapes; fields have the names and meanings of the records (`cases.tables`). Refuses to know how they are
kept. While the practice hides the model's answer from who asks, the fields that hold it are null or empty, and
`answer_hidden` says so.
"""

from __future__ import annotations

from datetime import date, datetime

from pydantic import Field

from dermaloop.wire.assessment import ResultModel
from dermaloop.wire.base import (
    ID,
    Answer,
    CaseState,
    Confirmation,
    Consent,
    Diagnosis,
    Malignancy,
    Management,
    PictureType,
    Sex,
    SignOffKind,
    Timing,
    View,
)


class Patient(Answer):
    """A patient by the clinic's own pseudonym."""

    id: ID
    pseudonym: str
    birth_year: int | None
    sex: Sex
    skin_type: int | None = Field(description="Fitzpatrick, 1 to 6.")
    training_consent: Consent = Field(default="not given", description="Whether the pictures may train a model.")
    note: str
    made_at: datetime


class Lesion(Answer):
    """A lesion and its place on the body."""

    id: ID
    patient_id: ID
    number: int = Field(description="Within the patient, from 1.")
    label: str
    site: str
    view: View | None
    x: float | None = Field(description="From the body map's left edge, in [0, 1].")
    y: float | None = Field(description="From its top, in [0, 1].")
    note: str
    made_at: datetime


class Visit(Answer):
    """A patient's visit on one day."""

    id: ID
    patient_id: ID
    visited_on: date
    note: str
    made_at: datetime


class Case(Answer):
    """One lesion at one visit."""

    id: ID
    patient_id: ID
    lesion_id: ID
    visit_id: ID
    state: CaseState
    suspicion: float | None = Field(
        description="Highest malignant probability among the latest answers; null where there is none or it is hidden."
    )
    declined: bool | None = Field(description="Whether the model declined on a picture; null where that is hidden.")
    management: Management | None = Field(description="Of the latest impression.")
    confirmed: bool
    made_at: datetime
    signed_at: datetime | None


class Image(Answer):
    """A picture of a lesion at a visit; its bytes are at `/api/v1/images/{id}/file`."""

    id: ID
    patient_id: ID
    lesion_id: ID
    visit_id: ID
    case_id: ID
    image_type: PictureType
    sha256: str | None = Field(description="Of the bytes as stored.")
    size_bytes: int
    format: str = Field(description="JPEG, PNG or WEBP.")
    width_px: int
    height_px: int
    pixel_size_mm: float | None
    made_at: datetime


class StoredPrediction(Answer):
    """What a model said of a stored picture."""

    id: ID
    case_id: ID
    image_id: ID
    made_at: datetime
    bundle_sha256: str
    has_heatmap: bool = Field(description="Whether there is one at `/api/v1/predictions/{id}/heatmap`.")
    result: ResultModel


class Impression(Answer):
    """What a clinician thought and decided."""

    id: ID
    case_id: ID
    made_at: datetime
    actor_name: str
    diagnosis: Diagnosis | None
    text: str
    management: Management
    timing: Timing = Field(description="Whether it was taken down before or after its author saw an answer.")
    seen_prediction_id: str | None


class ConfirmedDiagnosis(Answer):
    """What the lesion was, and how that is known; or that an entry was taken back."""

    id: ID
    lesion_id: ID
    case_id: ID
    made_at: datetime
    actor_name: str
    diagnosis: Diagnosis | None
    term: str
    malignancy: Malignancy | None
    counts_as_malignant: bool | None
    confirmation: Confirmation
    confirmed_on: date
    confirmed_by: str
    note: str
    document: str
    corrects_id: str | None
    retracted: bool


class SignOff(Answer):
    """That a case was signed off or opened again."""

    id: ID
    case_id: ID
    made_at: datetime
    actor_name: str
    kind: SignOffKind
    reason: str
    impression_id: str | None
