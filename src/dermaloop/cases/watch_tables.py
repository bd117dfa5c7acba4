"""The tables of watching: imprints of pictures, runs of the watch, its alarms, and what leads said of them.

Owns columns and keys. Alarms and reviews are append-only. An imprint goes with its patient: it is deleted, not emptied.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from dermaloop.cases.database import Base
from dermaloop.cases.tables import ID, SHA256, words


class Outcome(StrEnum):
    """What a lead found behind an alarm, which decides what the watch compares with from then on."""

    PASSED = "passed"
    """A fault that is mended, or chance: compare with the time before it again."""
    STAYS = "stays"
    """The change is known and stays: begin to compare anew."""


class ImprintRow(Base):
    """A prediction's imprint and measures (`core.prediction.Imprint`)."""

    __tablename__ = "imprints"

    prediction_id: Mapped[str] = mapped_column(ID, sa.ForeignKey("predictions.id"), primary_key=True)
    patient_id: Mapped[str] = mapped_column(ID, sa.ForeignKey("patients.id"), index=True)
    embedding: Mapped[bytes] = mapped_column(sa.LargeBinary)
    """Little-endian float16."""
    texture: Mapped[bytes] = mapped_column(sa.LargeBinary)
    measures: Mapped[str] = mapped_column(sa.Text)
    """JSON: number by name, picture quality, colour and similarity to the nearest training pictures."""


class WatchRunRow(Base):
    """That the watch looked, and what it saw."""

    __tablename__ = "watch_runs"

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    made_at: Mapped[datetime] = mapped_column(index=True)
    bundle: Mapped[str] = mapped_column(sa.String(200))
    bundle_sha256: Mapped[str] = mapped_column(SHA256)
    visits: Mapped[int]
    """Visits looked at, one picture of each."""
    confirmed: Mapped[int]
    """Confirmed cases looked at."""
    report: Mapped[str] = mapped_column(sa.Text)
    """JSON; emptied in older runs, since every run looks at everything."""


class WatchLookRow(Base):
    """That a look was asked for, how far it is, and how it ended. What it found is a `WatchRunRow`."""

    __tablename__ = "watch_looks"
    __table_args__ = (sa.Index("ix_watch_looks_ended_at", "ended_at", "made_at"),)

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    made_at: Mapped[datetime]
    actor_kind: Mapped[str] = mapped_column(sa.String(16))
    actor_id: Mapped[str] = mapped_column(sa.String(200))
    actor_name: Mapped[str] = mapped_column(sa.String(500))
    tries: Mapped[int]
    """How often it was taken up."""
    claimed_until: Mapped[datetime | None]
    """Until when whoever took it up is believed to be at work on it."""
    done: Mapped[int]
    steps: Mapped[int]
    ended_at: Mapped[datetime | None]
    failure: Mapped[str] = mapped_column(sa.Text)
    """Why nothing was found out; empty where it went well."""


class WatchAlarmRow(Base):
    """That a measure gave an alarm. Append-only."""

    __tablename__ = "watch_alarms"
    __table_args__ = (sa.Index("ix_watch_alarms_measure", "bundle", "measure"),)

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    made_at: Mapped[datetime]
    bundle: Mapped[str] = mapped_column(sa.String(200))
    measure: Mapped[str] = mapped_column(sa.String(40))
    began_at: Mapped[datetime]
    """From when on the evidence was gathered: an estimate of when the change happened."""
    found_at: Mapped[datetime]
    """The time of the case with which the evidence was enough."""
    detail: Mapped[str] = mapped_column(sa.Text)
    """JSON: the measure's figures as they were then."""


class WatchReviewRow(Base):
    """What a lead found behind an alarm. Append-only."""

    __tablename__ = "watch_reviews"

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    alarm_id: Mapped[str] = mapped_column(ID, sa.ForeignKey("watch_alarms.id"), unique=True)
    made_at: Mapped[datetime]
    actor_kind: Mapped[str] = mapped_column(sa.String(16))
    actor_id: Mapped[str] = mapped_column(sa.String(200))
    actor_name: Mapped[str] = mapped_column(sa.String(500))
    outcome: Mapped[Outcome] = mapped_column(words(Outcome))
    note: Mapped[str] = mapped_column(sa.Text)
