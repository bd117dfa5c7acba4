"""Deleting a patient at their request.

Owns what goes and what stays. Gone, beyond recovery from this store: the pictures (unless another patient's record has
the very same picture), pseudonym, year of birth, sex, skin type, every free text, labels, points on the body map,
document references, heatmaps and hashes of pictures. What stays identifies nobody and keeps the log and the counts
true: ids, times, body sites, probabilities, diagnoses, management, who acted; and a tombstone, so that nobody takes the
gap for a fault. Backups made before still hold everything; docs/store.md says what to do about them.

Rows first, then files: a crash in between leaves files that the rows name for removal, and `finish_deletions`, which
is to run when a server starts and runs at every check, removes them. The file of a picture is removed under the writer
lock, where no one can be giving an equal picture a row at the same moment.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dermaloop.cases import audit, codec, fields
from dermaloop.cases.actor import Actor
from dermaloop.cases.database import now
from dermaloop.cases.errors import InvalidRecordError
from dermaloop.cases.feedback_tables import FlagReviewRow
from dermaloop.cases.holders import is_held
from dermaloop.cases.idempotency import forget_patient
from dermaloop.cases.images import name_of
from dermaloop.cases.imprints import forget_imprints
from dermaloop.cases.job_deletion import finish_jobs, forget_patients_items
from dermaloop.cases.rows import find
from dermaloop.cases.store import Store
from dermaloop.cases.tables import (
    CaseRow,
    ConfirmationRow,
    ImageRow,
    ImpressionRow,
    LesionRow,
    PatientRow,
    PredictionRow,
    SignOffRow,
    VisitRow,
)
from dermaloop.cases.words import Sex

EMPTIED: dict[type[Any], dict[str, Any]] = {
    LesionRow: {"label": "", "note": "", "view": None, "x": None, "y": None},
    VisitRow: {"note": ""},
    ImpressionRow: {"text": ""},
    ConfirmationRow: {"term": "", "confirmed_by": "", "note": "", "document": ""},
    SignOffRow: {"reason": ""},
    FlagReviewRow: {"reason": ""},
    ImageRow: {"received_sha256": None},
    PredictionRow: {"heatmap": None},
}
"""What is emptied by table, and with what."""


def delete_patient(store: Store, actor: Actor, patient_id: str, *, reason: str) -> int:
    """Deletes a patient: what identifies them goes, a tombstone stays. Cannot be undone.

    Args:
        store: The store.
        actor: Who deletes.
        patient_id: Whom.
        reason: Why, e.g. "request by letter"; kept in the audit log, so nothing that identifies.

    Returns:
        How many pictures were removed from the image store; those that another patient's record has too stay there.

    Raises:
        RecordNotFoundError: There is no such patient.
        InvalidRecordError: There is no reason.
        StoreError: The rows are emptied, but a file could not be removed; `finish_deletions` will.
    """
    why = fields.line(reason, "reason", longest=300)
    if not why:
        raise InvalidRecordError("the reason is missing", where="reason", way_out="Say why the record is deleted.")
    with store.database.begin() as session:
        patient = find(session, PatientRow, patient_id, "patient")
        when = now()
        patient.deleted_at = when
        session.flush()  # from here on the triggers let this patient's entries be emptied
        pictures = _empty(session, patient)
        audit.append(session, actor, "patient.deleted", "patient", patient.id, {"reason": why, "pictures": pictures})
    removed = finish_deletions(store, actor, patient_id=patient_id)
    _forget(store)
    return removed


def _empty(session: Session, patient: PatientRow) -> int:
    patient.pseudonym = patient.pseudonym_key = patient.birth_year = patient.skin_type = None
    patient.sex, patient.note = Sex.UNKNOWN, ""
    for table, values in EMPTIED.items():
        session.execute(sa.update(table).where(table.patient_id == patient.id).values(**values))
    forget_imprints(session, patient.id)
    for row in session.scalars(sa.select(PredictionRow).where(PredictionRow.patient_id == patient.id)):
        made = codec.from_json(row.record)
        row.record = codec.to_json(replace(made, sha256="", quality={}, frame=None))
    session.execute(sa.update(CaseRow).where(CaseRow.patient_id == patient.id).values(deleted_at=patient.deleted_at))
    forget_patient(session, patient.id)
    named = session.scalars(sa.select(ImageRow.sha256).where(ImageRow.patient_id == patient.id))
    forget_patients_items(session, patient.id, {sha256 for sha256 in named if sha256})
    pictures = sa.update(ImageRow).where(ImageRow.patient_id == patient.id).values(deleted_at=patient.deleted_at)
    marked: Any = session.execute(pictures)
    session.flush()
    return int(marked.rowcount)


def finish_deletions(store: Store, actor: Actor, *, patient_id: str | None = None) -> int:
    """Removes the files that rows name for removal; gives how many. Nothing to do in a store at rest.

    Args:
        store: The store.
        actor: For whom.
        patient_id: Only one patient's; None for all that a crash has left.

    Raises:
        StoreError: A file cannot be removed; those before it are.
    """
    query = sa.select(ImageRow.sha256).where(ImageRow.deleted_at.is_not(None), ImageRow.sha256.is_not(None)).distinct()
    if patient_id is not None:
        query = query.where(ImageRow.patient_id == patient_id)
    with store.database.read() as session:
        pending = [sha256 for sha256 in session.scalars(query) if sha256]
    removed = finish_jobs(store) if patient_id is None else 0
    for sha256 in pending:
        with store.database.begin() as session:  # one lock per picture, so that the clinic goes on in between
            if not is_held(session, sha256):
                store.images.remove(name_of(sha256))
                removed += 1
            gone = sa.update(ImageRow).where(ImageRow.sha256 == sha256, ImageRow.deleted_at.is_not(None))
            session.execute(gone.values(sha256=None))
    if removed and patient_id is None:
        with store.database.begin() as session:
            audit.append(session, actor, "images.removed", "store", "images", {"pictures": removed})
    return removed


def _forget(store: Store) -> None:
    """Takes what was emptied out of SQLite's log too, which keeps old pages until it is folded into the file."""
    if store.database.embedded:
        connection = store.database.engine.raw_connection()
        try:
            connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        finally:
            connection.close()
