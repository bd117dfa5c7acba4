# ruff: noqa: INP001 - Alembic loads these by path; as a package they would run on import
"""Looks of the watch that were asked for, and how far they are."""

import sqlalchemy as sa
from alembic import op

from dermaloop.cases.database import UtcTime

revision = "0008_watch_looks"
down_revision = "0007_jobs_and_phone"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes the table."""
    op.create_table(
        "watch_looks",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("made_at", UtcTime(), nullable=False),
        sa.Column("actor_kind", sa.String(16), nullable=False),
        sa.Column("actor_id", sa.String(200), nullable=False),
        sa.Column("actor_name", sa.String(500), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("claimed_until", UtcTime(), nullable=True),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("steps", sa.Integer(), nullable=False),
        sa.Column("ended_at", UtcTime(), nullable=True),
        sa.Column("failure", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_watch_looks"),
    )
    op.create_index("ix_watch_looks_ended_at", "watch_looks", ["ended_at", "made_at"])
