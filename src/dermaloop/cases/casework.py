"""Cases and their pictures: made, filled and opened.

A case is one lesion at one visit. Owns making one, putting pictures into it, and the one function by which a person
opens it: there it is decided whether the model's answer may be shown yet, and noted who saw it. Refuses to classify:
what a bundle said is handed in (`cases.answers`).
"""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dermaloop.cases import audit, fields
from dermaloop.cases.actor import Actor
from dermaloop.cases.answers import answer_is_hidden, mark_seen
from dermaloop.cases.database import new_id, now
from dermaloop.cases.errors import InvalidRecordError
from dermaloop.cases.images import ImageStore
from dermaloop.cases.opinions import update_confirmed
from dermaloop.cases.records import (
    Case,
    ConfirmationEntry,
    Image,
    Impression,
    Lesion,
    Patient,
    SignOff,
    StoredPrediction,
    Visit,
    record,
    records,
    stored_prediction,
    without_answer,
)
from dermaloop.cases.rows import find, of_case, require_open
from dermaloop.cases.strip import Stripped
from dermaloop.cases.tables import (
    CaseRow,
    ConfirmationRow,
    ImageRow,
    ImpressionRow,
    LesionRow,
    PatientRow,
    PredictionRow,
    SignOffRow,
    VisitRow,
)
from dermaloop.cases.words import PictureType

PIXEL_SIZE_MM = (1e-6, 10.0)
"""What can be the side of a pixel on the skin, in millimetres."""


@dataclass(frozen=True, slots=True)
class CaseFile:
    """A case with all that its page shows, oldest entries first.

    Attributes:
        case: The case; `suspicion` and `declined` say nothing while the answer is hidden.
        patient: Whose.
        lesion: Of what.
        visit: When.
        images: Its pictures.
        predictions: What bundles said of them; empty while the answer is hidden.
        answer_hidden: Whether there are predictions that the practice hides until this actor's impression is in.
        impressions: What clinicians thought.
        confirmations: All entries on the lesion, of this case and of others.
        signoffs: Signed and reopened.
    """

    case: Case
    patient: Patient
    lesion: Lesion
    visit: Visit
    images: tuple[Image, ...]
    predictions: tuple[StoredPrediction, ...]
    answer_hidden: bool
    impressions: tuple[Impression, ...]
    confirmations: tuple[ConfirmationEntry, ...]
    signoffs: tuple[SignOff, ...]


def make_case(session: Session, actor: Actor, *, visit_id: str, lesion_id: str) -> Case:
    """Makes the case of a lesion at a visit; gives the one that is there already, so that a retry makes no second.

    Raises:
        RecordNotFoundError: There is no such visit or lesion.
        InvalidRecordError: They are two patients'.
    """
    visit = find(session, VisitRow, visit_id, "visit")
    lesion = find(session, LesionRow, lesion_id, "lesion")
    if visit.patient_id != lesion.patient_id:
        raise InvalidRecordError(
            "the visit and the lesion belong to two patients", where="lesion_id", way_out="Choose a lesion of this one."
        )
    row = session.scalar(sa.select(CaseRow).where(CaseRow.visit_id == visit.id, CaseRow.lesion_id == lesion.id))
    if row is None:
        row = CaseRow(
            id=new_id(),
            patient_id=lesion.patient_id,
            lesion_id=lesion.id,
            visit_id=visit.id,
            made_at=now(),
            suspicion=-1.0,
            declined=False,
            management=None,
            signed_at=None,
            confirmed=False,
            deleted_at=None,
        )
        session.add(row)
        session.flush()
        update_confirmed(session, lesion.id)
        about = {"patient": row.patient_id, "lesion": lesion.id, "visit": visit.id}
        audit.append(session, actor, "case.made", "case", row.id, about)
    return record(Case, row)


