"""A picture of a screening job becomes a case: a clinician says whose it is and of which lesion.

Owns that step. The picture and its answer go into the records as they are, and nothing is assessed anew; the row stays
in the list and says what became of it. Who has looked at the list knows the answer: it counts as seen by them.
"""

from __future__ import annotations

from datetime import date

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dermaloop.cases import answers, audit, casework, intake
from dermaloop.cases.actor import Actor
from dermaloop.cases.database import now
from dermaloop.cases.errors import ConflictError
from dermaloop.cases.images import ImageStore
from dermaloop.cases.job_results import find_item, prediction_of
from dermaloop.cases.job_tables import JobItemRow, JobViewRow
from dermaloop.cases.jobs import mark_job_seen
from dermaloop.cases.records import Case
from dermaloop.cases.rows import find
from dermaloop.cases.strip import Stripped
from dermaloop.cases.tables import LesionRow, PredictionRow, PredictionViewRow
from dermaloop.core.prediction import Status


def file_item(
    session: Session,
    actor: Actor,
    item_id: str,
    lesion_id: str,
    *,
    visited_on: date,
    image_type: str,
    images: ImageStore,
    content: bytes,
) -> Case:
    """Makes a case of a picture, or adds it to the lesion's case of that day.

    Args:
        session: From `Database.begin`.
        actor: Who.
        item_id: Which picture.
        lesion_id: Of which lesion.
        visited_on: The day it was taken.
        image_type: One of `words.PictureType`.
        images: The store that it lies in.
        content: Its bytes, read from there.

    Raises:
        RecordNotFoundError: There is no such picture or lesion.
        InvalidRecordError: A field cannot be kept.
        ConflictError: It has no answer that could be kept; it belongs to a case already; or the case is signed off.
        StoreError: The picture cannot be stored.
    """
    row = find_item(session, item_id)
    if row.case_id is not None:
        raise ConflictError("the picture belongs to a case already", where=row.id, way_out="Open that case.")
    if row.sha256 is None or row.status in (None, Status.UNREADABLE):
        raise ConflictError("the picture has no answer", where=row.id, way_out="Wait until it is assessed.")
    lesion = find(session, LesionRow, lesion_id, "lesion")
    visit = intake.visit_on(session, actor, lesion.patient_id, visited_on)
    case = casework.make_case(session, actor, visit_id=visit.id, lesion_id=lesion.id)
    stripped = Stripped(content, row.sha256, row.received_sha256, row.format, (row.width_px, row.height_px))
    image = casework.add_image(session, actor, case.id, images=images, stripped=stripped, image_type=image_type)
    said = sa.select(PredictionRow.id).where(
        PredictionRow.image_id == image.id, PredictionRow.bundle_sha256 == row.bundle_sha256
    )
    if session.scalar(said.limit(1)) is None:
        stored = answers.add_prediction(session, actor, image.id, prediction_of(row), bundle_sha256=row.bundle_sha256)
        mark_job_seen(session, actor, row.job_id)
        _carry_views(session, row, stored.id, case.id)
    row.patient_id, row.case_id, row.image_id = lesion.patient_id, case.id, image.id
    session.flush()
    about = {"job": row.job_id, "case": case.id, "image": image.id, "patient": lesion.patient_id}
    audit.append(session, actor, "job_item.filed", "job_item", row.id, about)
    return case


def _carry_views(session: Session, row: JobItemRow, prediction_id: str, case_id: str) -> None:
    """Whoever looked at the list after the answer was there has seen it."""
    views = session.scalars(sa.select(JobViewRow).where(JobViewRow.job_id == row.job_id)).all()
    for view in views:
        if row.done_at is not None and view.seen_at >= row.done_at:
            session.add(
                PredictionViewRow(
                    prediction_id=prediction_id,
                    actor_kind=view.actor_kind,
                    actor_id=view.actor_id,
                    case_id=case_id,
                    seen_at=min(view.seen_at, now()),
                )
            )
    session.flush()
