"""The patients of the practice, a page at a time.

Owns the list and its cursor (keyset, newest first), which holds a time and an id and so says nothing of anybody.
Refuses to know records: `cases.patients` shows those.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dermaloop.cases import audit, cursors, fields
from dermaloop.cases.actor import Actor
from dermaloop.cases.records import Patient, record
from dermaloop.cases.tables import LesionRow, PatientRow, VisitRow


@dataclass(frozen=True, slots=True)
class PatientPage:
    """A page of patients; `cursor` leads to the next one, None at the end."""

    patients: tuple[Patient, ...]
    cursor: str | None


def list_patients(
    session: Session, actor: Actor, *, search: str = "", cursor: str | None = None, limit: int = 50
) -> PatientPage:
    """A page of patients who are not deleted, newest first.

    Args:
        session: From `Database.begin`: who looked at which patients is logged.
        actor: Who looks.
        search: Part of the pseudonym, in any case; empty for all.
        cursor: Where the page before ended, as it was given.
        limit: Patients on the page, 1 to 200.

    Raises:
        InvalidRecordError: The cursor was not given by this function, or `limit` is out of range.
    """
    fields.whole(limit, "limit", 1, cursors.LARGEST_PAGE)
    query = sa.select(PatientRow).where(PatientRow.deleted_at.is_(None))
    if search.strip():
        part = fields.fold(fields.line(search, "search"))
        query = query.where(PatientRow.pseudonym_key.contains(part, autoescape=True))
    if cursor is not None:
        query = query.where(cursors.beyond(cursor, PatientRow.made_at, PatientRow.id, newest_first=True))
    query = query.order_by(PatientRow.made_at.desc(), PatientRow.id.desc()).limit(limit + 1)
    rows = session.scalars(query).all()
    found = tuple(record(Patient, row) for row in rows[:limit])
    detail = {"patients": [one.id for one in found], "searched": bool(search.strip())}
    audit.append(session, actor, "patients.seen", "patients", "list", detail)
    return PatientPage(found, cursors.write(found[-1].made_at, found[-1].id) if len(rows) > limit else None)


@dataclass(frozen=True, slots=True)
class Glance:
    """What a list says of a patient beside the facts: how many lesions, and the day of the last visit, if any."""

    lesions: int = 0
    visited_on: date | None = None


def glances(session: Session, patients: Sequence[Patient]) -> dict[str, Glance]:
    """A glance at each patient of a page, by id; that the page was looked at is logged by `list_patients`."""
    ids = [one.id for one in patients]
    lesions = sa.select(LesionRow.patient_id, sa.func.count()).where(LesionRow.patient_id.in_(ids))
    visits = sa.select(VisitRow.patient_id, sa.func.max(VisitRow.visited_on)).where(VisitRow.patient_id.in_(ids))
    counted: dict[str, int] = {row[0]: row[1] for row in session.execute(lesions.group_by(LesionRow.patient_id))}
    latest: dict[str, date] = {row[0]: row[1] for row in session.execute(visits.group_by(VisitRow.patient_id))}
    return {one: Glance(counted.get(one, 0), latest.get(one)) for one in ids}


def find_patient(session: Session, pseudonym: str) -> str | None:
    """The id of the patient of exactly this pseudonym, in any case; None where there is none.

    An id says nothing of anybody, so this is not logged: `patients.show_patient` is.

    Raises:
        InvalidRecordError: This can be no pseudonym.
    """
    key = fields.fold(fields.line(pseudonym, "pseudonym"))
    query = sa.select(PatientRow.id).where(PatientRow.pseudonym_key == key, PatientRow.deleted_at.is_(None))
    return session.scalar(query)
