"""The tables of what is learnt from confirmed cases: flags, what leads said of them, and suggested cases.

Owns columns and keys. Flags and reviews are append-only; the latest review of a flag counts. Rows of a patient carry
`patient_id`, as in `cases.tables`.
"""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from dermaloop.cases.database import Base
from dermaloop.cases.tables import ID, words
from dermaloop.cases.words import FlagKind, Verdict


class FlagRow(Base):
    """That a confirmation waits for a lead before it may train, and why. Append-only."""

    __tablename__ = "feedback_flags"
    __table_args__ = (sa.UniqueConstraint("confirmation_id", "kind", "about"),)

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    patient_id: Mapped[str] = mapped_column(ID, sa.ForeignKey("patients.id"), index=True)
    case_id: Mapped[str] = mapped_column(ID, sa.ForeignKey("cases.id"), index=True)
    confirmation_id: Mapped[str] = mapped_column(ID, sa.ForeignKey("confirmations.id"), index=True)
    made_at: Mapped[datetime]
    kind: Mapped[FlagKind] = mapped_column(words(FlagKind))
    about: Mapped[str] = mapped_column(sa.String(100))
    """What it is about beside the confirmation, so that the same finding is not flagged twice: a picture's id, or
    the number of confirmations that a contributor had when their line was drawn."""
    sentence: Mapped[str] = mapped_column(sa.Text)
    """For the lead: what was found. Made by the program; names nobody."""
    evidence: Mapped[str] = mapped_column(sa.Text)
    """JSON: the numbers behind it."""


class FlagReviewRow(Base):
    """What a lead said of a flag. Append-only."""

    __tablename__ = "feedback_reviews"

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    patient_id: Mapped[str] = mapped_column(ID, sa.ForeignKey("patients.id"), index=True)
    flag_id: Mapped[str] = mapped_column(ID, sa.ForeignKey("feedback_flags.id"), index=True)
    made_at: Mapped[datetime]
    actor_kind: Mapped[str] = mapped_column(sa.String(16))
    actor_id: Mapped[str] = mapped_column(sa.String(200))
    actor_name: Mapped[str] = mapped_column(sa.String(500))
    verdict: Mapped[Verdict] = mapped_column(words(Verdict))
    reason: Mapped[str] = mapped_column(sa.Text)


class SuggestionRow(Base):
    """A case whose confirmation would teach much; the list is made anew each time."""

    __tablename__ = "case_suggestions"

    case_id: Mapped[str] = mapped_column(ID, sa.ForeignKey("cases.id"), primary_key=True)
    rank: Mapped[int]
    """1 teaches most."""
    made_at: Mapped[datetime]
    bundle: Mapped[str] = mapped_column(sa.String(200))
