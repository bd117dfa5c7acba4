"""Screening jobs: a folder of pictures without patients, kept as it arrives and assessed one by one in the background.

Owns a job's life: made, filled, worked off, cancelled, taken up again. The queue is the table itself: a picture that
waits is a row, so that what was acknowledged survives anything that the records survive. An answer is written into the
picture's own row and only where none is yet, so that nothing has two. Refuses to classify, and to know threads: a
worker claims, computes, and hands in.

A claim is a promise with an end, and only spares work: of two servers that take up one picture, the first to answer
counts.
The audit log names jobs and numbers, never the name of a file.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dermaloop.cases import audit, codec, cursors, fields
from dermaloop.cases.accounts import is_id
from dermaloop.cases.actor import Actor
from dermaloop.cases.database import new_id, now
from dermaloop.cases.errors import ConflictError, RecordNotFoundError
from dermaloop.cases.imprints import pack
from dermaloop.cases.job_tables import ItemState, JobItemRow, JobRow, JobViewRow
from dermaloop.core.prediction import Decision, Prediction, Reason, Status

SUBJECT = "job"
MOST_PICTURES = 20_000
"""Pictures of one job."""
MOST_TRIES = 3
"""How often a picture is taken up before it is given up."""
LEASE = timedelta(minutes=2)
"""How long a claim holds: longer than an assessment may take."""
GAVE_UP = Reason(
    "gave_up",
    "The picture could not be assessed in three attempts. Assess it by itself, or ask whoever runs the server.",
)
WAITS, _FAILED, _DECLINED = -3.0, -2.0, -1.0


@dataclass(frozen=True, slots=True)
class Job:
    """A job and its numbers.

    Attributes:
        id: Its id.
        name: What its maker calls it.
        made_at: When.
        actor_kind: Who made it: kind,
        actor_id: id,
        actor_name: and name at the time.
        expected: How many pictures were chosen, as far as known.
        cancelled_at: Since when it rests.
        arrived: Pictures that are here.
        waiting: Of these, not assessed yet.
        stopped: Not assessed and not to be.
        refer: Suspicious.
        below: Below the referral threshold.
        declined: Not assessed, with reasons.
        failed: Files that could not be read.
        filed: Given to a patient.
    """

    id: str
    name: str
    made_at: datetime
    actor_kind: str
    actor_id: str
    actor_name: str
    expected: int
    cancelled_at: datetime | None
    arrived: int = 0
    waiting: int = 0
    stopped: int = 0
    refer: int = 0
    below: int = 0
    declined: int = 0
    failed: int = 0
    filed: int = 0

    @property
    def assessed(self) -> int:
        """Pictures with an answer, of whatever kind."""
        return self.arrived - self.waiting - self.stopped


@dataclass(frozen=True, slots=True)
class Claimed:
    """A picture to be assessed."""

    id: str
    job_id: str
    name: str
    sha256: str
    received_sha256: str


def rank(prediction: Prediction) -> float:
    """What a list is sorted by: the probability of malignancy where it means something, and below it what is declined.

    Returns:
        In [0, 1] for a picture that was assessed or lies too close to the threshold; -1 where the model declined, -2
        where the file could not be read; -3 stands for a picture that waits.
    """
    if prediction.status is Status.UNREADABLE or prediction.malignant_probability is None:
        return _FAILED
    codes = {reason.code for reason in prediction.reasons}
    figure = prediction.status is Status.ASSESSED or codes == {"ambiguous"}
    return prediction.malignant_probability if figure else _DECLINED


def make_job(session: Session, actor: Actor, *, name: str) -> Job:
    """Makes an empty job.

    Raises:
        InvalidRecordError: The name cannot be kept.
    """
    row = JobRow(
        id=new_id(),
        name=fields.line(name, "name", required=True),
        made_at=now(),
        actor_kind=actor.person[0],
        actor_id=actor.person[1],
        actor_name=actor.name,
        expected=0,
        cancelled_at=None,
        deleted_at=None,
    )
    session.add(row)
    session.flush()
    audit.append(session, actor, "job.made", SUBJECT, row.id)
    return with_numbers(session, [row])[0]


def find_job(session: Session, job_id: str) -> JobRow:
    """A job's row.

    Raises:
        RecordNotFoundError: There is no such job, or it was deleted.
    """
    row = session.get(JobRow, job_id) if is_id(job_id) else None
    if row is None or row.deleted_at is not None:
        raise RecordNotFoundError("there is no such list", where=job_id[:40], way_out="It may have been deleted.")
    return row


def find_running(session: Session, job_id: str) -> JobRow:
    """A job's row, if it takes pictures.

    Raises:
        RecordNotFoundError: There is no such job, or it was deleted.
        ConflictError: It is cancelled.
    """
    row = find_job(session, job_id)
    if row.cancelled_at is not None:
        raise ConflictError("the list was stopped", where=row.id, way_out="Let it go on first.")
    return row


def numbers(session: Session, job_id: str) -> Job:
    """How a job stands. Numbers are nobody's data: reading them is not logged.

    Raises:
        RecordNotFoundError: There is no such job.
    """
    return with_numbers(session, [find_job(session, job_id)])[0]


def with_numbers(session: Session, rows: Sequence[JobRow]) -> tuple[Job, ...]:
    """Jobs with their numbers, by one query for all of them."""
    ids = [row.id for row in rows]
    item = JobItemRow
    found = session.execute(
        sa.select(item.job_id, item.state, item.status, item.decision, sa.func.count(), sa.func.count(item.image_id))
        .where(item.job_id.in_(ids))
        .group_by(item.job_id, item.state, item.status, item.decision)
    ).all()
    counted: dict[str, dict[str, int]] = {job_id: {} for job_id in ids}
    for job_id, state, status, decision, count, filed in found:
        of = counted[job_id]
        for kind in ("arrived", _kind(state, status, decision)):
            of[kind] = of.get(kind, 0) + count
        of["filed"] = of.get("filed", 0) + filed
    own = [field.name for field in dataclasses.fields(Job) if hasattr(JobRow, field.name)]
    values: list[dict[str, Any]] = [{name: getattr(row, name) for name in own} | counted[row.id] for row in rows]
    return tuple(Job(**one) for one in values)


def _kind(state: ItemState, status: Status | None, decision: Decision | None) -> str:
    if state is not ItemState.DONE:
        return str(state)
    if status is Status.UNREADABLE:
        return "failed"
    if status is Status.ABSTAINED:
        return "declined"
    return "refer" if decision is Decision.REFER else "below"


def answer(row: JobItemRow, prediction: Prediction, bundle_sha256: str) -> None:
    """Writes an answer into a picture's row, under the name and the hash that its sender knows."""
    made = dataclasses.replace(prediction, image=row.name, sha256=row.received_sha256)
    row.state, row.claimed_until, row.done_at = ItemState.DONE, None, now()
    row.bundle_sha256, row.status, row.decision = bundle_sha256, made.status, made.decision
    row.rank, row.record = rank(made), codec.to_json(made)
    row.heatmap = None if made.heatmap is None else codec.pack_heatmap(made.heatmap)
    if made.imprint is not None:
        row.embedding, row.texture = pack(made.imprint.embedding), pack(made.imprint.texture)
        row.colour = json.dumps(list(made.imprint.colour))


