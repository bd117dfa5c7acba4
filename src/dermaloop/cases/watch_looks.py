"""Looks of the watch that were asked for: by a lead, or by the server's own clock; how far each is, and how it ended.

Owns the queue, of at most one: who asks while a look is to be done gets that one, for two at once would find the same.
A claim that is not renewed ends, so that a look whose server was killed is taken up by another, or by the same one when
it starts again. Refuses to look: see `pipeline.watch`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dermaloop.cases import audit
from dermaloop.cases.actor import Actor
from dermaloop.cases.database import new_id, now
from dermaloop.cases.watch_tables import WatchLookRow

SUBJECT = "look"
LEASE = timedelta(minutes=5)
"""How long a claim holds without a sign of life."""
MOST_TRIES = 3
"""How often a look is taken up: what kills a server each time must not kill it for ever."""
GAVE_UP = "It was begun several times and never finished."
_LONGEST_FAILURE = 2000


@dataclass(frozen=True, slots=True)
class Look:
    """A look that was asked for.

    Attributes:
        id: Its own.
        made_at: When it was asked for.
        actor_name: By whom.
        begun: Whether a server is at work on it.
        done: Steps that are done.
        steps: Of so many; 0 before the first is known.
        ended_at: None while it is to be done or under way.
        failure: Why nothing was found out; empty where it went well, or has not ended.
    """

    id: str
    made_at: datetime
    actor_name: str
    begun: bool
    done: int
    steps: int
    ended_at: datetime | None
    failure: str


def ask(session: Session, actor: Actor) -> Look:
    """Asks for a look; gives the one that is already asked for, where there is one.

    Args:
        session: From `Database.begin`, whose writers queue: two who ask at once get the same look.
        actor: Who asks.
    """
    waiting = _open(session)
    if waiting is not None:
        return _look(waiting)
    row = WatchLookRow(
        id=new_id(), made_at=now(), actor_kind=actor.kind, actor_id=actor.id, actor_name=actor.name, tries=0,
        claimed_until=None, done=0, steps=0, ended_at=None, failure="",
    )  # fmt: skip
    session.add(row)
    session.flush()
    audit.append(session, actor, "watch.asked", SUBJECT, row.id)
    return _look(row)


def latest(session: Session) -> Look | None:
    """The one that was asked for last, ended or not; None before the first."""
    row = session.scalar(sa.select(WatchLookRow).order_by(WatchLookRow.made_at.desc(), WatchLookRow.id).limit(1))
    return None if row is None else _look(row)


def someone_waits(session: Session) -> bool:
    """Whether a look is to be done that nobody has taken up."""
    row = _open(session)
    return row is not None and _is_free(row)


def claim(session: Session, actor: Actor) -> str:
    """Takes up the look that waits; gives its id, empty where none does. One that failed too often ends instead.

    Args:
        session: From `Database.begin`.
        actor: Who takes it up.
    """
    row = _open(session)
    if row is None or not _is_free(row):
        return ""
    if row.tries >= MOST_TRIES:
        finish(session, actor, row.id, failure=GAVE_UP)
        return ""
    row.tries, row.claimed_until, row.done, row.steps = row.tries + 1, now() + LEASE, 0, 0
    session.flush()
    return row.id


def renew(session: Session, look_id: str, *, done: int, steps: int) -> None:
    """Says that a look is still under way, and how far it is; nothing where it has ended.

    Args:
        session: From `Database.begin`.
        look_id: Which.
        done: Steps that are done.
        steps: Of so many.
    """
    row = session.get(WatchLookRow, look_id)
    if row is not None and row.ended_at is None:
        row.claimed_until, row.done, row.steps = now() + LEASE, done, steps
        session.flush()


def give_back(session: Session, look_id: str) -> None:
    """Ends a claim on a look that was not finished; the attempt does not count."""
    row = session.get(WatchLookRow, look_id)
    if row is not None and row.ended_at is None:
        row.claimed_until, row.tries = None, max(row.tries - 1, 0)
        session.flush()


def give_all_back(session: Session) -> None:
    """Ends the claim of a server that is known not to run any more."""
    row = _open(session)
    if row is not None:
        row.claimed_until = None
        session.flush()


def finish(session: Session, actor: Actor, look_id: str, *, failure: str = "") -> None:
    """Ends a look; one that failed is noted in the audit log, as `findings.keep_run` notes one that went well.

    Args:
        session: From `Database.begin`.
        actor: Who did it.
        look_id: Which.
        failure: Why nothing was found out; empty where it went well.
    """
    row = session.get(WatchLookRow, look_id)
    if row is None or row.ended_at is not None:
        return
    row.ended_at, row.claimed_until, row.failure = now(), None, failure[:_LONGEST_FAILURE]
    session.flush()
    if failure:
        audit.append(session, actor, "watch.failed", SUBJECT, row.id)


def _open(session: Session) -> WatchLookRow | None:
    query = sa.select(WatchLookRow).where(WatchLookRow.ended_at.is_(None)).order_by(WatchLookRow.made_at).limit(1)
    return session.scalar(query)


def _is_free(row: WatchLookRow) -> bool:
    return row.claimed_until is None or row.claimed_until <= now()


def _look(row: WatchLookRow) -> Look:
    begun = row.ended_at is None and not _is_free(row)
    return Look(row.id, row.made_at, row.actor_name, begun, row.done, row.steps, row.ended_at, row.failure)
