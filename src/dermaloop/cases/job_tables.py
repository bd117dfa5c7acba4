"""The tables of screening jobs: a list of pictures without patients, and what the model said of each.

Owns columns and keys. An item is a picture's row from its arrival to its answer: the answer is written into it, so that
a picture that was assessed twice, after a crash or by two servers, still has one row.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from dermaloop.cases.database import Base
from dermaloop.cases.tables import ID, SHA256, words
from dermaloop.core.prediction import Decision, Status

NAME_LENGTH = 500


class ItemState(StrEnum):
    """Where a picture of a job stands."""

    WAITING = "waiting"
    STOPPED = "stopped"
    """The job was cancelled before its turn came."""
    DONE = "done"
    """It has an answer, which may be that the model declines, or that the file cannot be read."""


class JobRow(Base):
    """One screening job. Emptied on deletion, but for ids and times."""

    __tablename__ = "jobs"

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(100))
    made_at: Mapped[datetime] = mapped_column(index=True)
    actor_kind: Mapped[str] = mapped_column(sa.String(16))
    actor_id: Mapped[str] = mapped_column(sa.String(200))
    actor_name: Mapped[str] = mapped_column(sa.String(500))
    expected: Mapped[int]
    """How many pictures its maker chose, as far as known; 0 where not said."""
    cancelled_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]


class JobItemRow(Base):
    """One picture of a job; its bytes lie in the image store under `sha256`."""

    __tablename__ = "job_items"
    __table_args__ = (
        sa.UniqueConstraint("job_id", "received_sha256", "name"),
        sa.Index("ix_job_items_rank", "job_id", "rank", "number"),
        sa.Index("ix_job_items_waiting", "state", "made_at"),
    )

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    job_id: Mapped[str] = mapped_column(ID, sa.ForeignKey("jobs.id"), index=True)
    number: Mapped[int]
    """1, 2, … within the job, in the order of arrival."""
    name: Mapped[str] = mapped_column(sa.String(NAME_LENGTH))
    """The file as its sender calls it, with its folders; shown, never used as a path."""
    received_sha256: Mapped[str] = mapped_column(sa.String(64))
    """Of the bytes as received; empty for a file over the limit, whose bytes were not kept."""
    received_bytes: Mapped[int]
    sha256: Mapped[str | None] = mapped_column(SHA256, index=True)
    """Of what is stored; None where nothing is."""
    format: Mapped[str] = mapped_column(sa.String(10))
    width_px: Mapped[int]
    height_px: Mapped[int]
    made_at: Mapped[datetime]
    state: Mapped[ItemState] = mapped_column(words(ItemState))
    tries: Mapped[int]
    """How often it was taken up: what fails a server each time must not fail it for ever."""
    claimed_until: Mapped[datetime | None]
    """Until when whoever took it up is believed to be at work on it."""
    done_at: Mapped[datetime | None]
    bundle_sha256: Mapped[str] = mapped_column(sa.String(64))
    status: Mapped[Status | None] = mapped_column(words(Status))
    decision: Mapped[Decision | None] = mapped_column(words(Decision))
    rank: Mapped[float]
    """What the list is sorted by, see `cases.jobs.rank`."""
    record: Mapped[str] = mapped_column(sa.Text)
    """Every field of the prediction as JSON, but heatmap and imprint; empty while it waits."""
    heatmap: Mapped[bytes | None] = mapped_column(sa.LargeBinary)
    embedding: Mapped[bytes | None] = mapped_column(sa.LargeBinary)
    texture: Mapped[bytes | None] = mapped_column(sa.LargeBinary)
    colour: Mapped[str] = mapped_column(sa.String(100))
    """The imprint's colour as JSON; with `embedding` and `texture` it goes along when the picture becomes a case."""
    patient_id: Mapped[str | None] = mapped_column(ID, sa.ForeignKey("patients.id"), index=True)
    case_id: Mapped[str | None] = mapped_column(ID, sa.ForeignKey("cases.id"))
    image_id: Mapped[str | None] = mapped_column(ID, sa.ForeignKey("images.id"))
    """What it became, once it was given to a patient."""


class JobViewRow(Base):
    """Who looked at a job's answers, and when last: what they know when a picture of it becomes a case."""

    __tablename__ = "job_views"

    job_id: Mapped[str] = mapped_column(ID, sa.ForeignKey("jobs.id"), primary_key=True)
    actor_kind: Mapped[str] = mapped_column(sa.String(16), primary_key=True)
    actor_id: Mapped[str] = mapped_column(sa.String(200), primary_key=True)
    seen_at: Mapped[datetime]
