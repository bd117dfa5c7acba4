"""The building blocks of the figures, as queries: whose cases, what the model said of them, what clinicians thought.

Owns the rules that stand in `cases.insights`, each once. Refuses to run a query.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from dermaloop.cases.insight_records import Wanted
from dermaloop.cases.tables import CaseRow, ImpressionRow, PredictionRow, VisitRow
from dermaloop.cases.words import AWAITS_CONFIRMATION, Timing
from dermaloop.core.prediction import Decision
from dermaloop.core.taxonomy import ENTRIES, Diagnosis

REFERRED, BELOW, DECLINED = 2, 1, 0
"""What the model said, so that the greatest of a case's pictures is what it said of the case."""
MALIGNANT = tuple(diagnosis for diagnosis in Diagnosis if ENTRIES[diagnosis].counts_as_malignant)


def inside_of(wanted: Wanted) -> sa.Select[Any]:
    """Ids of the cases of the period."""
    return (
        sa.select(CaseRow.id)
        .join(VisitRow, VisitRow.id == CaseRow.visit_id)
        .where(CaseRow.deleted_at.is_(None), VisitRow.visited_on.between(wanted.since, wanted.until))
    )


def latest_answers(cases: sa.Select[Any], bundle: str, *more: sa.ColumnElement[bool]) -> sa.Subquery:
    """The bundle's latest answer on each picture of these cases."""
    place = sa.func.row_number().over(
        partition_by=PredictionRow.image_id, order_by=(PredictionRow.made_at.desc(), PredictionRow.id.desc())
    )
    weight = sa.case(
        (PredictionRow.decision == Decision.REFER, REFERRED),
        (PredictionRow.decision == Decision.NO_REFERRAL, BELOW),
        else_=DECLINED,
    )
    ranked = (
        sa.select(
            PredictionRow.case_id,
            PredictionRow.status,
            PredictionRow.record,
            PredictionRow.top_diagnosis,
            sa.func.coalesce(PredictionRow.malignant_probability, -1.0).label("probability"),
            weight.label("weight"),
            place.label("place"),
        )
        .where(PredictionRow.case_id.in_(cases), PredictionRow.bundle == bundle, *more)
        .subquery()
    )
    return sa.select(ranked).where(ranked.c.place == 1).subquery()


def said_of(pictures: sa.Subquery) -> sa.Subquery:
    """What the model said of each case: the weight of its decision."""
    weight = sa.func.max(pictures.c.weight).label("weight")
    return sa.select(pictures.c.case_id, weight).group_by(pictures.c.case_id).subquery()


def suggested_of(pictures: sa.Subquery) -> sa.Subquery:
    """The diagnosis that the model suggests for each case: that of its most suspicious picture."""
    place = sa.func.row_number().over(
        partition_by=pictures.c.case_id, order_by=(pictures.c.probability.desc(), pictures.c.top_diagnosis)
    )
    ranked = (
        sa.select(pictures.c.case_id, pictures.c.top_diagnosis, place.label("place"))
        .where(pictures.c.weight > DECLINED)
        .subquery()
    )
    return sa.select(ranked).where(ranked.c.place == 1).subquery()


def impressions(*conditions: sa.ColumnElement[bool], by: tuple[Any, ...] = ()) -> sa.Subquery:
    """The latest impression of each case, or of each case and whatever else it is told apart by."""
    place = sa.func.row_number().over(
        partition_by=(ImpressionRow.case_id, *by), order_by=(ImpressionRow.made_at.desc(), ImpressionRow.id.desc())
    )
    suspicious = sa.or_(ImpressionRow.diagnosis.in_(MALIGNANT), ImpressionRow.management.in_(AWAITS_CONFIRMATION))
    ranked = (
        sa.select(
            ImpressionRow.case_id,
            ImpressionRow.actor_kind,
            ImpressionRow.actor_id,
            ImpressionRow.diagnosis,
            sa.case(
                (ImpressionRow.diagnosis.in_(MALIGNANT), 1), (ImpressionRow.diagnosis.is_not(None), 0), else_=None
            ).label("malignant"),
            sa.case((suspicious, 1), else_=0).label("suspicious"),
            place.label("place"),
        )
        .outerjoin(PredictionRow, PredictionRow.id == ImpressionRow.seen_prediction_id)
        .where(*conditions)
        .subquery()
    )
    return sa.select(ranked).where(ranked.c.place == 1).subquery()


def timed(timing: Timing, bundle: str) -> tuple[sa.ColumnElement[bool], ...]:
    """Impressions from before any answer was seen, or from after this bundle's was."""
    own = (PredictionRow.bundle == bundle,) if timing is Timing.AFTER else ()
    return (ImpressionRow.timing == timing, *own)
