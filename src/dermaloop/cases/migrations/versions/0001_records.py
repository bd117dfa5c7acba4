# ruff: noqa: INP001 - Alembic loads these by path; as a package they would run on import
"""The first tables: the audit log and the clinic's records.

There is no way down: records of patients are never dropped by a program. To go back, restore a backup.
"""

import sqlalchemy as sa
from alembic import op

from dermaloop.cases.database import UtcTime
from dermaloop.cases.triggers import protect_append_only, protect_records

revision = "0001_records"
down_revision = None
branch_labels = None
depends_on = None

_COUNT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_ID = sa.String(36)
_SHA256 = sa.String(64)
_WORD = sa.String(40)


def upgrade() -> None:
    """Makes the tables."""
    _audit()
    _records()
    for table in ("predictions", "impressions", "confirmations", "signoffs"):
        protect_records(op.execute, op.get_bind().dialect.name, table)


def _audit() -> None:
    op.create_table(
        "audit_entries",
        sa.Column("sequence", _COUNT, autoincrement=False, nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.Column("actor_kind", sa.String(16), nullable=False),
        sa.Column("actor_id", sa.String(200), nullable=False),
        sa.Column("actor_name", sa.String(500), nullable=False),
        sa.Column("address", sa.String(200), nullable=True),
        sa.Column("action", sa.String(100), nullable=False),
        sa.Column("subject_kind", sa.String(100), nullable=False),
        sa.Column("subject_id", sa.String(200), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("previous", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name="pk_audit_entries"),
    )
    for column in ("actor_id", "action", "subject_id"):
        op.create_index(f"ix_audit_entries_{column}", "audit_entries", [column])
    op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("count", _COUNT, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("mac", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit_head"),
    )
    protect_append_only(op.execute, op.get_bind().dialect.name, "audit_entries", key="sequence")


def _records() -> None:
    op.create_table(
        "patients",
        sa.Column("id", _ID, nullable=False),
        sa.Column("pseudonym", sa.String(100), nullable=True),
        sa.Column("pseudonym_key", sa.String(300), nullable=True),
        sa.Column("birth_year", sa.Integer(), nullable=True),
        sa.Column("sex", _WORD, nullable=False),
        sa.Column("skin_type", sa.Integer(), nullable=True),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("made_at", UtcTime(), nullable=False),
        sa.Column("deleted_at", UtcTime(), nullable=True),
        sa.CheckConstraint("birth_year BETWEEN 1850 AND 2200", name="ck_patients_birth_year"),
        sa.CheckConstraint("skin_type BETWEEN 1 AND 6", name="ck_patients_skin_type"),
        sa.PrimaryKeyConstraint("id", name="pk_patients"),
        sa.UniqueConstraint("pseudonym_key", name="uq_patients_pseudonym_key"),
    )
    op.create_table(
        "practice_settings",
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("changed_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_practice_settings"),
    )
    op.create_table(
        "lesions",
        sa.Column("id", _ID, nullable=False),
        sa.Column("patient_id", _ID, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("label", sa.String(100), nullable=False),
        sa.Column("site", sa.String(40), nullable=False),
        sa.Column("view", _WORD, nullable=True),
        sa.Column("x", sa.Double(), nullable=True),
        sa.Column("y", sa.Double(), nullable=True),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("made_at", UtcTime(), nullable=False),
        sa.CheckConstraint("x BETWEEN 0 AND 1 AND y BETWEEN 0 AND 1", name="ck_lesions_point"),
        sa.ForeignKeyConstraint(["patient_id"], ["patients.id"], name="fk_lesions_patient_id"),
        sa.PrimaryKeyConstraint("id", name="pk_lesions"),
        sa.UniqueConstraint("patient_id", "number", name="uq_lesions_patient_id_number"),
    )
    op.create_index("ix_lesions_patient_id", "lesions", ["patient_id"], unique=False)
    op.create_table(
        "visits",
        sa.Column("id", _ID, nullable=False),
        sa.Column("patient_id", _ID, nullable=False),
        sa.Column("visited_on", sa.Date(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("made_at", UtcTime(), nullable=False),
        sa.ForeignKeyConstraint(["patient_id"], ["patients.id"], name="fk_visits_patient_id"),
        sa.PrimaryKeyConstraint("id", name="pk_visits"),
    )
    op.create_index("ix_visits_patient_id", "visits", ["patient_id"], unique=False)
    op.create_table(
        "cases",
        sa.Column("id", _ID, nullable=False),
        sa.Column("patient_id", _ID, nullable=False),
        sa.Column("lesion_id", _ID, nullable=False),
        sa.Column("visit_id", _ID, nullable=False),
        sa.Column("made_at", UtcTime(), nullable=False),
        sa.Column("suspicion", sa.Double(), nullable=False),
        sa.Column("declined", sa.Boolean(), nullable=False),
        sa.Column("management", _WORD, nullable=True),
        sa.Column("signed_at", UtcTime(), nullable=True),
        sa.Column("confirmed", sa.Boolean(), nullable=False),
        sa.Column("deleted_at", UtcTime(), nullable=True),
        sa.CheckConstraint("suspicion BETWEEN -1 AND 1", name="ck_cases_suspicion"),
        sa.ForeignKeyConstraint(["lesion_id"], ["lesions.id"], name="fk_cases_lesion_id"),
        sa.ForeignKeyConstraint(["patient_id"], ["patients.id"], name="fk_cases_patient_id"),
        sa.ForeignKeyConstraint(["visit_id"], ["visits.id"], name="fk_cases_visit_id"),
        sa.PrimaryKeyConstraint("id", name="pk_cases"),
        sa.UniqueConstraint("visit_id", "lesion_id", name="uq_cases_visit_id_lesion_id"),
    )
    op.create_index("ix_cases_lesion_id", "cases", ["lesion_id"], unique=False)
    op.create_index("ix_cases_newest", "cases", ["made_at", "id"], unique=False)
    op.create_index("ix_cases_patient_id", "cases", ["patient_id"], unique=False)
    op.create_index("ix_cases_suspicion", "cases", ["suspicion", "id"], unique=False)
    op.create_index("ix_cases_visit_id", "cases", ["visit_id"], unique=False)
    op.create_table(
        "confirmations",
        sa.Column("id", _ID, nullable=False),
        sa.Column("patient_id", _ID, nullable=False),
        sa.Column("lesion_id", _ID, nullable=False),
        sa.Column("case_id", _ID, nullable=False),
        sa.Column("made_at", UtcTime(), nullable=False),
        sa.Column("actor_kind", sa.String(16), nullable=False),
        sa.Column("actor_id", sa.String(200), nullable=False),
        sa.Column("actor_name", sa.String(500), nullable=False),
        sa.Column("diagnosis", _WORD, nullable=True),
        sa.Column("term", sa.String(200), nullable=False),
        sa.Column("malignancy", _WORD, nullable=True),
        sa.Column("confirmation", _WORD, nullable=False),
        sa.Column("confirmed_on", sa.Date(), nullable=False),
        sa.Column("confirmed_by", sa.String(200), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("document", sa.String(200), nullable=False),
        sa.Column("corrects_id", _ID, nullable=True),
        sa.Column("retracted", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name="fk_confirmations_case_id"),
        sa.ForeignKeyConstraint(["corrects_id"], ["confirmations.id"], name="fk_confirmations_corrects_id"),
        sa.ForeignKeyConstraint(["lesion_id"], ["lesions.id"], name="fk_confirmations_lesion_id"),
        sa.ForeignKeyConstraint(["patient_id"], ["patients.id"], name="fk_confirmations_patient_id"),
        sa.PrimaryKeyConstraint("id", name="pk_confirmations"),
        sa.UniqueConstraint("corrects_id", name="uq_confirmations_corrects_id"),
    )
    op.create_index("ix_confirmations_case_id", "confirmations", ["case_id"], unique=False)
    op.create_index("ix_confirmations_lesion_id", "confirmations", ["lesion_id"], unique=False)
    op.create_index("ix_confirmations_patient_id", "confirmations", ["patient_id"], unique=False)
    op.create_table(
        "images",
        sa.Column("id", _ID, nullable=False),
        sa.Column("patient_id", _ID, nullable=False),
        sa.Column("lesion_id", _ID, nullable=False),
        sa.Column("visit_id", _ID, nullable=False),
        sa.Column("case_id", _ID, nullable=False),
        sa.Column("image_type", _WORD, nullable=False),
        sa.Column("sha256", _SHA256, nullable=True),
        sa.Column("received_sha256", _SHA256, nullable=True),
        sa.Column("size_bytes", sa.Integer(), nullable=False),
        sa.Column("format", sa.String(10), nullable=False),
        sa.Column("width_px", sa.Integer(), nullable=False),
        sa.Column("height_px", sa.Integer(), nullable=False),
        sa.Column("pixel_size_mm", sa.Double(), nullable=True),
        sa.Column("made_at", UtcTime(), nullable=False),
        sa.Column("deleted_at", UtcTime(), nullable=True),
        sa.CheckConstraint("pixel_size_mm > 0", name="ck_images_pixel_size"),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name="fk_images_case_id"),
        sa.ForeignKeyConstraint(["lesion_id"], ["lesions.id"], name="fk_images_lesion_id"),
        sa.ForeignKeyConstraint(["patient_id"], ["patients.id"], name="fk_images_patient_id"),
        sa.ForeignKeyConstraint(["visit_id"], ["visits.id"], name="fk_images_visit_id"),
        sa.PrimaryKeyConstraint("id", name="pk_images"),
    )
    op.create_index("ix_images_case_id", "images", ["case_id"], unique=False)
    op.create_index("ix_images_lesion_id", "images", ["lesion_id"], unique=False)
    op.create_index("ix_images_patient_id", "images", ["patient_id"], unique=False)
    op.create_index("ix_images_sha256", "images", ["sha256"], unique=False)
    op.create_index("ix_images_visit_id", "images", ["visit_id"], unique=False)
    op.create_table(
        "predictions",
        sa.Column("id", _ID, nullable=False),
        sa.Column("patient_id", _ID, nullable=False),
        sa.Column("case_id", _ID, nullable=False),
        sa.Column("image_id", _ID, nullable=False),
        sa.Column("made_at", UtcTime(), nullable=False),
        sa.Column("bundle", sa.String(200), nullable=False),
        sa.Column("bundle_sha256", _SHA256, nullable=False),
        sa.Column("status", _WORD, nullable=False),
        sa.Column("malignant_probability", sa.Double(), nullable=True),
        sa.Column("decision", _WORD, nullable=False),
        sa.Column("operating_point", sa.String(100), nullable=False),
        sa.Column("threshold", sa.Double(), nullable=True),
        sa.Column("top_diagnosis", _WORD, nullable=True),
        sa.Column("ood_distance", sa.Double(), nullable=True),
        sa.Column("record", sa.Text(), nullable=False),
        sa.Column("heatmap", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name="fk_predictions_case_id"),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], name="fk_predictions_image_id"),
        sa.ForeignKeyConstraint(["patient_id"], ["patients.id"], name="fk_predictions_patient_id"),
        sa.PrimaryKeyConstraint("id", name="pk_predictions"),
    )
    op.create_index("ix_predictions_bundle", "predictions", ["bundle"], unique=False)
    op.create_index("ix_predictions_case_id", "predictions", ["case_id"], unique=False)
    op.create_index("ix_predictions_image_id", "predictions", ["image_id"], unique=False)
    op.create_index("ix_predictions_patient_id", "predictions", ["patient_id"], unique=False)
    op.create_table(
        "impressions",
        sa.Column("id", _ID, nullable=False),
        sa.Column("patient_id", _ID, nullable=False),
        sa.Column("case_id", _ID, nullable=False),
        sa.Column("made_at", UtcTime(), nullable=False),
        sa.Column("actor_kind", sa.String(16), nullable=False),
        sa.Column("actor_id", sa.String(200), nullable=False),
        sa.Column("actor_name", sa.String(500), nullable=False),
        sa.Column("diagnosis", _WORD, nullable=True),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("management", _WORD, nullable=False),
        sa.Column("timing", _WORD, nullable=False),
        sa.Column("seen_prediction_id", _ID, nullable=True),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name="fk_impressions_case_id"),
        sa.ForeignKeyConstraint(["patient_id"], ["patients.id"], name="fk_impressions_patient_id"),
        sa.ForeignKeyConstraint(["seen_prediction_id"], ["predictions.id"], name="fk_impressions_seen_prediction_id"),
        sa.PrimaryKeyConstraint("id", name="pk_impressions"),
    )
    op.create_index("ix_impressions_case_id", "impressions", ["case_id"], unique=False)
    op.create_index("ix_impressions_patient_id", "impressions", ["patient_id"], unique=False)
    op.create_table(
        "prediction_views",
        sa.Column("prediction_id", _ID, nullable=False),
        sa.Column("actor_kind", sa.String(16), nullable=False),
        sa.Column("actor_id", sa.String(200), nullable=False),
        sa.Column("case_id", _ID, nullable=False),
        sa.Column("seen_at", UtcTime(), nullable=False),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name="fk_prediction_views_case_id"),
        sa.ForeignKeyConstraint(["prediction_id"], ["predictions.id"], name="fk_prediction_views_prediction_id"),
        sa.PrimaryKeyConstraint("prediction_id", "actor_kind", "actor_id", name="pk_prediction_views"),
    )
    op.create_index("ix_prediction_views_case_id", "prediction_views", ["case_id"], unique=False)
    op.create_table(
        "signoffs",
        sa.Column("id", _ID, nullable=False),
        sa.Column("patient_id", _ID, nullable=False),
        sa.Column("case_id", _ID, nullable=False),
        sa.Column("made_at", UtcTime(), nullable=False),
        sa.Column("actor_kind", sa.String(16), nullable=False),
        sa.Column("actor_id", sa.String(200), nullable=False),
        sa.Column("actor_name", sa.String(500), nullable=False),
        sa.Column("kind", _WORD, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("impression_id", _ID, nullable=True),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name="fk_signoffs_case_id"),
        sa.ForeignKeyConstraint(["impression_id"], ["impressions.id"], name="fk_signoffs_impression_id"),
        sa.ForeignKeyConstraint(["patient_id"], ["patients.id"], name="fk_signoffs_patient_id"),
        sa.PrimaryKeyConstraint("id", name="pk_signoffs"),
    )
    op.create_index("ix_signoffs_case_id", "signoffs", ["case_id"], unique=False)
    op.create_index("ix_signoffs_patient_id", "signoffs", ["patient_id"], unique=False)
