"""The patients of the practice, a page at a time.

Owns the list and its cursor (keyset, newest first), which holds a time and an id and so says nothing of anybody.
Refuses to know records: `cases.patients` shows those.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dermaloop.cases import audit, fields
from dermaloop.cases.actor import Actor
from dermaloop.cases.errors import InvalidRecordError
from dermaloop.cases.records import Patient, record
from dermaloop.cases.tables import PatientRow

LARGEST_PAGE = 200


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
    fields.whole(limit, "limit", 1, LARGEST_PAGE)
    query = sa.select(PatientRow).where(PatientRow.deleted_at.is_(None))
    if search.strip():
        part = fields.fold(fields.line(search, "search"))
        query = query.where(PatientRow.pseudonym_key.contains(part, autoescape=True))
    if cursor is not None:
        made_at, last_id = _read_cursor(cursor)
        place = sa.tuple_(sa.literal(made_at, PatientRow.made_at.type), sa.literal(last_id))
        query = query.where(sa.tuple_(PatientRow.made_at, PatientRow.id) < place)
    query = query.order_by(PatientRow.made_at.desc(), PatientRow.id.desc()).limit(limit + 1)
    rows = session.scalars(query).all()
    found = tuple(record(Patient, row) for row in rows[:limit])
    detail = {"patients": [one.id for one in found], "searched": bool(search.strip())}
    audit.append(session, actor, "patients.seen", "patients", "list", detail)
    return PatientPage(found, _write_cursor(found[-1]) if len(rows) > limit else None)


def find_patient(session: Session, pseudonym: str) -> str | None:
    """The id of the patient of exactly this pseudonym, in any case; None where there is none.

    An id says nothing of anybody, so this is not logged: `patients.show_patient` is.

    Raises:
        InvalidRecordError: This can be no pseudonym.
    """
    key = fields.fold(fields.line(pseudonym, "pseudonym"))
    query = sa.select(PatientRow.id).where(PatientRow.pseudonym_key == key, PatientRow.deleted_at.is_(None))
    return session.scalar(query)


def _write_cursor(last: Patient) -> str:
    return base64.urlsafe_b64encode(json.dumps([last.made_at.isoformat(), last.id]).encode()).decode()


def _read_cursor(cursor: str) -> tuple[datetime, str]:
    try:
        moment, last_id = json.loads(base64.urlsafe_b64decode(cursor.encode()))
        made_at = datetime.fromisoformat(moment)
    except (ValueError, TypeError, binascii.Error, RecursionError) as error:
        raise _bad_cursor() from error
    if made_at.tzinfo is None or not (isinstance(last_id, str) and last_id.isascii() and last_id.isprintable()):
        raise _bad_cursor()
    return made_at, last_id


def _bad_cursor() -> InvalidRecordError:
    return InvalidRecordError(
        "the cursor does not belong to this list", where="cursor", way_out="Begin at the first page."
    )
