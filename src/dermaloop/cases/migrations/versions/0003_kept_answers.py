# ruff: noqa: INP001 - Alembic loads these by path; as a package they would run on import
"""Answers kept by idempotency key."""

import sqlalchemy as sa
from alembic import op

from dermaloop.cases.database import UtcTime

revision = "0003_kept_answers"
down_revision = "0002_accounts"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes the table."""
    op.create_table(
        "kept_answers",
        sa.Column("key_hash", sa.String(64), nullable=False),
        sa.Column("request_sha256", sa.String(64), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("patient_id", sa.String(36), nullable=True),
        sa.Column("ends_at", UtcTime(), nullable=False),
        sa.ForeignKeyConstraint(["patient_id"], ["patients.id"], name="fk_kept_answers_patient_id"),
        sa.PrimaryKeyConstraint("key_hash", name="pk_kept_answers"),
    )
    op.create_index("ix_kept_answers_patient_id", "kept_answers", ["patient_id"])
    op.create_index("ix_kept_answers_ends_at", "kept_answers", ["ends_at"])
