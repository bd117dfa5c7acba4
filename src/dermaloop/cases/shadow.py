"""What a model said silently, and how that compares with what people were shown.

Owns the silent predictions (a shadow's on new pictures, a replay's on old ones), the count of what the shadow was not
asked, and which pictures a replay still lacks. Refuses to classify, and to show a silent answer to anybody who looks at
a patient: no function of the records reads these rows. The comparison is `cases.comparison`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dermaloop.cases import audit
from dermaloop.cases.actor import Actor
from dermaloop.cases.database import new_id, now
from dermaloop.cases.errors import InvalidRecordError, RecordNotFoundError
from dermaloop.cases.model_rows import find_row
from dermaloop.cases.model_tables import ShadowTallyRow, SilentKind, SilentPredictionRow
from dermaloop.cases.rows import find
from dermaloop.cases.tables import CaseRow, ImageRow, PredictionRow
from dermaloop.core.prediction import Decision, Prediction, Status
from dermaloop.core.taxonomy import Diagnosis


@dataclass(frozen=True, slots=True)
class SilentPrediction:
    """What a model said of a picture without anybody being shown it."""

    id: str
    kind: SilentKind
    model_id: str
    case_id: str
    image_id: str
    beside_id: str
    made_at: datetime
    status: Status
    malignant_probability: float | None
    decision: Decision
    operating_point: str
    threshold: float | None
    top_diagnosis: Diagnosis | None
    ood_distance: float | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """A picture on which a model has not said anything yet."""

    image_id: str
    sha256: str


def add_silent(
    session: Session,
    actor: Actor,
    model_id: str,
    image_id: str,
    prediction: Prediction,
    *,
    took_s: float,
    kind: SilentKind = SilentKind.SHADOW,
) -> bool:
    """Keeps what a model said of a picture without anybody being shown it. False where it had said so already.

    Args:
        session: From `Database.begin`.
        actor: Who asked; the program itself.
        model_id: Which model.
        image_id: Of which picture, which has an answer that people were shown.
        prediction: As it was made; numbers are kept, the heatmap and similar cases are not.
        took_s: How long it took, in seconds.
        kind: Why it was made.

    Raises:
        RecordNotFoundError: There is no such picture (any more), or nobody was shown an answer on it.
        InvalidRecordError: It is of another picture or another model.
    """
    image = find(session, ImageRow, image_id, "picture")
    model = find_row(session, model_id)
    if prediction.sha256 not in {image.sha256, image.received_sha256} or prediction.bundle != model.identity:
        raise InvalidRecordError(
            "the prediction is of another picture or model", where="sha256", way_out="Ask that model about it."
        )
    beside = session.scalar(_shown(image.id))
    if beside is None:
        raise RecordNotFoundError(
            "nobody was shown an answer on the picture", where=image.id, way_out="There is nothing to compare with."
        )
    known = sa.select(SilentPredictionRow.id).where(
        SilentPredictionRow.model_id == model.id, SilentPredictionRow.image_id == image.id
    )
    if session.scalar(known) is not None:
        return False
    session.add(
        SilentPredictionRow(
            id=new_id(),
            kind=kind,
            model_id=model.id,
            patient_id=image.patient_id,
            case_id=image.case_id,
            image_id=image.id,
            beside_id=beside,
            made_at=now(),
            took_s=took_s,
            status=prediction.status,
            malignant_probability=prediction.malignant_probability,
            decision=prediction.decision,
            operating_point=prediction.operating_point,
            threshold=prediction.threshold,
            top_diagnosis=prediction.top_diagnosis,
            ood_distance=prediction.ood_distance,
        )
    )
    session.flush()
    about = {"case": image.case_id, "patient": image.patient_id, "model": model.id, "kind": str(kind)}
    audit.append(session, actor, "prediction.made_silently", "image", image.id, about)
    return True


def _shown(image_id: str) -> sa.Select[Any]:
    """The latest answer on a picture that people may see."""
    return (
        sa.select(PredictionRow.id)
        .where(PredictionRow.image_id == image_id)
        .order_by(PredictionRow.made_at.desc(), PredictionRow.id)
        .limit(1)
    )


def count_missed(session: Session, model_id: str, missed: dict[str, int]) -> None:
    """Adds to the count of pictures that a shadow was not asked about, by reason.

    The rows are counters of the program's own work and hold nothing of a patient: no audit entry tells of them.
    """
    for reason, count in missed.items():
        row = session.get(ShadowTallyRow, (model_id, reason))
        if row is None:
            session.add(ShadowTallyRow(model_id=model_id, reason=reason, count=count))
        else:
            row.count += count
    session.flush()


def missed(session: Session, model_id: str) -> dict[str, int]:
    """Those counts."""
    rows = session.scalars(sa.select(ShadowTallyRow).where(ShadowTallyRow.model_id == model_id))
    return {row.reason: row.count for row in rows}


def waiting(session: Session, model_id: str, *, most: int) -> tuple[Waiting, ...]:
    """The latest pictures with an answer that people were shown, on which a model has said nothing yet.

    Args:
        session: Any.
        model_id: Which model.
        most: How many at the most.
    """
    said = sa.exists().where(SilentPredictionRow.model_id == model_id, SilentPredictionRow.image_id == ImageRow.id)
    shown = sa.exists().where(PredictionRow.image_id == ImageRow.id)
    query = (
        sa.select(ImageRow.id, ImageRow.sha256)
        .join(CaseRow, CaseRow.id == ImageRow.case_id)
        .where(ImageRow.deleted_at.is_(None), ImageRow.sha256.is_not(None), CaseRow.deleted_at.is_(None), shown, ~said)
        .order_by(ImageRow.made_at.desc(), ImageRow.id)
        .limit(most)
    )
    return tuple(Waiting(image_id, str(sha256)) for image_id, sha256 in session.execute(query))
