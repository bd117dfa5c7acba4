"""The records that leave this layer: plain, frozen, free of the database.

Owns their fields and the one way from a row to a record. Refuses to know how rows are found. Fields have the columns'
names and meanings (`cases.tables`); identifying fields of a deleted patient are empty.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, TypeVar

from dermaloop.cases import codec
from dermaloop.cases.tables import PredictionRow
from dermaloop.cases.words import (
    AWAITS_CONFIRMATION,
    CaseState,
    Consent,
    Management,
    PictureType,
    Sex,
    SignOffKind,
    Timing,
    View,
)
from dermaloop.core.manifest import Confirmation
from dermaloop.core.prediction import Prediction
from dermaloop.core.taxonomy import ENTRIES, Diagnosis, Malignancy

Record = TypeVar("Record")


@dataclass(frozen=True, slots=True)
class Patient:
    """A patient by the clinic's own pseudonym; None once deleted."""

    id: str
    pseudonym: str | None
    birth_year: int | None
    sex: Sex
    skin_type: int | None
    training_consent: Consent
    note: str
    made_at: datetime
    deleted_at: datetime | None


@dataclass(frozen=True, slots=True)
class Lesion:
    """A lesion and its place on the body: `x` from the map's left, `y` from its top, both in [0, 1]."""

    id: str
    patient_id: str
    number: int
    label: str
    site: str
    view: View | None
    x: float | None
    y: float | None
    note: str
    made_at: datetime


@dataclass(frozen=True, slots=True)
class Visit:
    """A patient's visit on one day."""

    id: str
    patient_id: str
    visited_on: date
    note: str
    made_at: datetime


@dataclass(frozen=True, slots=True)
class Case:
    """One lesion at one visit. `suspicion` in [0, 1], -1 where no picture was assessed."""

    id: str
    patient_id: str
    lesion_id: str
    visit_id: str
    made_at: datetime
    suspicion: float
    declined: bool
    management: Management | None
    signed_at: datetime | None
    confirmed: bool
    deleted_at: datetime | None

    @property
    def state(self) -> CaseState:
        """Where the case stands."""
        if self.signed_at is None:
            return CaseState.OPEN
        waits = self.management in AWAITS_CONFIRMATION and not self.confirmed
        return CaseState.AWAITING if waits else CaseState.DONE


def without_answer(case: Case) -> Case:
    """The case as one sees it from whom the model's answer is hidden."""
    return dataclasses.replace(case, suspicion=-1.0, declined=False)


@dataclass(frozen=True, slots=True)
class Image:
    """A picture; its bytes are in the image store under `sha256`. Sides in pixels as seen upright."""

    id: str
    patient_id: str
    lesion_id: str
    visit_id: str
    case_id: str
    image_type: PictureType
    sha256: str | None
    received_sha256: str | None
    size_bytes: int
    format: str
    width_px: int
    height_px: int
    pixel_size_mm: float | None
    made_at: datetime
    deleted_at: datetime | None


@dataclass(frozen=True, slots=True)
class StoredPrediction:
    """What a bundle said of a picture, whole."""

    id: str
    case_id: str
    image_id: str
    made_at: datetime
    bundle_sha256: str
    prediction: Prediction


@dataclass(frozen=True, slots=True)
class Impression:
    """What a clinician thought and decided, before or after seeing `seen_prediction_id`."""

    id: str
    patient_id: str
    case_id: str
    made_at: datetime
    actor_kind: str
    actor_id: str
    actor_name: str
    diagnosis: Diagnosis | None
    text: str
    management: Management
    timing: Timing
    seen_prediction_id: str | None


@dataclass(frozen=True, slots=True)
class ConfirmationEntry:
    """What the lesion was, and how that is known; or that a former entry is taken back (`retracted`)."""

    id: str
    patient_id: str
    lesion_id: str
    case_id: str
    made_at: datetime
    actor_kind: str
    actor_id: str
    actor_name: str
    diagnosis: Diagnosis | None
    term: str
    malignancy: Malignancy | None
    confirmation: Confirmation
    confirmed_on: date
    confirmed_by: str
    note: str
    document: str
    corrects_id: str | None
    retracted: bool

    @property
    def counts_as_malignant(self) -> bool | None:
        """How the two-way comparisons of the field count it; None for indeterminate terms outside the taxonomy."""
        if self.diagnosis is not None:
            return ENTRIES[self.diagnosis].counts_as_malignant
        return {Malignancy.MALIGNANT: True, Malignancy.BENIGN: False}.get(self.malignancy or Malignancy.INDETERMINATE)


@dataclass(frozen=True, slots=True)
class SignOff:
    """That a case was signed off or opened again."""

    id: str
    patient_id: str
    case_id: str
    made_at: datetime
    actor_kind: str
    actor_id: str
    actor_name: str
    kind: SignOffKind
    reason: str
    impression_id: str | None


def record(kind: type[Record], row: Any) -> Record:
    """A row as its record."""
    return kind(**{field.name: getattr(row, field.name) for field in dataclasses.fields(kind)})  # type: ignore[arg-type]


def records(kind: type[Record], rows: Iterable[Any]) -> tuple[Record, ...]:
    """Rows as their records, in their order."""
    return tuple(record(kind, row) for row in rows)


def stored_prediction(row: PredictionRow) -> StoredPrediction:
    """A prediction's row as its record, with the prediction as it was made."""
    prediction = codec.from_json(row.record, row.heatmap)
    return StoredPrediction(row.id, row.case_id, row.image_id, row.made_at, row.bundle_sha256, prediction)
