# ruff: noqa: INP001 - Alembic loads these by path; as a package they would run on import
"""Screening jobs, their pictures and who looked at them; links by which a phone adds pictures to a case."""

import sqlalchemy as sa
from alembic import op

from dermaloop.cases.database import UtcTime

revision = "0007_jobs_and_phone"
down_revision = "0006_watch"
branch_labels = None
depends_on = None

_ID = sa.String(36)
_SHA256 = sa.String(64)
_WORD = sa.String(40)


def upgrade() -> None:
    """Makes the tables."""
    _jobs()
    _items()
    op.create_table(
        "phone_links",
        sa.Column("id", _ID, nullable=False),
        sa.Column("secret_hash", _SHA256, nullable=False),
        sa.Column("case_id", _ID, nullable=False),
        sa.Column("patient_id", _ID, nullable=False),
        sa.Column("image_type", _WORD, nullable=False),
        sa.Column("account_id", _ID, nullable=False),
        sa.Column("made_at", UtcTime(), nullable=False),
        sa.Column("ends_at", UtcTime(), nullable=False),
        sa.Column("revoked_at", UtcTime(), nullable=True),
        sa.Column("pictures", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name="fk_phone_links_case_id"),
        sa.ForeignKeyConstraint(["patient_id"], ["patients.id"], name="fk_phone_links_patient_id"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_phone_links_account_id"),
        sa.PrimaryKeyConstraint("id", name="pk_phone_links"),
        sa.UniqueConstraint("secret_hash", name="uq_phone_links_secret_hash"),
    )
    op.create_index("ix_phone_links_case_id", "phone_links", ["case_id"])


def _jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", _ID, nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("made_at", UtcTime(), nullable=False),
        sa.Column("actor_kind", sa.String(16), nullable=False),
        sa.Column("actor_id", sa.String(200), nullable=False),
        sa.Column("actor_name", sa.String(500), nullable=False),
        sa.Column("expected", sa.Integer(), nullable=False),
        sa.Column("cancelled_at", UtcTime(), nullable=True),
        sa.Column("deleted_at", UtcTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
    )
    op.create_index("ix_jobs_made_at", "jobs", ["made_at"])
    op.create_table(
        "job_views",
        sa.Column("job_id", _ID, nullable=False),
        sa.Column("actor_kind", sa.String(16), nullable=False),
        sa.Column("actor_id", sa.String(200), nullable=False),
        sa.Column("seen_at", UtcTime(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_job_views_job_id"),
        sa.PrimaryKeyConstraint("job_id", "actor_kind", "actor_id", name="pk_job_views"),
    )


def _items() -> None:
    op.create_table(
        "job_items",
        sa.Column("id", _ID, nullable=False),
        sa.Column("job_id", _ID, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(500), nullable=False),
        sa.Column("received_sha256", _SHA256, nullable=False),
        sa.Column("received_bytes", sa.Integer(), nullable=False),
        sa.Column("sha256", _SHA256, nullable=True),
        sa.Column("format", sa.String(10), nullable=False),
        sa.Column("width_px", sa.Integer(), nullable=False),
        sa.Column("height_px", sa.Integer(), nullable=False),
        sa.Column("made_at", UtcTime(), nullable=False),
        sa.Column("state", _WORD, nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("claimed_until", UtcTime(), nullable=True),
        sa.Column("done_at", UtcTime(), nullable=True),
        sa.Column("bundle_sha256", _SHA256, nullable=False),
        sa.Column("status", _WORD, nullable=True),
        sa.Column("decision", _WORD, nullable=True),
        sa.Column("rank", sa.Double(), nullable=False),
        sa.Column("record", sa.Text(), nullable=False),
        sa.Column("heatmap", sa.LargeBinary(), nullable=True),
        sa.Column("embedding", sa.LargeBinary(), nullable=True),
        sa.Column("texture", sa.LargeBinary(), nullable=True),
        sa.Column("colour", sa.String(100), nullable=False),
        sa.Column("patient_id", _ID, nullable=True),
        sa.Column("case_id", _ID, nullable=True),
        sa.Column("image_id", _ID, nullable=True),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_job_items_job_id"),
        sa.ForeignKeyConstraint(["patient_id"], ["patients.id"], name="fk_job_items_patient_id"),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name="fk_job_items_case_id"),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], name="fk_job_items_image_id"),
        sa.PrimaryKeyConstraint("id", name="pk_job_items"),
        sa.UniqueConstraint("job_id", "received_sha256", "name", name="uq_job_items_job_id_received_sha256_name"),
    )
    for columns in (("job_id",), ("sha256",), ("patient_id",)):
        op.create_index(f"ix_job_items_{'_'.join(columns)}", "job_items", list(columns))
    op.create_index("ix_job_items_rank", "job_items", ["job_id", "rank", "number"])
    op.create_index("ix_job_items_waiting", "job_items", ["state", "made_at"])
