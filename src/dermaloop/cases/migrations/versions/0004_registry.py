# ruff: noqa: INP001 - Alembic loads these by path; as a package they would run on import
"""The registry of models, the history of their aliases, and what a shadow said."""

import sqlalchemy as sa
from alembic import op

from dermaloop.cases.database import UtcTime
from dermaloop.cases.triggers import protect_append_only, protect_records

revision = "0004_registry"
down_revision = "0003_kept_answers"
branch_labels = None
depends_on = None

_ID = sa.String(36)
_SHA256 = sa.String(64)
_WORD = sa.String(40)


def upgrade() -> None:
    """Makes the tables."""
    _models()
    _silent_predictions()
    dialect = op.get_bind().dialect.name
    protect_append_only(op.execute, dialect, "models", key="id")
    protect_append_only(op.execute, dialect, "model_aliases", key="sequence")
    protect_records(op.execute, dialect, "silent_predictions")


def _models() -> None:
    op.create_table(
        "models",
        sa.Column("id", _ID, nullable=False),
        sa.Column("made_at", UtcTime(), nullable=False),
        sa.Column("origin", _WORD, nullable=False),
        sa.Column("identity", sa.String(300), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("version", sa.String(200), nullable=False),
        sa.Column("created", sa.String(40), nullable=False),
        sa.Column("file_sha256", _SHA256, nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("bundle_sha256", _SHA256, nullable=False),
        sa.Column("model_sha256", _SHA256, nullable=False),
        sa.Column("manifest_sha256", sa.String(100), nullable=False),
        sa.Column("recipe_sha256", sa.String(100), nullable=False),
        sa.Column("code_sha256", sa.String(100), nullable=False),
        sa.Column("parent_id", _ID, nullable=True),
        sa.Column("plan", sa.Text(), nullable=True),
        sa.Column("plan_sha256", _SHA256, nullable=True),
        sa.Column("gates", sa.Text(), nullable=False),
        sa.Column("evidence_sha256", _SHA256, nullable=True),
        sa.Column("actor_kind", sa.String(16), nullable=False),
        sa.Column("actor_id", sa.String(200), nullable=False),
        sa.Column("actor_name", sa.String(500), nullable=False),
        sa.ForeignKeyConstraint(["parent_id"], ["models.id"], name="fk_models_parent_id"),
        sa.PrimaryKeyConstraint("id", name="pk_models"),
    )
    for column in ("identity", "file_sha256", "bundle_sha256", "parent_id"):
        op.create_index(f"ix_models_{column}", "models", [column])
    op.create_table(
        "model_aliases",
        sa.Column("sequence", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("alias", _WORD, nullable=False),
        sa.Column("model_id", _ID, nullable=True),
        sa.Column("act", _WORD, nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("actor_kind", sa.String(16), nullable=False),
        sa.Column("actor_id", sa.String(200), nullable=False),
        sa.Column("actor_name", sa.String(500), nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name="fk_model_aliases_model_id"),
        sa.PrimaryKeyConstraint("sequence", name="pk_model_aliases"),
    )
    for column in ("alias", "model_id"):
        op.create_index(f"ix_model_aliases_{column}", "model_aliases", [column])


def _silent_predictions() -> None:
    owners = {"patient_id": "patients", "case_id": "cases", "image_id": "images", "beside_id": "predictions"}
    op.create_table(
        "silent_predictions",
        sa.Column("id", _ID, nullable=False),
        sa.Column("kind", _WORD, nullable=False),
        sa.Column("model_id", _ID, nullable=False),
        *(sa.Column(column, _ID, nullable=False) for column in owners),
        sa.Column("made_at", UtcTime(), nullable=False),
        sa.Column("took_s", sa.Double(), nullable=False),
        sa.Column("status", _WORD, nullable=False),
        sa.Column("malignant_probability", sa.Double(), nullable=True),
        sa.Column("decision", _WORD, nullable=False),
        sa.Column("operating_point", sa.String(100), nullable=False),
        sa.Column("threshold", sa.Double(), nullable=True),
        sa.Column("top_diagnosis", _WORD, nullable=True),
        sa.Column("ood_distance", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name="fk_silent_predictions_model_id"),
        *(
            sa.ForeignKeyConstraint([column], [f"{table}.id"], name=f"fk_silent_predictions_{column}")
            for column, table in owners.items()
        ),
        sa.PrimaryKeyConstraint("id", name="pk_silent_predictions"),
        sa.UniqueConstraint("model_id", "image_id", name="uq_silent_predictions_model_id_image_id"),
    )
    for column in owners:
        op.create_index(f"ix_silent_predictions_{column}", "silent_predictions", [column])
    op.create_table(
        "shadow_tallies",
        sa.Column("model_id", _ID, nullable=False),
        sa.Column("reason", sa.String(40), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name="fk_shadow_tallies_model_id"),
        sa.PrimaryKeyConstraint("model_id", "reason", name="pk_shadow_tallies"),
    )
