"""The tables of the clinic's records.

Owns columns and keys; the migrations make exactly these. Refuses to know what may be done with a row: that is in the
modules of functions. `predictions`, `impressions`, `confirmations` and `signoffs` are append-only, held so by triggers
(`cases.triggers`), which let only a deleted patient's rows be emptied. Every row that belongs to a patient carries
`patient_id`, so that export and deletion need no chain of joins.

The trade-off: a case carries what the worklist sorts and filters by (`suspicion`, `declined`, `management`,
`signed_at`, `confirmed`), kept current by the functions that append entries, so that a page of the worklist is one
indexed query.
"""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from dermaloop.cases.database import Base
from dermaloop.cases.words import Consent, Management, PictureType, Sex, SignOffKind, Timing, View
from dermaloop.core.manifest import Confirmation
from dermaloop.core.prediction import Decision, Status
from dermaloop.core.taxonomy import Diagnosis, Malignancy

ID = sa.String(36)
SHA256 = sa.String(64)


def words(kind: type[StrEnum]) -> sa.Enum:
    """A column of one of a list's words, stored as its text; the list may grow without a migration."""
    return sa.Enum(
        kind,
        native_enum=False,
        create_constraint=False,
        length=40,
        values_callable=lambda of: [one.value for one in of],
    )


def _owner(column: str) -> Mapped[str]:
    return mapped_column(ID, sa.ForeignKey(column), index=True)


class PatientRow(Base):
    """A patient, known by the clinic's own pseudonym. Emptied on deletion, but for the ids and times."""

    __tablename__ = "patients"
    __table_args__ = (
        sa.CheckConstraint("birth_year BETWEEN 1850 AND 2200", name="birth_year"),
        sa.CheckConstraint("skin_type BETWEEN 1 AND 6", name="skin_type"),
    )

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    pseudonym: Mapped[str | None] = mapped_column(sa.String(100))
    pseudonym_key: Mapped[str | None] = mapped_column(sa.String(300), unique=True)
    """The pseudonym as it is compared and searched: without case, in one Unicode form."""
    birth_year: Mapped[int | None]
    sex: Mapped[Sex] = mapped_column(words(Sex))
    skin_type: Mapped[int | None]
    training_consent: Mapped[Consent] = mapped_column(words(Consent), server_default=Consent.NOT_GIVEN)
    """Whether the pictures may train a model."""
    note: Mapped[str] = mapped_column(sa.Text)
    made_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]


class LesionRow(Base):
    """A lesion of a patient, with its place on the body."""

    __tablename__ = "lesions"
    __table_args__ = (
        sa.UniqueConstraint("patient_id", "number"),
        sa.CheckConstraint("x BETWEEN 0 AND 1 AND y BETWEEN 0 AND 1", name="point"),
    )

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    patient_id: Mapped[str] = _owner("patients.id")
    number: Mapped[int]
    """1, 2, … within the patient."""
    label: Mapped[str] = mapped_column(sa.String(100))
    site: Mapped[str] = mapped_column(sa.String(40))
    view: Mapped[View | None] = mapped_column(words(View))
    x: Mapped[float | None]
    y: Mapped[float | None]
    note: Mapped[str] = mapped_column(sa.Text)
    made_at: Mapped[datetime]


class VisitRow(Base):
    """A patient's visit on one day."""

    __tablename__ = "visits"

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    patient_id: Mapped[str] = _owner("patients.id")
    visited_on: Mapped[date]
    note: Mapped[str] = mapped_column(sa.Text)
    made_at: Mapped[datetime]


class CaseRow(Base):
    """One lesion at one visit: what is assessed, signed off and later confirmed."""

    __tablename__ = "cases"
    __table_args__ = (
        sa.UniqueConstraint("visit_id", "lesion_id"),
        sa.Index("ix_cases_newest", "made_at", "id"),
        sa.Index("ix_cases_suspicion", "suspicion", "id"),
        sa.CheckConstraint("suspicion BETWEEN -1 AND 1", name="suspicion"),
    )

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    patient_id: Mapped[str] = _owner("patients.id")
    lesion_id: Mapped[str] = _owner("lesions.id")
    visit_id: Mapped[str] = _owner("visits.id")
    made_at: Mapped[datetime]
    suspicion: Mapped[float]
    """Highest malignant probability among the latest predictions of its pictures; -1 where there is none."""
    declined: Mapped[bool]
    """Whether the latest prediction of any of its pictures declined to answer."""
    management: Mapped[Management | None] = mapped_column(words(Management))
    """Of the latest impression."""
    signed_at: Mapped[datetime | None]
    confirmed: Mapped[bool]
    """Whether a standing confirmation of the lesion was made for this case or for a later visit's."""
    deleted_at: Mapped[datetime | None]


class ImageRow(Base):
    """A picture of a lesion at a visit; its bytes lie in the image store under `sha256`."""

    __tablename__ = "images"
    __table_args__ = (sa.CheckConstraint("pixel_size_mm > 0", name="pixel_size"),)

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    patient_id: Mapped[str] = _owner("patients.id")
    lesion_id: Mapped[str] = _owner("lesions.id")
    visit_id: Mapped[str] = _owner("visits.id")
    case_id: Mapped[str] = _owner("cases.id")
    image_type: Mapped[PictureType] = mapped_column(words(PictureType))
    sha256: Mapped[str | None] = mapped_column(SHA256, index=True)
    """Of what is stored. Kept after a deletion until the file is gone too, then empty."""
    received_sha256: Mapped[str | None] = mapped_column(SHA256)
    """Of the bytes as received, before metadata was taken off: what `Prediction.sha256` names."""
    size_bytes: Mapped[int]
    format: Mapped[str] = mapped_column(sa.String(10))
    width_px: Mapped[int]
    height_px: Mapped[int]
    pixel_size_mm: Mapped[float | None]
    made_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]


