"""The tables of the registry: model versions, the history of their aliases, and what a shadow said.

Owns columns and keys; the migration makes exactly these. Refuses to know rules (`cases.registry`, `cases.promotion`,
`cases.shadow`). `models` and `model_aliases` are append-only, held so by triggers: an alias is what its last entry says
and nothing once decided is overwritten. What a shadow said lies apart from `predictions`, so that no page
of a clinician can show it by mistake; its rows belong to a patient and go with them.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from dermaloop.cases.database import Base
from dermaloop.cases.tables import ID, SHA256, words
from dermaloop.core.prediction import Decision, Status
from dermaloop.core.taxonomy import Diagnosis


class Alias(StrEnum):
    """What a model version is at this moment."""

    CHAMPION = "champion"
    CHALLENGER = "challenger"
    SHADOW = "shadow"
    RETIRED = "retired"


class Act(StrEnum):
    """By what an alias came to point where it does."""

    FIRST = "first"
    PROPOSED = "proposed"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"
    REPLACED = "replaced"
    DECLINED = "declined"
    STARTED = "started"
    STOPPED = "stopped"


class Origin(StrEnum):
    """Where a model version came from."""

    SHIPPED = "shipped"
    ADDED = "added"
    NAMED = "named"
    PROPOSED = "proposed"


class SilentKind(StrEnum):
    """Why a silent prediction was made: beside the champion on a new picture, or afterwards on an old one."""

    SHADOW = "shadow"
    REPLAY = "replay"


class ModelRow(Base):
    """One registered bundle with what led to it. Append-only; the file lies under `file_sha256`."""

    __tablename__ = "models"

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    made_at: Mapped[datetime]
    origin: Mapped[Origin] = mapped_column(words(Origin))
    identity: Mapped[str] = mapped_column(sa.String(300), index=True)
    """`Bundle.identity`, as predictions name it."""
    name: Mapped[str] = mapped_column(sa.String(200))
    version: Mapped[str] = mapped_column(sa.String(200))
    created: Mapped[str] = mapped_column(sa.String(40))
    file_sha256: Mapped[str] = mapped_column(SHA256, index=True)
    size_bytes: Mapped[int] = mapped_column(sa.BigInteger)
    bundle_sha256: Mapped[str] = mapped_column(SHA256, index=True)
    model_sha256: Mapped[str] = mapped_column(SHA256)
    manifest_sha256: Mapped[str] = mapped_column(sa.String(100))
    recipe_sha256: Mapped[str] = mapped_column(sa.String(100))
    code_sha256: Mapped[str] = mapped_column(sa.String(100))
    parent_id: Mapped[str | None] = mapped_column(ID, sa.ForeignKey("models.id"), index=True)
    plan: Mapped[str | None] = mapped_column(sa.Text)
    """Canonical JSON; None where no plan stands behind it."""
    plan_sha256: Mapped[str | None] = mapped_column(SHA256)
    gates: Mapped[str] = mapped_column(sa.Text)
    """Canonical JSON, a list."""
    evidence_sha256: Mapped[str | None] = mapped_column(SHA256)
    """Of the zip that holds the folder of evidence, beside the bundle."""
    actor_kind: Mapped[str] = mapped_column(sa.String(16))
    actor_id: Mapped[str] = mapped_column(sa.String(200))
    actor_name: Mapped[str] = mapped_column(sa.String(500))


class AliasRow(Base):
    """One entry of the history of aliases. Append-only; for champion, challenger and shadow the last one counts."""

    __tablename__ = "model_aliases"

    sequence: Mapped[int] = mapped_column(sa.Integer, primary_key=True, autoincrement=False)
    alias: Mapped[Alias] = mapped_column(words(Alias), index=True)
    model_id: Mapped[str | None] = mapped_column(ID, sa.ForeignKey("models.id"), index=True)
    """None: the alias points to nothing from here on."""
    act: Mapped[Act] = mapped_column(words(Act))
    at: Mapped[datetime]
    reason: Mapped[str] = mapped_column(sa.Text)
    actor_kind: Mapped[str] = mapped_column(sa.String(16))
    actor_id: Mapped[str] = mapped_column(sa.String(200))
    actor_name: Mapped[str] = mapped_column(sa.String(500))


class SilentPredictionRow(Base):
    """What a model said of a picture without anybody being shown it. Append-only, but for a deleted patient's."""

    __tablename__ = "silent_predictions"
    __table_args__ = (sa.UniqueConstraint("model_id", "image_id"),)

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    kind: Mapped[SilentKind] = mapped_column(words(SilentKind))
    model_id: Mapped[str] = mapped_column(ID, sa.ForeignKey("models.id"))
    patient_id: Mapped[str] = mapped_column(ID, sa.ForeignKey("patients.id"), index=True)
    case_id: Mapped[str] = mapped_column(ID, sa.ForeignKey("cases.id"), index=True)
    image_id: Mapped[str] = mapped_column(ID, sa.ForeignKey("images.id"), index=True)
    beside_id: Mapped[str] = mapped_column(ID, sa.ForeignKey("predictions.id"), index=True)
    """The prediction that people were shown of the same picture, to compare it with."""
    made_at: Mapped[datetime]
    took_s: Mapped[float]
    status: Mapped[Status] = mapped_column(words(Status))
    malignant_probability: Mapped[float | None]
    decision: Mapped[Decision] = mapped_column(words(Decision))
    operating_point: Mapped[str] = mapped_column(sa.String(100))
    threshold: Mapped[float | None]
    top_diagnosis: Mapped[Diagnosis | None] = mapped_column(words(Diagnosis))
    ood_distance: Mapped[float | None]


class ShadowTallyRow(Base):
    """How many pictures a shadow was not asked about, by reason; written with its next answer."""

    __tablename__ = "shadow_tallies"

    model_id: Mapped[str] = mapped_column(ID, sa.ForeignKey("models.id"), primary_key=True)
    reason: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    count: Mapped[int] = mapped_column(sa.Integer)
