"""Flags on confirmations, and what leads said of them: nothing flagged trains before a lead has looked.

Owns raising flags, reviewing them, and whether a confirmation is held back. Refuses to find what is suspect: that is
`dermaloop.refine`. A flag stays; what changes is what was said of it, and the latest word counts.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dermaloop.cases import audit, cursors, fields
from dermaloop.cases.actor import Actor
from dermaloop.cases.database import new_id, now
from dermaloop.cases.errors import InvalidRecordError
from dermaloop.cases.feedback_tables import FlagReviewRow, FlagRow
from dermaloop.cases.rows import find
from dermaloop.cases.tables import ConfirmationRow, PatientRow
from dermaloop.cases.words import FlagKind, Verdict

MOST_LISTED = 500


@dataclass(frozen=True, slots=True)
class Review:
    """What a lead said of a flag."""

    made_at: datetime
    actor_name: str
    verdict: Verdict
    reason: str


@dataclass(frozen=True, slots=True)
class Flag:
    """That a confirmation waits, and why.

    Attributes:
        id: The flag's id.
        case_id: The case that the confirmation was made for.
        confirmation_id: Which confirmation.
        made_at: When.
        kind: Of what kind.
        about: What it is about beside the confirmation.
        sentence: What was found, in words.
        evidence: The numbers behind it.
        review: The latest word of a lead; None while it waits.
    """

    id: str
    case_id: str
    confirmation_id: str
    made_at: datetime
    kind: FlagKind
    about: str
    sentence: str
    evidence: Mapping[str, Any]
    review: Review | None

    @property
    def waits(self) -> bool:
        """Whether no lead has looked yet."""
        return self.review is None

    @property
    def rejected(self) -> bool:
        """Whether the latest word is that it may not train."""
        return self.review is not None and self.review.verdict is Verdict.REJECTED


@dataclass(frozen=True, slots=True)
class Suspicion:
    """What a check found about a confirmation; becomes a flag. Fields as in `Flag`."""

    confirmation_id: str
    kind: FlagKind
    about: str
    sentence: str
    evidence: Mapping[str, Any]


def raise_flags(session: Session, actor: Actor, found: Sequence[Suspicion]) -> int:
    """Flags confirmations; what is flagged already for the same reason stays as it is.

    Returns:
        How many flags are new.

    Raises:
        RecordNotFoundError: There is no such confirmation.
    """
    known = {tuple(row) for row in session.execute(sa.select(FlagRow.confirmation_id, FlagRow.kind, FlagRow.about))}
    new = [one for one in found if (one.confirmation_id, one.kind, one.about) not in known]
    for one in new:
        entry = find(session, ConfirmationRow, one.confirmation_id, "confirmation")
        row = FlagRow(
            id=new_id(),
            patient_id=entry.patient_id,
            case_id=entry.case_id,
            confirmation_id=entry.id,
            made_at=now(),
            kind=one.kind,
            about=fields.line(one.about, "about"),
            sentence=one.sentence,
            evidence=json.dumps(one.evidence, sort_keys=True, allow_nan=False),
        )
        session.add(row)
        session.flush()
        about = {"confirmation": entry.id, "case": entry.case_id, "kind": str(one.kind)}
        audit.append(session, actor, "feedback.flagged", "flag", row.id, about)
    return len(new)


def review_flag(session: Session, actor: Actor, flag_id: str, *, verdict: str, reason: str) -> Flag:
    """Writes down what a lead decided about a flag. Another word later replaces this one.

    Args:
        session: From `Database.begin`.
        actor: Who; the edges let only leads in.
        flag_id: Which flag.
        verdict: One of `words.Verdict`.
        reason: Why; needed.

    Raises:
        RecordNotFoundError: There is no such flag.
        InvalidRecordError: The verdict is not known, or there is no reason.
    """
    row = find(session, FlagRow, flag_id, "flag")
    decided = fields.word(verdict, Verdict, "verdict")
    why = fields.note(reason, "reason")
    if not why:
        raise InvalidRecordError("the reason is missing", where="reason", way_out="Say why it may train, or may not.")
    made = FlagReviewRow(
        id=new_id(),
        patient_id=row.patient_id,
        flag_id=row.id,
        made_at=now(),
        actor_kind=actor.kind,
        actor_id=actor.id,
        actor_name=actor.name,
        verdict=decided,
        reason=why,
    )
    session.add(made)
    session.flush()
    about = {"confirmation": row.confirmation_id, "case": row.case_id, "verdict": str(decided)}
    audit.append(session, actor, "feedback.reviewed", "flag", row.id, about)
    return _flag(row, made)


def list_flags(
    session: Session, actor: Actor, *, waiting: bool = True, kinds: Collection[FlagKind] = tuple(FlagKind)
) -> tuple[Flag, ...]:
    """Flags, the oldest first; at most `MOST_LISTED`.

    Args:
        session: From `Database.begin`: who looked is logged.
        actor: Who looks.
        waiting: Only those that no lead has looked at.
        kinds: Only of these kinds.
    """
    query = _query(waiting=waiting).where(FlagRow.kind.in_(list(kinds)))
    rows = session.scalars(query.limit(MOST_LISTED)).all()
    reviews = _reviews(session)
    audit.append(session, actor, "flags.seen", "flags", "feedback", {"flags": [row.id for row in rows]})
    return tuple(_flag(row, reviews.get(row.id)) for row in rows)


def flag_page(
    session: Session, actor: Actor, *, waiting: bool = True, cursor: str | None = None, limit: int = 50
) -> tuple[tuple[Flag, ...], str | None]:
    """A page of flags, the oldest first, and the cursor of the next one (None at the end).

    Args:
        session: From `Database.begin`: who looked is logged.
        actor: Who looks.
        waiting: Only those that no lead has looked at.
        cursor: Where the page before ended, as it was given.
        limit: Flags on the page, 1 to 200.

    Raises:
        InvalidRecordError: The cursor was not given by this function, or `limit` is out of range.
    """
    fields.whole(limit, "limit", 1, cursors.LARGEST_PAGE)
    query = _query(waiting=waiting)
    if cursor is not None:
        query = query.where(cursors.beyond(cursor, FlagRow.made_at, FlagRow.id, newest_first=False))
    rows = session.scalars(query.limit(limit + 1)).all()
    shown = rows[:limit]
    reviews = _reviews(session, [row.id for row in shown])
    audit.append(session, actor, "flags.seen", "flags", "feedback", {"flags": [row.id for row in shown]})
    following = cursors.write(shown[-1].made_at, shown[-1].id) if len(rows) > limit else None
    return tuple(_flag(row, reviews.get(row.id)) for row in shown), following


def _query(*, waiting: bool) -> sa.Select[Any]:
    """Flags of patients who are not deleted, the oldest first."""
    query = (
        sa.select(FlagRow)
        .join(PatientRow, PatientRow.id == FlagRow.patient_id)
        .where(PatientRow.deleted_at.is_(None))
        .order_by(FlagRow.made_at, FlagRow.id)
    )
    return query.where(~sa.exists().where(FlagReviewRow.flag_id == FlagRow.id)) if waiting else query


def patient_of(session: Session, flag_id: str) -> str:
    """Of which patient's confirmation a flag is.

    Raises:
        RecordNotFoundError: There is no such flag.
    """
    return find(session, FlagRow, flag_id, "flag").patient_id


def count_waiting(session: Session) -> int:
    """How many flags wait for a lead."""
    return session.scalar(counted_waiting()) or 0


def counted_waiting() -> sa.Select[Any]:
    """The question that `count_waiting` asks."""
    return (
        sa.select(sa.func.count())
        .select_from(FlagRow)
        .join(PatientRow, PatientRow.id == FlagRow.patient_id)
        .where(PatientRow.deleted_at.is_(None), ~sa.exists().where(FlagReviewRow.flag_id == FlagRow.id))
    )


def flags_by_confirmation(session: Session) -> dict[str, tuple[Flag, ...]]:
    """Every flag, by the confirmation that it is on, oldest first."""
    reviews = _reviews(session)
    found: dict[str, list[Flag]] = defaultdict(list)
    for row in session.scalars(sa.select(FlagRow).order_by(FlagRow.made_at, FlagRow.id)):
        found[row.confirmation_id].append(_flag(row, reviews.get(row.id)))
    return {key: tuple(flags) for key, flags in found.items()}


def _reviews(session: Session, flag_ids: Sequence[str] | None = None) -> dict[str, FlagReviewRow]:
    """The latest review of each flag; of these only, where they are named."""
    query = sa.select(FlagReviewRow).order_by(FlagReviewRow.made_at, FlagReviewRow.id)
    if flag_ids is not None:
        query = query.where(FlagReviewRow.flag_id.in_(flag_ids))
    return {row.flag_id: row for row in session.scalars(query)}


def _flag(row: FlagRow, review: FlagReviewRow | None) -> Flag:
    said = None if review is None else Review(review.made_at, review.actor_name, review.verdict, review.reason)
    return Flag(
        row.id, row.case_id, row.confirmation_id, row.made_at, row.kind, row.about, row.sentence,
        json.loads(row.evidence), said,
    )  # fmt: skip
