"""Finding the row that a function works on, or saying that there is none.

Owns the refusals that every function shares: no such record, the record of a deleted patient, and a case that is signed
off. Refuses to know what is done with the row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dermaloop.cases.database import Base
from dermaloop.cases.errors import ConflictError, RecordNotFoundError
from dermaloop.cases.tables import CaseRow, PatientRow

Row = TypeVar("Row", bound=Base)
_LONGEST_ID = 40


def find(session: Session, kind: type[Row], record_id: str, what: str) -> Row:
    """The row with an id, of a patient who is not deleted.

    Args:
        session: Any.
        kind: Its table.
        record_id: As it came from outside.
        what: The record in plain words, for the error.

    Raises:
        RecordNotFoundError: There is none.
    """
    plain = record_id.isascii() and record_id.isprintable() and len(record_id) <= _LONGEST_ID
    row = session.get(kind, record_id) if plain else None
    owner: Any = row if isinstance(row, PatientRow) else None
    if row is not None and owner is None:
        owner = session.get(PatientRow, getattr(row, "patient_id"))  # noqa: B009 - every other table has it
    if row is None or owner is None or owner.deleted_at is not None:
        raise RecordNotFoundError(
            f"there is no such {what}",
            where=record_id[:_LONGEST_ID] if plain else "",
            way_out="It may have been deleted at the patient's request; begin at the worklist.",
        )
    return row


def of_case(session: Session, kind: type[Row], case: CaseRow) -> Sequence[Row]:
    """A case's rows of a table, oldest first."""
    columns: Any = kind
    return session.scalars(
        sa.select(kind).where(columns.case_id == case.id).order_by(columns.made_at, columns.id)
    ).all()


def require_open(case: CaseRow) -> None:
    """Refuses to change a case that is signed off.

    Raises:
        ConflictError: It is.
    """
    if case.signed_at is not None:
        raise ConflictError(
            "the case is signed off", where=case.id, way_out="Open it again first; that is noted with its reason."
        )
