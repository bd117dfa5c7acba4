"""Cases as those read them who learn from them: pictures, what the lesion was, how that is known, and consent.

Owns the one reading of all cases for learning, and which finding answers a case. Refuses to decide what may train:
that is `dermaloop.refine`. No pseudonym, no note and no document leaves here: nothing that a model could need.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dermaloop.cases import audit
from dermaloop.cases.actor import Actor
from dermaloop.cases.flags import Flag, flags_by_confirmation
from dermaloop.cases.opinions import standing
from dermaloop.cases.records import ConfirmationEntry, record
from dermaloop.cases.tables import CaseRow, ConfirmationRow, ImageRow, LesionRow, PatientRow, PredictionRow, VisitRow
from dermaloop.cases.words import Consent, Management, PictureType, Sex
from dermaloop.core.prediction import Decision, Status

Kept = TypeVar("Kept")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a bundle said of a picture, as far as learning needs it.

    Attributes:
        made_at: When.
        bundle: Identity of the bundle.
        status: Assessed, declined or unreadable.
        decision: What it decided.
    """

    made_at: datetime
    bundle: str
    status: Status
    decision: Decision


@dataclass(frozen=True, slots=True)
class FeedbackImage:
    """A picture of a case.

    Attributes:
        id: The picture's id.
        sha256: Of what is stored.
        received_sha256: Of the file as it came, before metadata was taken off.
        image_type: How it was taken.
        width_px: As seen upright.
        height_px: The same.
        answers: What bundles said of it, oldest first.
    """

    id: str
    sha256: str
    received_sha256: str
    image_type: PictureType
    width_px: int
    height_px: int
    answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True)
class FeedbackCase:
    """A case with what is known of its lesion.

    Attributes:
        case_id: The case.
        patient_id: Whose; what groups pictures.
        lesion_id: Of what.
        visited_on: Day of the visit.
        birth_year: The patient's, where known.
        sex: The patient's.
        skin_type: Fitzpatrick, 1 to 6, where known.
        site: Body site.
        consent: Whether the pictures may train.
        management: Of the latest impression.
        images: Its pictures, oldest first.
        findings: The standing confirmations that answer this case: made for this visit or a later one, oldest first.
        flags: Of those confirmations.
    """

    case_id: str
    patient_id: str
    lesion_id: str
    visited_on: date
    birth_year: int | None
    sex: Sex
    skin_type: int | None
    site: str
    consent: Consent
    management: Management | None
    images: tuple[FeedbackImage, ...]
    findings: tuple[ConfirmationEntry, ...]
    flags: tuple[Flag, ...]


def read_feedback(session: Session, actor: Actor, purpose: str) -> tuple[FeedbackCase, ...]:
    """Every case that is not deleted, with pictures and findings, by the time it was made.

    Args:
        session: From `Database.begin`: that all cases were read is logged.
        actor: Who reads.
        purpose: What for, e.g. `feedback export`; kept in the audit log.
    """
    rows = session.execute(
        sa.select(CaseRow, PatientRow, LesionRow.site, VisitRow.visited_on)
        .join(PatientRow, PatientRow.id == CaseRow.patient_id)
        .join(LesionRow, LesionRow.id == CaseRow.lesion_id)
        .join(VisitRow, VisitRow.id == CaseRow.visit_id)
        .where(CaseRow.deleted_at.is_(None), PatientRow.deleted_at.is_(None))
        .order_by(CaseRow.made_at, CaseRow.id)
    ).all()
    images = _images(session)
    entries = _by(session.scalars(sa.select(ConfirmationRow).order_by(ConfirmationRow.made_at, ConfirmationRow.id)))
    days = {case.id: visited_on for case, _, _, visited_on in rows}
    flags = flags_by_confirmation(session)
    found = []
    for case, patient, site, visited_on in rows:
        known = standing(record(ConfirmationEntry, entry) for entry in entries.get(case.lesion_id, ()))
        findings = tuple(entry for entry in known if days.get(entry.case_id, date.min) >= visited_on)
        found.append(
            FeedbackCase(
                case_id=case.id,
                patient_id=case.patient_id,
                lesion_id=case.lesion_id,
                visited_on=visited_on,
                birth_year=patient.birth_year,
                sex=patient.sex,
                skin_type=patient.skin_type,
                site=site,
                consent=patient.training_consent,
                management=case.management,
                images=tuple(images.get(case.id, ())),
                findings=findings,
                flags=tuple(flag for entry in findings for flag in flags.get(entry.id, ())),
            )
        )
    confirmed = sum(bool(case.findings) for case in found)
    audit.append(session, actor, "feedback.read", "cases", purpose, {"cases": len(found), "confirmed": confirmed})
    return tuple(found)


def _images(session: Session) -> dict[str, list[FeedbackImage]]:
    answers: dict[str, list[Answer]] = defaultdict(list)
    columns = (PredictionRow.image_id, PredictionRow.made_at, PredictionRow.bundle, PredictionRow.status)
    query = sa.select(*columns, PredictionRow.decision).order_by(PredictionRow.made_at, PredictionRow.id)
    for image_id, made_at, bundle, status, decision in session.execute(query):
        answers[image_id].append(Answer(made_at, bundle, status, decision))
    by_case: dict[str, list[FeedbackImage]] = defaultdict(list)
    kept = sa.select(ImageRow).where(ImageRow.deleted_at.is_(None), ImageRow.sha256.is_not(None))
    for row in session.scalars(kept.order_by(ImageRow.made_at, ImageRow.id)):
        image = FeedbackImage(
            row.id, row.sha256 or "", row.received_sha256 or "", row.image_type, row.width_px, row.height_px,
            tuple(answers.get(row.id, ())),
        )  # fmt: skip
        by_case[row.case_id].append(image)
    return by_case


def _by(rows: Any) -> dict[str, Sequence[ConfirmationRow]]:
    found: dict[str, list[ConfirmationRow]] = defaultdict(list)
    for row in rows:
        found[row.lesion_id].append(row)
    return dict(found)
