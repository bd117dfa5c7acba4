"""What the watch found, as it is kept: runs, alarms, and what leads said of them.

Owns the rule that a measure has at most one open alarm: it stays until a lead says what is behind it, and only then can
there be another. Refuses to find anything: a report is handed in.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dermaloop.cases import audit, fields
from dermaloop.cases.actor import Actor
from dermaloop.cases.database import new_id, now
from dermaloop.cases.errors import ConflictError, InvalidRecordError, RecordNotFoundError
from dermaloop.cases.watch_tables import Outcome, WatchAlarmRow, WatchReviewRow, WatchRunRow

_WHOLE_RUNS = 30
"""Runs whose report is kept whole."""
_LONGEST_NOTE = 2000


@dataclass(frozen=True, slots=True)
class Raised:
    """An alarm to keep: see `watch_tables.WatchAlarmRow`."""

    measure: str
    began_at: datetime
    found_at: datetime
    detail: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reviewed:
    """What a lead said of an alarm."""

    at: datetime
    actor_name: str
    outcome: Outcome
    note: str


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm as it is kept; `review` is None while it is open."""

    id: str
    made_at: datetime
    bundle: str
    measure: str
    began_at: datetime
    found_at: datetime
    detail: dict[str, Any]
    review: Reviewed | None


@dataclass(frozen=True, slots=True)
class Run:
    """A look that was kept; `report` is empty for an old one."""

    id: str
    made_at: datetime
    bundle: str
    visits: int
    confirmed: int
    report: dict[str, Any]


def keep_run(
    session: Session,
    actor: Actor,
    *,
    bundle: str,
    bundle_sha256: str,
    visits: int,
    confirmed: int,
    report: dict[str, Any],
    raised: Sequence[Raised],
) -> Run:
    """Keeps what a look found, and raises an alarm for each measure that has none open yet.

    Args:
        session: From `Database.begin`.
        actor: Who looked.
        bundle: Identity of the bundle that is watched.
        bundle_sha256: Its hash.
        visits: Looked at.
        confirmed: Confirmed cases looked at.
        report: As JSON types.
        raised: What is an alarm now.
    """
    row = WatchRunRow(
        id=new_id(),
        made_at=now(),
        bundle=bundle,
        bundle_sha256=bundle_sha256,
        visits=visits,
        confirmed=confirmed,
        report=json.dumps(report, allow_nan=False, separators=(",", ":")),
    )
    session.add(row)
    session.flush()
    whole = sa.select(WatchRunRow.id).order_by(WatchRunRow.made_at.desc()).limit(_WHOLE_RUNS).scalar_subquery()
    session.execute(
        sa.update(WatchRunRow)
        .where(WatchRunRow.id.not_in(whole), WatchRunRow.report != "")
        .values(report="")
        .execution_options(synchronize_session=False)
    )
    still_open = {alarm.measure for alarm in alarms(session, bundle=bundle) if alarm.review is None}
    new = [one for one in raised if one.measure not in still_open]
    about = {"bundle": bundle, "visits": visits, "confirmed": confirmed, "alarms": len(new)}
    audit.append(session, actor, "watch.ran", "watch", row.id, about)
    for one in new:
        _raise(session, actor, bundle, one)
    return _run(row)


def _raise(session: Session, actor: Actor, bundle: str, one: Raised) -> None:
    row = WatchAlarmRow(
        id=new_id(),
        made_at=now(),
        bundle=bundle,
        measure=one.measure,
        began_at=one.began_at,
        found_at=one.found_at,
        detail=json.dumps(one.detail, allow_nan=False, separators=(",", ":")),
    )
    session.add(row)
    session.flush()
    audit.append(session, actor, "watch.alarmed", "alarm", row.id, {"bundle": bundle, "measure": one.measure})


def review_alarm(session: Session, actor: Actor, alarm_id: str, *, outcome: str, note: str) -> Alarm:
    """Says what is behind an alarm, which closes it.

    Args:
        session: From `Database.begin`.
        actor: Who.
        alarm_id: Of which alarm.
        outcome: One of `watch_tables.Outcome`.
        note: What was found and done; needed, for whoever looks at it later.

    Raises:
        RecordNotFoundError: There is no such alarm.
        InvalidRecordError: A field cannot be kept.
        ConflictError: It was said already.
    """
    row = session.get(WatchAlarmRow, alarm_id) if alarm_id.isascii() and alarm_id.isprintable() else None
    if row is None:
        raise RecordNotFoundError("there is no such alarm", where=alarm_id[:40], way_out="Begin at the page Watch.")
    word = fields.word(outcome, Outcome, "outcome")
    text = fields.note(note, "note", longest=_LONGEST_NOTE)
    if not text:
        raise InvalidRecordError("the note is empty", where="note", way_out="Say what was found and done.")
    if session.scalar(sa.select(WatchReviewRow.id).where(WatchReviewRow.alarm_id == row.id)) is not None:
        raise ConflictError("the alarm is closed already", where=row.id, way_out="Look at what was said of it.")
    review = WatchReviewRow(
        id=new_id(),
        alarm_id=row.id,
        made_at=now(),
        actor_kind=actor.kind,
        actor_id=actor.id,
        actor_name=actor.name,
        outcome=word,
        note=text,
    )
    session.add(review)
    session.flush()
    about = {"measure": row.measure, "outcome": word.value}
    audit.append(session, actor, "watch.reviewed", "alarm", row.id, about)
    return _alarm(row, review)


def alarms(session: Session, *, bundle: str | None = None) -> tuple[Alarm, ...]:
    """Alarms, newest first; of one bundle or of all."""
    query = sa.select(WatchAlarmRow, WatchReviewRow).outerjoin(
        WatchReviewRow, WatchReviewRow.alarm_id == WatchAlarmRow.id
    )
    if bundle is not None:
        query = query.where(WatchAlarmRow.bundle == bundle)
    rows = session.execute(query.order_by(WatchAlarmRow.made_at.desc(), WatchAlarmRow.id))
    return tuple(_alarm(row, review) for row, review in rows)


def counted_open() -> sa.Select[Any]:
    """How many alarms nobody has closed, as a question to be asked together with others."""
    closed = sa.exists().where(WatchReviewRow.alarm_id == WatchAlarmRow.id)
    return sa.select(sa.func.count()).select_from(WatchAlarmRow).where(~closed)


def latest_run(session: Session) -> Run | None:
    """The latest look; None before the first."""
    row = session.scalar(sa.select(WatchRunRow).order_by(WatchRunRow.made_at.desc()).limit(1))
    return None if row is None else _run(row)


def _run(row: WatchRunRow) -> Run:
    report = json.loads(row.report) if row.report else {}
    return Run(row.id, row.made_at, row.bundle, row.visits, row.confirmed, report)


def _alarm(row: WatchAlarmRow, review: WatchReviewRow | None) -> Alarm:
    said = None if review is None else Reviewed(review.made_at, review.actor_name, review.outcome, review.note)
    detail = json.loads(row.detail)
    return Alarm(row.id, row.made_at, row.bundle, row.measure, row.began_at, row.found_at, detail, said)
