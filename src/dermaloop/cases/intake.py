"""Pictures of a lesion, taken on one day, go into the records: all of them, with what a bundle said, or none.

Owns the order visit, case, pictures, predictions within one transaction, and that a retry of the same delivery makes
nothing twice. Refuses to read files and to classify: pictures come stripped and in the image store already
(`cases.strip`, `images.put`), predictions are handed in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dermaloop.cases import answers, casework, fields, patients
from dermaloop.cases.actor import Actor
from dermaloop.cases.images import ImageStore
from dermaloop.cases.records import Case, Image, Visit, record
from dermaloop.cases.rows import find
from dermaloop.cases.strip import Stripped
from dermaloop.cases.tables import LesionRow, PredictionRow, VisitRow
from dermaloop.core.prediction import Prediction


@dataclass(frozen=True, slots=True)
class Delivered:
    """One picture to take in.

    Attributes:
        stripped: Stored already.
        prediction: What a bundle said of it; None for a picture that is kept but not assessed.
    """

    stripped: Stripped
    prediction: Prediction | None


@dataclass(frozen=True, slots=True)
class Intake:
    """What became of a delivery: the case, and its pictures in the order delivered."""

    case: Case
    images: tuple[Image, ...]


def require_lesion(session: Session, lesion_id: str) -> None:
    """Refuses a delivery before its pictures are worked on.

    Raises:
        RecordNotFoundError: There is no such lesion.
    """
    find(session, LesionRow, lesion_id, "lesion")


def visit_on(session: Session, actor: Actor, patient_id: str, visited_on: date) -> Visit:
    """The patient's visit of that day; made where there is none, so that a retry makes no second.

    Raises:
        RecordNotFoundError: There is no such patient.
        InvalidRecordError: The day lies in the future or long past.
    """
    day = fields.day(visited_on, "visited_on")
    known = session.scalar(
        sa.select(VisitRow)
        .where(VisitRow.patient_id == patient_id, VisitRow.visited_on == day)
        .order_by(VisitRow.made_at, VisitRow.id)
        .limit(1)
    )
    if known is not None:
        return record(Visit, known)
    return patients.make_visit(session, actor, patient_id, visited_on=day)


def take_in(
    session: Session,
    actor: Actor,
    lesion_id: str,
    *,
    visited_on: date,
    image_type: str,
    delivered: Sequence[Delivered],
    images: ImageStore,
    bundle_sha256: str,
    pixel_size_mm: float | None = None,
) -> Intake:
    """Takes pictures of a lesion in.

    Args:
        session: From `Database.begin`.
        actor: Who.
        lesion_id: Of which lesion.
        visited_on: The day of the visit.
        image_type: One of `words.PictureType`, of all of them.
        delivered: The pictures; one that the case has already is not taken twice, nor what the same bundle said of it.
        images: The store that they lie in.
        bundle_sha256: Of the bundle that made the predictions.
        pixel_size_mm: Side of a pixel on the skin in millimetres, where known.

    Raises:
        RecordNotFoundError: There is no such lesion.
        InvalidRecordError: A field cannot be kept.
        ConflictError: The case of that day is signed off.
        StoreError: A picture cannot be stored.
    """
    lesion = find(session, LesionRow, lesion_id, "lesion")
    visit = visit_on(session, actor, lesion.patient_id, visited_on)
    case = casework.make_case(session, actor, visit_id=visit.id, lesion_id=lesion.id)
    return Intake(
        case,
        add_to_case(
            session,
            actor,
            case.id,
            image_type=image_type,
            delivered=delivered,
            images=images,
            bundle_sha256=bundle_sha256,
            pixel_size_mm=pixel_size_mm,
        ),
    )


def add_to_case(
    session: Session,
    actor: Actor,
    case_id: str,
    *,
    image_type: str,
    delivered: Sequence[Delivered],
    images: ImageStore,
    bundle_sha256: str,
    pixel_size_mm: float | None = None,
) -> tuple[Image, ...]:
    """Adds pictures to a case that is there; the arguments are `take_in`'s.

    Returns:
        The pictures in the order delivered.

    Raises:
        RecordNotFoundError: There is no such case.
        InvalidRecordError: A field cannot be kept.
        ConflictError: The case is signed off.
        StoreError: A picture cannot be stored.
    """
    taken: list[Image] = []
    for one in delivered:
        image = casework.add_image(
            session,
            actor,
            case_id,
            images=images,
            stripped=one.stripped,
            image_type=image_type,
            pixel_size_mm=pixel_size_mm,
        )
        taken.append(image)
        if one.prediction is not None and not _said_already(session, image.id, bundle_sha256):
            answers.add_prediction(session, actor, image.id, one.prediction, bundle_sha256=bundle_sha256)
    return tuple(taken)


def _said_already(session: Session, image_id: str, bundle_sha256: str) -> bool:
    said = sa.select(PredictionRow.id).where(
        PredictionRow.image_id == image_id, PredictionRow.bundle_sha256 == bundle_sha256
    )
    return session.scalar(said.limit(1)) is not None
