# ruff: noqa: INP001 - Alembic loads these by path; as a package they would run on import
"""Consent to training; flags on confirmations and what leads said of them; suggested cases."""

import sqlalchemy as sa
from alembic import op

from dermaloop.cases.database import UtcTime
from dermaloop.cases.triggers import protect_records

revision = "0005_feedback"
down_revision = "0004_registry"
branch_labels = None
depends_on = None

_ID = sa.String(36)
_WORD = sa.String(40)


def upgrade() -> None:
    """Adds the column and makes the tables."""
    op.add_column(
        "patients", sa.Column("training_consent", _WORD, nullable=False, server_default=sa.text("'not given'"))
    )
    op.create_table(
        "feedback_flags",
        sa.Column("id", _ID, nullable=False),
        sa.Column("patient_id", _ID, nullable=False),
        sa.Column("case_id", _ID, nullable=False),
        sa.Column("confirmation_id", _ID, nullable=False),
        sa.Column("made_at", UtcTime(), nullable=False),
        sa.Column("kind", _WORD, nullable=False),
        sa.Column("about", sa.String(100), nullable=False),
        sa.Column("sentence", sa.Text(), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["patient_id"], ["patients.id"], name="fk_feedback_flags_patient_id"),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name="fk_feedback_flags_case_id"),
        sa.ForeignKeyConstraint(["confirmation_id"], ["confirmations.id"], name="fk_feedback_flags_confirmation_id"),
        sa.PrimaryKeyConstraint("id", name="pk_feedback_flags"),
        sa.UniqueConstraint("confirmation_id", "kind", "about", name="uq_feedback_flags_confirmation_id_kind_about"),
    )
    for column in ("patient_id", "case_id", "confirmation_id"):
        op.create_index(f"ix_feedback_flags_{column}", "feedback_flags", [column])
    op.create_table(
        "feedback_reviews",
        sa.Column("id", _ID, nullable=False),
        sa.Column("patient_id", _ID, nullable=False),
        sa.Column("flag_id", _ID, nullable=False),
        sa.Column("made_at", UtcTime(), nullable=False),
        sa.Column("actor_kind", sa.String(16), nullable=False),
        sa.Column("actor_id", sa.String(200), nullable=False),
        sa.Column("actor_name", sa.String(500), nullable=False),
        sa.Column("verdict", _WORD, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["patient_id"], ["patients.id"], name="fk_feedback_reviews_patient_id"),
        sa.ForeignKeyConstraint(["flag_id"], ["feedback_flags.id"], name="fk_feedback_reviews_flag_id"),
        sa.PrimaryKeyConstraint("id", name="pk_feedback_reviews"),
    )
    for column in ("patient_id", "flag_id"):
        op.create_index(f"ix_feedback_reviews_{column}", "feedback_reviews", [column])
    op.create_table(
        "case_suggestions",
        sa.Column("case_id", _ID, nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("made_at", UtcTime(), nullable=False),
        sa.Column("bundle", sa.String(200), nullable=False),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name="fk_case_suggestions_case_id"),
        sa.PrimaryKeyConstraint("case_id", name="pk_case_suggestions"),
    )
    for table in ("feedback_flags", "feedback_reviews"):
        protect_records(op.execute, op.get_bind().dialect.name, table)
