"""How long things took, as quantiles, by aggregation in the database.

Owns the arithmetic of times, which the two databases spell differently, and the quantiles: the nearest rank, so that a
figure is always one that occurred. Refuses to word them.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dermaloop.cases.insight_records import Duration
from dermaloop.cases.tables import CaseRow, ConfirmationRow, ImageRow, PredictionRow, SignOffRow
from dermaloop.cases.words import SignOffKind

_DAY_S = 86400.0


def to_answer(session: Session, cases: sa.Select[Any]) -> Duration:
    """From a picture being stored to the first answer on it, of any bundle.

    Args:
        session: Any transaction.
        cases: By `inside_of`.
    """
    first = sa.func.min(PredictionRow.made_at)
    pairs = (
        sa.select(ImageRow.made_at.label("begun"), first.label("ended"))
        .join(PredictionRow, PredictionRow.image_id == ImageRow.id)
        .where(ImageRow.case_id.in_(cases))
        .group_by(ImageRow.id, ImageRow.made_at)
    )
    return _quantiles(session, pairs)


def to_sign_off(session: Session, cases: sa.Select[Any]) -> Duration:
    """From a case being opened to its first sign-off."""
    first = sa.func.min(SignOffRow.made_at)
    pairs = (
        sa.select(CaseRow.made_at.label("begun"), first.label("ended"))
        .join(SignOffRow, SignOffRow.case_id == CaseRow.id)
        .where(CaseRow.id.in_(cases), SignOffRow.kind == SignOffKind.SIGNED)
        .group_by(CaseRow.id, CaseRow.made_at)
    )
    return _quantiles(session, pairs)


def to_finding(session: Session, cases: sa.Select[Any]) -> Duration:
    """From a case being opened to the first confirmed diagnosis being written down in it."""
    first = sa.func.min(ConfirmationRow.made_at)
    pairs = (
        sa.select(CaseRow.made_at.label("begun"), first.label("ended"))
        .join(ConfirmationRow, ConfirmationRow.case_id == CaseRow.id)
        .where(CaseRow.id.in_(cases), ConfirmationRow.retracted.is_(False))
        .group_by(CaseRow.id, CaseRow.made_at)
    )
    return _quantiles(session, pairs)


def _quantiles(session: Session, pairs: sa.Select[datetime, datetime]) -> Duration:
    taken = pairs.subquery()
    seconds = _seconds(session, taken.c.begun, taken.c.ended).label("seconds")
    ranked = sa.select(
        seconds, sa.func.row_number().over(order_by=seconds).label("place"), sa.func.count().over().label("n")
    ).subquery()
    middle, most = (ranked.c.n + 1) // 2, (ranked.c.n * 9 + 9) // 10
    rows = session.execute(
        sa.select(ranked.c.n, ranked.c.seconds)
        .where(sa.or_(ranked.c.place == middle, ranked.c.place == most))
        .order_by(ranked.c.place)
    ).all()
    if not rows:
        return Duration(0, None, None)
    return Duration(rows[0][0], float(rows[0][1]), float(rows[-1][1]))


def _seconds(session: Session, begun: Any, ended: Any) -> sa.ColumnElement[float]:
    if session.get_bind().dialect.name == "sqlite":
        days = sa.func.julianday(ended, type_=sa.Float) - sa.func.julianday(begun, type_=sa.Float)
        return days * _DAY_S
    return sa.cast(sa.func.extract("epoch", ended - begun), sa.Float)