def add_image(
    session: Session,
    actor: Actor,
    case_id: str,
    *,
    images: ImageStore,
    stripped: Stripped,
    image_type: str,
    pixel_size_mm: float | None = None,
) -> Image:
    """Puts a picture into an open case; the same file again gives the picture that is there.

    The order that makes a crash harmless: `strip` it, `images.put` it, and only then begin the transaction that calls
    this. Here it is made sure, under the writer lock, that the file is there still: somebody may have had an equal one
    deleted in between.

    Args:
        session: From `Database.begin`.
        actor: Who.
        case_id: Into which.
        images: The store that `stripped` was put into.
        stripped: The picture.
        image_type: One of `words.PictureType`.
        pixel_size_mm: Side of a pixel on the skin in millimetres, where known.

    Raises:
        RecordNotFoundError: There is no such case.
        InvalidRecordError: A field cannot be kept.
        ConflictError: The case is signed off.
        StoreError: The picture cannot be stored.
    """
    case = find(session, CaseRow, case_id, "case")
    kind = fields.word(image_type, PictureType, "image_type")
    size = fields.number(pixel_size_mm, "pixel_size_mm", *PIXEL_SIZE_MM)
    same = session.scalar(
        sa.select(ImageRow).where(ImageRow.case_id == case.id, ImageRow.received_sha256 == stripped.received_sha256)
    )
    if same is not None:
        return record(Image, same)
    require_open(case)
    if not images.has(stripped.sha256):
        images.put(stripped.sha256, stripped.content)
    row = ImageRow(
        id=new_id(),
        patient_id=case.patient_id,
        lesion_id=case.lesion_id,
        visit_id=case.visit_id,
        case_id=case.id,
        image_type=kind,
        sha256=stripped.sha256,
        received_sha256=stripped.received_sha256,
        size_bytes=len(stripped.content),
        format=stripped.format,
        width_px=stripped.size[0],
        height_px=stripped.size[1],
        pixel_size_mm=size,
        made_at=now(),
        deleted_at=None,
    )
    session.add(row)
    session.flush()
    audit.append(session, actor, "image.made", "image", row.id, {"case": case.id, "patient": case.patient_id})
    return record(Image, row)


def show_image(session: Session, actor: Actor, image_id: str) -> Image:
    """One picture's record, to fetch its bytes from the image store by `sha256`.

    Raises:
        RecordNotFoundError: There is no such picture.
    """
    row = find(session, ImageRow, image_id, "picture")
    audit.append(session, actor, "image.seen", "image", row.id, {"case": row.case_id, "patient": row.patient_id})
    return record(Image, row)


def open_case(session: Session, actor: Actor, case_id: str, *, show_answer: bool = True) -> CaseFile:
    """A case with all that its page shows. Notes who saw it, and which predictions.

    Where the practice hides the answer until the impression is in, it stays hidden while the case is open and this
    actor has written none.

    Args:
        session: From `Database.begin`.
        actor: Who looks.
        case_id: At which.
        show_answer: False for a page that shows the answer only on demand: nothing counts as seen then.

    Raises:
        RecordNotFoundError: There is no such case.
    """
    case = find(session, CaseRow, case_id, "case")
    predictions = of_case(session, PredictionRow, case)
    hidden = bool(predictions) and answer_is_hidden(session, actor, case)
    shown = predictions if show_answer and not hidden else []
    mark_seen(session, actor, shown)
    detail = {"patient": case.patient_id, "predictions": [row.id for row in shown]}
    audit.append(session, actor, "case.seen", "case", case.id, detail)
    confirmations = session.scalars(
        sa.select(ConfirmationRow)
        .where(ConfirmationRow.lesion_id == case.lesion_id)
        .order_by(ConfirmationRow.made_at, ConfirmationRow.id)
    )
    whole = record(Case, case)
    return CaseFile(
        case=without_answer(whole) if hidden else whole,
        patient=record(Patient, find(session, PatientRow, case.patient_id, "patient")),
        lesion=record(Lesion, find(session, LesionRow, case.lesion_id, "lesion")),
        visit=record(Visit, find(session, VisitRow, case.visit_id, "visit")),
        images=records(Image, of_case(session, ImageRow, case)),
        predictions=tuple(stored_prediction(row) for row in shown),
        answer_hidden=hidden,
        impressions=records(Impression, of_case(session, ImpressionRow, case)),
        confirmations=records(ConfirmationEntry, confirmations),
        signoffs=records(SignOff, of_case(session, SignOffRow, case)),
    )
