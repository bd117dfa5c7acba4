"""What bundles said of one lesion over the years: the follow-up view's chart.

Owns finding the latest answer on each picture of a lesion and noting that it was shown. Refuses to show what the
practice hides, and to compare answers: those of two bundles are two different rulers.
"""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dermaloop.cases import audit
from dermaloop.cases.actor import Actor
from dermaloop.cases.answers import answer_is_hidden, mark_seen
from dermaloop.cases.records import Image, StoredPrediction, Visit, record, stored_prediction
from dermaloop.cases.rows import find
from dermaloop.cases.tables import CaseRow, ImageRow, LesionRow, PredictionRow, VisitRow


@dataclass(frozen=True, slots=True)
class Answer:
    """The latest answer on one picture; None while it is hidden, or where the picture was not assessed."""

    visit: Visit
    image: Image
    stored: StoredPrediction | None
    hidden: bool


def has_earlier(session: Session, case_id: str) -> bool:
    """Whether a case's lesion has a picture from a visit on an earlier day: something to compare it with.

    Raises:
        RecordNotFoundError: There is no such case.
    """
    case = find(session, CaseRow, case_id, "case")
    visit = find(session, VisitRow, case.visit_id, "visit")
    query = (
        sa.select(sa.literal(value=True))
        .select_from(ImageRow)
        .join(VisitRow, VisitRow.id == ImageRow.visit_id)
        .where(
            ImageRow.lesion_id == case.lesion_id,
            ImageRow.deleted_at.is_(None),
            VisitRow.visited_on < visit.visited_on,
        )
    )
    return bool(session.scalar(query.limit(1)))


def timeline(session: Session, actor: Actor, lesion_id: str) -> tuple[Answer, ...]:
    """The latest answer on each picture of a lesion, oldest visit first. What is shown counts as seen.

    Args:
        session: From `Database.begin`.
        actor: Who looks.
        lesion_id: At which lesion.

    Raises:
        RecordNotFoundError: There is no such lesion.
    """
    lesion = find(session, LesionRow, lesion_id, "lesion")
    cases = {row.id: row for row in session.scalars(sa.select(CaseRow).where(CaseRow.lesion_id == lesion.id))}
    hidden = {case_id for case_id, row in cases.items() if answer_is_hidden(session, actor, row)}
    latest: dict[str, PredictionRow] = {}
    said = sa.select(PredictionRow).where(PredictionRow.case_id.in_(cases)).order_by(PredictionRow.made_at)
    for row in session.scalars(said):
        latest[row.image_id] = row
    pictures = session.execute(
        sa.select(VisitRow, ImageRow)
        .join(ImageRow, ImageRow.visit_id == VisitRow.id)
        .where(ImageRow.lesion_id == lesion.id, ImageRow.deleted_at.is_(None))
        .order_by(VisitRow.visited_on, ImageRow.made_at, ImageRow.id)
    ).all()
    shown = [row for row in latest.values() if row.case_id not in hidden]
    mark_seen(session, actor, shown)
    if shown:
        detail = {"patient": lesion.patient_id, "predictions": [row.id for row in shown]}
        audit.append(session, actor, "lesion.answers_seen", "lesion", lesion.id, detail)
    return tuple(
        Answer(
            record(Visit, visit),
            record(Image, image),
            None if image.case_id in hidden or image.id not in latest else stored_prediction(latest[image.id]),
            image.case_id in hidden and image.id in latest,
        )
        for visit, image in pictures
    )
