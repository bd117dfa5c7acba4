"""The queue of screening jobs, as its workers see it: take up, hand in, give back.

Owns the claims. Refuses to know threads and models. Oldest pictures first over all jobs; claims of a worker that died
end by themselves, and in the embedded database, which one server serves, when it starts again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dermaloop.cases import audit
from dermaloop.cases.actor import Actor
from dermaloop.cases.database import now
from dermaloop.cases.job_tables import ItemState, JobItemRow
from dermaloop.cases.jobs import GAVE_UP, LEASE, MOST_TRIES, SUBJECT, Claimed, answer
from dermaloop.core.prediction import Prediction, Status


@dataclass(frozen=True, slots=True)
class Answered:
    """What a bundle said of a claimed picture."""

    item_id: str
    prediction: Prediction
    bundle_sha256: str


def someone_waits(session: Session) -> bool:
    """Whether a picture waits that nobody has taken up."""
    return session.scalar(sa.select(JobItemRow.id).where(*_free()).limit(1)) is not None


def _free() -> tuple[sa.ColumnElement[bool], ...]:
    item = JobItemRow
    unclaimed = sa.or_(item.claimed_until.is_(None), item.claimed_until <= now())
    return item.state == ItemState.WAITING, unclaimed


def claim(session: Session, *, limit: int) -> tuple[Claimed, ...]:
    """Takes up the pictures that have waited longest.

    Args:
        session: From `Database.begin`.
        limit: How many at most.

    Returns:
        Fewer than `limit` only where no more wait. One that was taken up too often is given up instead.
    """
    item, present = JobItemRow, now()
    found = session.scalars(sa.select(item).where(*_free()).order_by(item.made_at, item.number).limit(limit)).all()
    taken = []
    for row in found:
        if row.tries >= MOST_TRIES:
            answer(row, Prediction(row.name, row.received_sha256, "", Status.UNREADABLE, (GAVE_UP,)), "")
            continue
        row.tries, row.claimed_until = row.tries + 1, present + LEASE
        taken.append(Claimed(row.id, row.job_id, row.name, str(row.sha256), row.received_sha256))
    session.flush()
    if found and not taken:
        return claim(session, limit=limit)
    return tuple(taken)


def hand_in(session: Session, actor: Actor, answered: Sequence[Answered]) -> int:
    """Writes answers down. A picture that has one, or that is not to be assessed any more, stays as it is.

    Returns:
        How many were written.
    """
    written: dict[str, int] = {}
    for one in answered:
        row = session.get(JobItemRow, one.item_id)
        if row is None or row.state is not ItemState.WAITING:
            continue
        answer(row, one.prediction, one.bundle_sha256)
        written[row.job_id] = written.get(row.job_id, 0) + 1
    session.flush()
    for job_id, pictures in written.items():
        audit.append(session, actor, "job.assessed", SUBJECT, job_id, {"pictures": pictures})
    return sum(written.values())


def give_back(session: Session, item_ids: Sequence[str], *, counted: bool = True) -> None:
    """Ends claims on pictures that have no answer yet; without `counted` the attempt does not count."""
    item = JobItemRow
    values: dict[str, object] = {"claimed_until": None}
    if not counted:
        values["tries"] = item.tries - 1
    session.execute(
        sa.update(item).where(item.id.in_(list(item_ids)), item.state == ItemState.WAITING).values(**values)
    )


def give_all_back(session: Session) -> int:
    """Ends every claim, of a server that is known not to run any more; gives how many there were."""
    item = JobItemRow
    claimed = item.state == ItemState.WAITING, item.claimed_until.is_not(None)
    count = session.scalar(sa.select(sa.func.count()).select_from(item).where(*claimed)) or 0
    if count:
        session.execute(sa.update(item).where(*claimed).values(claimed_until=None))
    return count
