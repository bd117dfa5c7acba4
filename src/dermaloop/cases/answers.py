"""What bundles said of pictures, who was shown it, and from whom it is hidden still.

Owns the append-only predictions and the views of them, from which `cases.opinions` tells before from after; and keeps
what a case carries of its answers current. Refuses to classify, and to judge an answer.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dermaloop.cases import audit, codec
from dermaloop.cases.actor import Actor
from dermaloop.cases.database import new_id, now
from dermaloop.cases.errors import ConflictError, InvalidRecordError
from dermaloop.cases.imprints import keep_imprint
from dermaloop.cases.practice import read_practice
from dermaloop.cases.records import StoredPrediction, stored_prediction
from dermaloop.cases.rows import find
from dermaloop.cases.tables import CaseRow, ImageRow, ImpressionRow, PredictionRow, PredictionViewRow
from dermaloop.core.prediction import Prediction, Status


def add_prediction(
    session: Session, actor: Actor, image_id: str, prediction: Prediction, *, bundle_sha256: str
) -> StoredPrediction:
    """Keeps what a bundle said of a picture. Nobody counts as having seen it until it is shown.

    Args:
        session: From `Database.begin`.
        actor: Who asked.
        image_id: Of which picture.
        prediction: As it was made, whole. The file name in `image` is replaced by the picture's id: names of files
            often hold names of people.
        bundle_sha256: `Bundle.sha256`: tells two files of one model apart.

    Raises:
        RecordNotFoundError: There is no such picture.
        InvalidRecordError: It is of another picture.
    """
    image = find(session, ImageRow, image_id, "picture")
    if prediction.sha256 not in (image.sha256, image.received_sha256):
        raise InvalidRecordError(
            "the prediction is of another picture", where="sha256", way_out="Store it with the picture it was made of."
        )
    made = codec.renamed(prediction, image.id)
    row = PredictionRow(
        id=new_id(),
        patient_id=image.patient_id,
        case_id=image.case_id,
        image_id=image.id,
        made_at=now(),
        bundle=made.bundle,
        bundle_sha256=bundle_sha256,
        status=made.status,
        malignant_probability=made.malignant_probability,
        decision=made.decision,
        operating_point=made.operating_point,
        threshold=made.threshold,
        top_diagnosis=made.top_diagnosis,
        ood_distance=made.ood_distance,
        record=codec.to_json(made),
        heatmap=None if made.heatmap is None else codec.pack_heatmap(made.heatmap),
    )
    session.add(row)
    session.flush()
    keep_imprint(session, row, made)
    _update_answer(session, find(session, CaseRow, image.case_id, "case"))
    about = {"case": row.case_id, "image": image.id, "patient": row.patient_id, "bundle": made.bundle}
    audit.append(session, actor, "prediction.made", "prediction", row.id, about)
    return stored_prediction(row)


def _update_answer(session: Session, case: CaseRow) -> None:
    """What the case carries of the latest prediction of each of its pictures."""
    latest: dict[str, PredictionRow] = {}
    found = session.scalars(
        sa.select(PredictionRow).where(PredictionRow.case_id == case.id).order_by(PredictionRow.made_at)
    )
    for row in found:
        latest[row.image_id] = row
    known = [row.malignant_probability for row in latest.values() if row.malignant_probability is not None]
    case.suspicion = max(known, default=-1.0)
    case.declined = any(row.status is not Status.ASSESSED for row in latest.values())
    session.flush()


def show_prediction(session: Session, actor: Actor, prediction_id: str) -> StoredPrediction:
    """One prediction; it counts as seen.

    Raises:
        RecordNotFoundError: There is no such prediction.
        ConflictError: The practice hides it until this actor's impression is in.
    """
    row = find(session, PredictionRow, prediction_id, "prediction")
    if answer_is_hidden(session, actor, find(session, CaseRow, row.case_id, "case")):
        raise ConflictError(
            "the answer is hidden until your impression is in", where=row.case_id, way_out="Write it down first."
        )
    mark_seen(session, actor, [row])
    about = {"case": row.case_id, "patient": row.patient_id}
    audit.append(session, actor, "prediction.seen", "prediction", row.id, about)
    return stored_prediction(row)


def mark_seen(session: Session, actor: Actor, rows: Sequence[PredictionRow]) -> None:
    """Notes that an actor was shown predictions; the first time counts."""
    kind, person = actor.person
    for row in rows:
        key = (row.id, kind, person)
        if session.get(PredictionViewRow, key) is None:
            session.add(
                PredictionViewRow(
                    prediction_id=row.id,
                    actor_kind=kind,
                    actor_id=person,
                    case_id=row.case_id,
                    seen_at=now(),
                )
            )
    session.flush()


def mark_images_seen(session: Session, actor: Actor, image_ids: Sequence[str]) -> None:
    """Notes that an actor was shown what was said of pictures."""
    rows = session.scalars(sa.select(PredictionRow).where(PredictionRow.image_id.in_(list(image_ids)))).all()
    mark_seen(session, actor, rows)
    for row in rows:
        about = {"case": row.case_id, "patient": row.patient_id}
        audit.append(session, actor, "prediction.seen", "prediction", row.id, about)


def answer_is_hidden(session: Session, actor: Actor, case: CaseRow) -> bool:
    """Whether the practice hides the model's answer in a case from an actor."""
    if case.signed_at is not None or not read_practice(session).hide_answer_until_impression:
        return False
    kind, person = actor.person
    own = sa.select(ImpressionRow.id).where(
        ImpressionRow.case_id == case.id, ImpressionRow.actor_kind == kind, ImpressionRow.actor_id == person
    )
    return session.scalar(own.limit(1)) is None
