"""Deleting a screening job with its pictures.

Owns what goes: the job's name, every row of a picture with its name and answer, and the pictures, unless a record of a
patient or another job has them. A tombstone stays, and what became of pictures that were given to a patient stays with
the patient. Rows are marked first and files removed then, each under the writer lock: a crash in between leaves rows
that name what is to be removed, and `finish_jobs`, which runs with `deletion.finish_deletions`, removes it.
"""

from __future__ import annotations

import contextlib
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dermaloop.cases import audit
from dermaloop.cases.actor import Actor
from dermaloop.cases.database import now
from dermaloop.cases.errors import RecordNotFoundError
from dermaloop.cases.holders import is_held
from dermaloop.cases.images import name_of
from dermaloop.cases.job_tables import ItemState, JobItemRow, JobRow, JobViewRow
from dermaloop.cases.jobs import SUBJECT, find_job
from dermaloop.cases.store import Store

_AT_ONCE = 50


def delete_job(store: Store, actor: Actor, job_id: str, *, reason: str = "asked") -> int:
    """Deletes a job. Cannot be undone.

    Args:
        store: The store.
        actor: Who deletes.
        job_id: Which.
        reason: `asked`, or `expired`; for the audit log.

    Returns:
        How many pictures were removed from the image store.

    Raises:
        RecordNotFoundError: There is no such job.
        StoreError: The job is marked as deleted, but a file could not be removed; the store's next start or check will.
    """
    with store.database.begin() as session:
        job = find_job(session, job_id)
        job.deleted_at, job.name = now(), ""
        of_job = JobItemRow.job_id == job.id
        pictures = session.scalar(sa.select(sa.func.count()).select_from(JobItemRow).where(of_job)) or 0
        emptied = {"record": "", "heatmap": None, "embedding": None, "texture": None, "colour": ""}
        # Each keeps a name of its own, since two files of one content may differ in nothing else.
        session.execute(
            sa.update(JobItemRow).where(of_job).values(state=ItemState.STOPPED, name=JobItemRow.id, **emptied)
        )
        session.execute(sa.delete(JobViewRow).where(JobViewRow.job_id == job.id))
        audit.append(session, actor, "job.deleted", SUBJECT, job.id, {"pictures": pictures, "reason": reason})
    return finish_jobs(store)


def delete_expired(store: Store, actor: Actor, days: int) -> int:
    """Deletes the jobs that have taken no picture in, and were not begun, within so many days.

    Args:
        store: The store.
        actor: In whose name the audit log has it.
        days: How long lists are kept, at least 1.

    Returns:
        How many jobs.

    Raises:
        StoreError: As `delete_job`; what is left is deleted when this is called again.
    """
    before = now() - timedelta(days=days)
    newer = sa.exists().where(JobItemRow.job_id == JobRow.id, JobItemRow.made_at >= before)
    expired = sa.select(JobRow.id).where(JobRow.deleted_at.is_(None), JobRow.made_at < before, ~newer)
    with store.database.read() as session:
        found = session.scalars(expired.order_by(JobRow.made_at)).all()
    for job_id in found:
        with contextlib.suppress(RecordNotFoundError):  # another server was quicker
            delete_job(store, actor, job_id, reason="expired")
    return len(found)


def finish_jobs(store: Store) -> int:
    """Removes what deleted jobs have left; gives how many pictures. Nothing to do in a store at rest.

    Raises:
        StoreError: A file cannot be removed; those before it are.
    """
    removed = 0
    while True:
        with store.database.read() as session:
            pending = session.scalars(
                sa.select(JobItemRow.id)
                .join(JobRow, JobRow.id == JobItemRow.job_id)
                .where(JobRow.deleted_at.is_not(None))
                .limit(_AT_ONCE)
            ).all()
        if not pending:
            return removed
        for item_id in pending:
            with store.database.begin() as session:  # one lock per picture, so that the clinic goes on in between
                removed += _remove(store, session, item_id)


def _remove(store: Store, session: Session, item_id: str) -> bool:
    row = session.get(JobItemRow, item_id)
    if row is None:
        return False
    sha256 = row.sha256
    gone = sha256 is not None and not is_held(session, sha256)
    if gone and sha256 is not None:
        store.images.remove(name_of(sha256))
    session.delete(row)
    return gone


def forget_patients_items(session: Session, patient_id: str, sha256s: set[str]) -> None:
    """Takes a patient's pictures out of every job: those given to them, and any other of the very same content.

    Called when a patient is deleted, before their pictures' files are removed.
    """
    item = JobItemRow
    session.execute(sa.delete(item).where(item.patient_id == patient_id))
    if sha256s:
        session.execute(sa.delete(item).where(item.sha256.in_(sorted(sha256s)), item.patient_id.is_(None)))
