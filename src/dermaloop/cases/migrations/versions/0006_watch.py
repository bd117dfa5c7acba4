# ruff: noqa: INP001 - Alembic loads these by path; as a package they would run on import
"""Watching: imprints of pictures, runs, alarms, and what leads said of them."""

import sqlalchemy as sa
from alembic import op

from dermaloop.cases.database import UtcTime
from dermaloop.cases.triggers import protect_append_only

revision = "0006_watch"
down_revision = "0005_feedback"
branch_labels = None
depends_on = None

_ID = sa.String(36)


def upgrade() -> None:
    """Makes the tables."""
    op.create_table(
        "imprints",
        sa.Column("prediction_id", _ID, nullable=False),
        sa.Column("patient_id", _ID, nullable=False),
        sa.Column("embedding", sa.LargeBinary(), nullable=False),
        sa.Column("texture", sa.LargeBinary(), nullable=False),
        sa.Column("measures", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["prediction_id"], ["predictions.id"], name="fk_imprints_prediction_id"),
        sa.ForeignKeyConstraint(["patient_id"], ["patients.id"], name="fk_imprints_patient_id"),
        sa.PrimaryKeyConstraint("prediction_id", name="pk_imprints"),
    )
    op.create_index("ix_imprints_patient_id", "imprints", ["patient_id"])
    op.create_table(
        "watch_runs",
        sa.Column("id", _ID, nullable=False),
        sa.Column("made_at", UtcTime(), nullable=False),
        sa.Column("bundle", sa.String(200), nullable=False),
        sa.Column("bundle_sha256", sa.String(64), nullable=False),
        sa.Column("visits", sa.Integer(), nullable=False),
        sa.Column("confirmed", sa.Integer(), nullable=False),
        sa.Column("report", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_watch_runs"),
    )
    op.create_index("ix_watch_runs_made_at", "watch_runs", ["made_at"])
    op.create_table(
        "watch_alarms",
        sa.Column("id", _ID, nullable=False),
        sa.Column("made_at", UtcTime(), nullable=False),
        sa.Column("bundle", sa.String(200), nullable=False),
        sa.Column("measure", sa.String(40), nullable=False),
        sa.Column("began_at", UtcTime(), nullable=False),
        sa.Column("found_at", UtcTime(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_watch_alarms"),
    )
    op.create_index("ix_watch_alarms_measure", "watch_alarms", ["bundle", "measure"])
    op.create_table(
        "watch_reviews",
        sa.Column("id", _ID, nullable=False),
        sa.Column("alarm_id", _ID, nullable=False),
        sa.Column("made_at", UtcTime(), nullable=False),
        sa.Column("actor_kind", sa.String(16), nullable=False),
        sa.Column("actor_id", sa.String(200), nullable=False),
        sa.Column("actor_name", sa.String(500), nullable=False),
        sa.Column("outcome", sa.String(40), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["alarm_id"], ["watch_alarms.id"], name="fk_watch_reviews_alarm_id"),
        sa.PrimaryKeyConstraint("id", name="pk_watch_reviews"),
        sa.UniqueConstraint("alarm_id", name="uq_watch_reviews_alarm_id"),
    )
    dialect = op.get_bind().dialect.name
    protect_append_only(op.execute, dialect, "watch_alarms", key="id")
    protect_append_only(op.execute, dialect, "watch_reviews", key="id")