class PredictionRow(Base):
    """What a bundle said of a picture. Append-only."""

    __tablename__ = "predictions"

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    patient_id: Mapped[str] = _owner("patients.id")
    case_id: Mapped[str] = _owner("cases.id")
    image_id: Mapped[str] = _owner("images.id")
    made_at: Mapped[datetime]
    bundle: Mapped[str] = mapped_column(sa.String(200), index=True)
    bundle_sha256: Mapped[str] = mapped_column(SHA256)
    status: Mapped[Status] = mapped_column(words(Status))
    malignant_probability: Mapped[float | None]
    decision: Mapped[Decision] = mapped_column(words(Decision))
    operating_point: Mapped[str] = mapped_column(sa.String(100))
    threshold: Mapped[float | None]
    top_diagnosis: Mapped[Diagnosis | None] = mapped_column(words(Diagnosis))
    ood_distance: Mapped[float | None]
    record: Mapped[str] = mapped_column(sa.Text)
    """Every field of the prediction as JSON, but the heatmap."""
    heatmap: Mapped[bytes | None] = mapped_column(sa.LargeBinary)
    """See `cases.codec`."""


class PredictionViewRow(Base):
    """That somebody was shown a prediction, and when for the first time: tells before from after."""

    __tablename__ = "prediction_views"

    prediction_id: Mapped[str] = mapped_column(ID, sa.ForeignKey("predictions.id"), primary_key=True)
    actor_kind: Mapped[str] = mapped_column(sa.String(16), primary_key=True)
    actor_id: Mapped[str] = mapped_column(sa.String(200), primary_key=True)
    case_id: Mapped[str] = _owner("cases.id")
    seen_at: Mapped[datetime]


class ImpressionRow(Base):
    """What a clinician thought and decided. Append-only."""

    __tablename__ = "impressions"

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    patient_id: Mapped[str] = _owner("patients.id")
    case_id: Mapped[str] = _owner("cases.id")
    made_at: Mapped[datetime]
    actor_kind: Mapped[str] = mapped_column(sa.String(16))
    actor_id: Mapped[str] = mapped_column(sa.String(200))
    actor_name: Mapped[str] = mapped_column(sa.String(500))
    diagnosis: Mapped[Diagnosis | None] = mapped_column(words(Diagnosis))
    text: Mapped[str] = mapped_column(sa.Text)
    management: Mapped[Management] = mapped_column(words(Management))
    timing: Mapped[Timing] = mapped_column(words(Timing))
    seen_prediction_id: Mapped[str | None] = mapped_column(ID, sa.ForeignKey("predictions.id"))


class ConfirmationRow(Base):
    """What the lesion was, and how that is known. Append-only; a correction points to what it corrects."""

    __tablename__ = "confirmations"

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    patient_id: Mapped[str] = _owner("patients.id")
    lesion_id: Mapped[str] = _owner("lesions.id")
    case_id: Mapped[str] = _owner("cases.id")
    made_at: Mapped[datetime]
    actor_kind: Mapped[str] = mapped_column(sa.String(16))
    actor_id: Mapped[str] = mapped_column(sa.String(200))
    actor_name: Mapped[str] = mapped_column(sa.String(500))
    diagnosis: Mapped[Diagnosis | None] = mapped_column(words(Diagnosis))
    term: Mapped[str] = mapped_column(sa.String(200))
    """The source's own word; needed where the taxonomy has no place for it."""
    malignancy: Mapped[Malignancy | None] = mapped_column(words(Malignancy))
    confirmation: Mapped[Confirmation] = mapped_column(words(Confirmation))
    confirmed_on: Mapped[date]
    confirmed_by: Mapped[str] = mapped_column(sa.String(200))
    """Who confirmed it, e.g. a laboratory; the actor is who wrote it down."""
    note: Mapped[str] = mapped_column(sa.Text)
    document: Mapped[str] = mapped_column(sa.String(200))
    """Reference of the source document, e.g. a report's number."""
    corrects_id: Mapped[str | None] = mapped_column(ID, sa.ForeignKey("confirmations.id"), unique=True)
    retracted: Mapped[bool]
    """True for a correction that only takes the former entry back."""


class SignOffRow(Base):
    """That a case was signed off or opened again. Append-only."""

    __tablename__ = "signoffs"

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    patient_id: Mapped[str] = _owner("patients.id")
    case_id: Mapped[str] = _owner("cases.id")
    made_at: Mapped[datetime]
    actor_kind: Mapped[str] = mapped_column(sa.String(16))
    actor_id: Mapped[str] = mapped_column(sa.String(200))
    actor_name: Mapped[str] = mapped_column(sa.String(500))
    kind: Mapped[SignOffKind] = mapped_column(words(SignOffKind))
    reason: Mapped[str] = mapped_column(sa.Text)
    impression_id: Mapped[str | None] = mapped_column(ID, sa.ForeignKey("impressions.id"))
    """The impression that was signed; empty when opened again."""


class PracticeSettingRow(Base):
    """A setting of the practice, by name."""

    __tablename__ = "practice_settings"

    name: Mapped[str] = mapped_column(sa.String(100), primary_key=True)
    value: Mapped[str] = mapped_column(sa.Text)
    """JSON."""
    changed_at: Mapped[datetime]


PATIENT_TABLES: tuple[type[Base], ...] = (
    LesionRow, VisitRow, CaseRow, ImageRow, PredictionRow, ImpressionRow, ConfirmationRow, SignOffRow,
)  # fmt: skip
"""Every table whose rows belong to a patient by `patient_id`, owners first."""
