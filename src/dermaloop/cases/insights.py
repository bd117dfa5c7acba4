"""What a practice can learn from its own records: agreement, outcomes, declines, volume, and how long things took.

Owns the counting, by aggregation in the database, and its rules. Refuses to word or draw the figures. The rules:

- A case belongs to the day of its visit. Cases of deleted patients are left out: who asked to be gone is gone.
- The model's answer on a case is its latest on each picture: suspicious where it refers any of them, below the
  threshold where it decided on any, else declined. Bundles are never mixed: the figures are of one.
- A clinician finds a case suspicious who chose a diagnosis that counts as malignant, or biopsy, excision or referral.
- An outcome is a confirmed lesion, once, at the visit that its finding belongs to; what was said of it counts only if
  it was said before any finding on the lesion was written down, for afterwards everybody knows.
- Where the practice hides the model's answers, open cases are in the volume only: a sum over few cases would tell.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dermaloop.cases import audit
from dermaloop.cases.actor import Actor
from dermaloop.cases.comparison import Share
from dermaloop.cases.errors import InvalidRecordError
from dermaloop.cases.insight_outcomes import agreement, changes, outcomes
from dermaloop.cases.insight_queries import BELOW, DECLINED, REFERRED, inside_of, latest_answers, said_of
from dermaloop.cases.insight_records import BundleUse, DayVolume, Declines, Insights, Wanted
from dermaloop.cases.insight_times import to_answer, to_finding, to_sign_off
from dermaloop.cases.practice import read_practice
from dermaloop.cases.tables import CaseRow, PredictionRow, VisitRow
from dermaloop.cases.words import Timing
from dermaloop.core.prediction import Status


def insights(session: Session, actor: Actor, wanted: Wanted) -> Insights:
    """All figures of a period and a bundle. That they were looked at is logged.

    Args:
        session: From `Database.begin`.
        actor: Who looks.
        wanted: The period, and the bundle; an empty one means the bundle with the newest answer.

    Raises:
        InvalidRecordError: The period ends before it begins, or the bundle never answered in it.
    """
    if wanted.until < wanted.since:
        raise InvalidRecordError("the period ends before it begins", where="until", way_out="Choose a later last day.")
    hides = read_practice(session).hide_answer_until_impression
    inside = inside_of(wanted)
    bundles = _bundles(session, inside)
    known = [one.bundle for one in bundles]
    if wanted.bundle and wanted.bundle not in known:
        raise InvalidRecordError(
            f"the model {wanted.bundle[:80]!r} answered nothing in this period",
            where="bundle",
            way_out="Choose another model or a longer period.",
        )
    wanted = Wanted(wanted.since, wanted.until, wanted.bundle or next(iter(known), ""))
    told = inside if not hides else inside.where(CaseRow.signed_at.is_not(None))
    pictures = latest_answers(told, wanted.bundle)
    found = Insights(
        wanted=wanted,
        bundles=bundles,
        volume=_volume(session, inside, pictures),
        without_open=hides,
        before=agreement(session, pictures, Timing.BEFORE, wanted.bundle),
        after=agreement(session, pictures, Timing.AFTER, wanted.bundle),
        changes=changes(session, pictures, wanted.bundle),
        outcomes=outcomes(session, told, wanted.bundle),
        declines=_declines(session, pictures),
        to_answer=to_answer(session, inside),
        to_sign_off=to_sign_off(session, inside),
        to_finding=to_finding(session, inside),
    )
    asked = {"since": wanted.since.isoformat(), "until": wanted.until.isoformat(), "bundle": wanted.bundle or None}
    audit.append(session, actor, "insights.seen", "practice", "practice", asked)
    return found


def _bundles(session: Session, inside: sa.Select[Any]) -> tuple[BundleUse, ...]:
    rows = session.execute(
        sa.select(PredictionRow.bundle, sa.func.count(PredictionRow.image_id.distinct()))
        .where(PredictionRow.case_id.in_(inside))
        .group_by(PredictionRow.bundle)
        .order_by(sa.func.max(PredictionRow.made_at).desc(), PredictionRow.bundle)
    )
    return tuple(BundleUse(bundle, pictures) for bundle, pictures in rows)


def _volume(session: Session, inside: sa.Select[Any], pictures: sa.Subquery) -> tuple[DayVolume, ...]:
    said = said_of(pictures)

    def number(weight: int) -> sa.ColumnElement[int]:
        return sa.func.sum(sa.case((said.c.weight == weight, 1), else_=0))

    rows = session.execute(
        sa.select(VisitRow.visited_on, number(REFERRED), number(BELOW), number(DECLINED), sa.func.count())
        .select_from(CaseRow)
        .join(VisitRow, VisitRow.id == CaseRow.visit_id)
        .outerjoin(said, said.c.case_id == CaseRow.id)
        .where(CaseRow.id.in_(inside))
        .group_by(VisitRow.visited_on)
        .order_by(VisitRow.visited_on)
    )
    return tuple(
        DayVolume(day, referred, below, declined, cases - referred - below - declined)
        for day, referred, below, declined, cases in rows
    )


def _declines(session: Session, pictures: sa.Subquery) -> Declines:
    declined = pictures.c.status != Status.ASSESSED
    count = sa.func.coalesce(sa.func.sum(sa.case((declined, 1), else_=0)), 0)
    number, of = session.execute(sa.select(count, sa.func.count()).select_from(pictures)).one()
    each, code = _reasons(session, pictures)
    reasons = session.execute(
        sa.select(code, sa.func.count())
        .select_from(pictures.join(each, sa.true()))
        .where(declined)
        .group_by(code)
        .order_by(sa.func.count().desc(), code)
    )
    return Declines(Share(number, of), tuple((str(one), times) for one, times in reasons))


def _reasons(session: Session, pictures: sa.Subquery) -> tuple[Any, sa.ColumnElement[str]]:
    """The reasons in the pictures' records as rows, and the code of one; each database reads JSON in its own way."""
    if session.get_bind().dialect.name == "sqlite":
        each = sa.func.json_each(pictures.c.record, "$.reasons").table_valued("value")
        return each, sa.func.json_extract(each.c.value, "$.code", type_=sa.String)
    stored = sa.cast(pictures.c.record, sa.JSON)["reasons"]
    each = sa.func.json_array_elements(stored).table_valued(sa.column("value", sa.JSON))
    return each, each.c.value["code"].as_string()