def cancel(session: Session, actor: Actor, job_id: str) -> None:
    """Lets a job rest: what waits is not assessed; what has an answer keeps it.

    Raises:
        RecordNotFoundError: There is no such job.
    """
    _turn(session, actor, find_job(session, job_id), ItemState.WAITING, ItemState.STOPPED, "job.cancelled")


def resume(session: Session, actor: Actor, job_id: str) -> None:
    """Lets a cancelled job go on.

    Raises:
        RecordNotFoundError: There is no such job.
    """
    _turn(session, actor, find_job(session, job_id), ItemState.STOPPED, ItemState.WAITING, "job.resumed")


def _turn(session: Session, actor: Actor, job: JobRow, before: ItemState, after: ItemState, action: str) -> None:  # noqa: PLR0917
    if (job.cancelled_at is not None) == (after is ItemState.STOPPED):
        return
    job.cancelled_at = now() if after is ItemState.STOPPED else None
    session.execute(
        sa.update(JobItemRow)
        .where(JobItemRow.job_id == job.id, JobItemRow.state == before)
        .values(state=after, claimed_until=None, tries=0)
    )
    session.flush()
    audit.append(session, actor, action, SUBJECT, job.id)


def listing(
    session: Session, actor: Actor, *, cursor: str | None = None, limit: int = cursors.LARGEST_PAGE
) -> tuple[tuple[Job, ...], str | None]:
    """A page of the jobs, newest first, and the cursor of the next one (None at the end).

    Raises:
        InvalidRecordError: The cursor was not given by this function, or `limit` is out of range.
    """
    fields.whole(limit, "limit", 1, cursors.LARGEST_PAGE)
    query = sa.select(JobRow).where(JobRow.deleted_at.is_(None))
    if cursor is not None:
        query = query.where(cursors.beyond(cursor, JobRow.made_at, JobRow.id, newest_first=True))
    rows = session.scalars(query.order_by(JobRow.made_at.desc(), JobRow.id.desc()).limit(limit + 1)).all()
    shown = rows[:limit]
    audit.append(session, actor, "jobs.listed", "jobs", "jobs", {"jobs": len(shown)})
    following = cursors.write(shown[-1].made_at, shown[-1].id) if len(rows) > limit else None
    return with_numbers(session, shown), following


def mark_job_seen(session: Session, actor: Actor, job_id: str) -> None:
    """Notes that an actor looked at a job's answers."""
    kind, person = actor.person
    session.merge(JobViewRow(job_id=job_id, actor_kind=kind, actor_id=person, seen_at=now()))
    session.flush()
