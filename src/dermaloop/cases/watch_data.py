"""What of the records is watched: one picture of each visit, and confirmed cases with what was answered.

Owns which rows count. Refuses statistics. No name, pseudonym or text is read; nobody's record is looked at by anybody,
so reading is not logged.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from dermaloop.cases.imprints import unpack
from dermaloop.cases.opinions import standing
from dermaloop.cases.records import ConfirmationEntry, record
from dermaloop.cases.tables import CaseRow, ConfirmationRow, ImageRow, PredictionRow
from dermaloop.cases.watch_tables import ImprintRow
from dermaloop.core.manifest import Confirmation
from dermaloop.core.prediction import Decision, Status

COUNTS: frozenset[Confirmation] = frozenset(Confirmation) - {Confirmation.SINGLE_CLINICIAN, Confirmation.UNKNOWN}
"""Confirmations that count: one clinician's word may follow the model's own answer."""
_SIDE_STEP_PX = 16
"""Sides of pictures are told apart in steps, so that a crop by hand is no new camera."""


@dataclass(frozen=True, slots=True)
class WatchedPicture:
    """A picture and what a bundle said of it.

    Attributes:
        id: Of the prediction.
        at: When it was assessed.
        image_type: As the clinician said.
        device: Format and shape of the file, which tells cameras and their settings apart; metadata is not kept.
        probability: Of malignancy.
        declined: Whether the model declined.
        distance: Feature-space distance.
        embedding: float64 (E,); None where no imprint is kept, e.g. of a deleted patient.
        texture: float64 (T,).
        measures: Number by name.
    """

    id: str
    at: datetime
    image_type: str
    device: str
    probability: float | None
    declined: bool
    distance: float | None
    embedding: NDArray[np.float64] | None = None
    texture: NDArray[np.float64] | None = None
    measures: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WatchedCase:
    """A confirmed case and what was answered before.

    Attributes:
        at: When the confirmation was written down.
        malignant: What it was.
        decision: refer where any picture's answer was, none where all were declined.
        probability: The highest of its pictures, of malignancy.
    """

    at: datetime
    malignant: bool
    decision: Decision
    probability: float


def watched_pictures(session: Session, bundle: str) -> list[WatchedPicture]:
    """One picture of each patient and visit that a bundle assessed, oldest first.

    Which one is drawn by its id: the first would be an overview in a practice that begins with one.

    Args:
        session: Any.
        bundle: Identity of the bundle.
    """
    columns = (
        PredictionRow.id,
        PredictionRow.made_at,
        PredictionRow.status,
        PredictionRow.malignant_probability,
        PredictionRow.ood_distance,
        ImageRow.visit_id,
        ImageRow.image_type,
        ImageRow.format,
        ImageRow.width_px,
        ImageRow.height_px,
        ImprintRow.embedding,
        ImprintRow.texture,
        ImprintRow.measures,
    )
    query = (
        sa.select(*columns)
        .join(ImageRow, ImageRow.id == PredictionRow.image_id)
        .outerjoin(ImprintRow, ImprintRow.prediction_id == PredictionRow.id)
        .where(PredictionRow.bundle == bundle, PredictionRow.status != Status.UNREADABLE)
        .order_by(PredictionRow.made_at, PredictionRow.id)
    )
    chosen: dict[str, tuple[str, Any]] = {}
    for row in session.execute(query):
        drawn = hashlib.sha256(row.id.encode()).hexdigest()
        known = chosen.get(row.visit_id)
        if known is None or drawn < known[0]:
            chosen[row.visit_id] = (drawn, row)
    rows = sorted((row for _, row in chosen.values()), key=lambda row: (row.made_at, row.id))
    return [_picture(row) for row in rows]


def _picture(row: Any) -> WatchedPicture:
    width, height = (round(side / _SIDE_STEP_PX) * _SIDE_STEP_PX for side in (row.width_px, row.height_px))
    return WatchedPicture(
        id=row.id,
        at=row.made_at,
        image_type=str(row.image_type),
        device=f"{row.format} {max(width, height)} x {min(width, height)}",
        probability=row.malignant_probability,
        declined=row.status is not Status.ASSESSED,
        distance=row.ood_distance,
        embedding=None if row.embedding is None else unpack(row.embedding),
        texture=None if row.texture is None else unpack(row.texture),
        measures={} if row.measures is None else json.loads(row.measures),
    )


def watched_cases(session: Session, bundle: str) -> tuple[list[WatchedCase], dict[str, tuple[int, int]]]:
    """Confirmed cases that a bundle had answered before, in the order of their confirmation; one for each lesion.

    Args:
        session: Any.
        bundle: Identity of the bundle.

    Returns:
        The cases; and by decision (`refer`, `no_referral`, or empty where it declined) how many cases are confirmed and
        how many there are: who gets a biopsy is not drawn by lot.
    """
    answers: dict[str, list[Any]] = {}
    said = sa.select(
        PredictionRow.case_id, PredictionRow.made_at, PredictionRow.decision, PredictionRow.malignant_probability
    ).where(PredictionRow.bundle == bundle, PredictionRow.malignant_probability.is_not(None))
    for row in session.execute(said.order_by(PredictionRow.made_at)):
        answers.setdefault(row.case_id, []).append(row)
    found: list[WatchedCase] = []
    for entry in _last_standing(session):
        before = [row for row in answers.get(entry.case_id, ()) if row.made_at <= entry.made_at]
        malignant = entry.counts_as_malignant
        if before and malignant is not None and entry.confirmation in COUNTS:
            highest = max(row.malignant_probability for row in before)
            found.append(WatchedCase(entry.made_at, malignant, _decision(before), highest))
    found.sort(key=lambda case: case.at)
    return found, _shares(session, answers)


def _decision(rows: list[Any]) -> Decision:
    said = {row.decision for row in rows}
    return next((one for one in (Decision.REFER, Decision.NO_REFERRAL) if one in said), Decision.NONE)


def _last_standing(session: Session) -> list[ConfirmationEntry]:
    """The latest standing confirmation of each lesion."""
    rows = session.scalars(sa.select(ConfirmationRow).order_by(ConfirmationRow.made_at, ConfirmationRow.id))
    latest = {entry.lesion_id: entry for entry in standing(record(ConfirmationEntry, row) for row in rows)}
    return list(latest.values())


def _shares(session: Session, answers: dict[str, list[Any]]) -> dict[str, tuple[int, int]]:
    confirmed = set(session.scalars(sa.select(CaseRow.id).where(CaseRow.confirmed)))
    every: Counter[str] = Counter()
    known: Counter[str] = Counter()
    for case_id, rows in answers.items():
        decision = str(_decision(rows))
        every[decision] += 1
        known[decision] += case_id in confirmed
    return {str(decision): (known[str(decision)], every[str(decision)]) for decision in Decision}
