"""Reading the audit log: filtered pages, and the whole as a file.

Owns filters, the cursor and the two formats of export (JSON lines with every column, so that the chain can be verified
elsewhere, and CSV for a spreadsheet). Refuses to check the chain (`cases.audit_verify`).
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TextIO

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dermaloop.cases import fields
from dermaloop.cases.audit import AuditRow
from dermaloop.cases.audit_verify import COLUMNS

LARGEST_PAGE = 500
_BATCH = 1000
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry; `detail` as JSON types."""

    sequence: int
    at: datetime
    actor_kind: str
    actor_id: str
    actor_name: str
    address: str | None
    action: str
    subject_kind: str
    subject_id: str
    detail: dict[str, Any]
    previous: str
    hash: str


@dataclass(frozen=True, slots=True)
class Filter:
    """Which entries. Empty text and None mean any.

    Attributes:
        actor_id: Who.
        action: What, whole (`patient.made`) or its beginning with a dot (`patient.`).
        subject_id: The record concerned, or one that the detail names: a patient's id finds all that concerns them.
        since: From this moment on.
        until: Before this moment.
    """

    actor_id: str = ""
    action: str = ""
    subject_id: str = ""
    since: datetime | None = None
    until: datetime | None = None


def entries(
    session: Session, wanted: Filter | None = None, *, before: int | None = None, limit: int = 100
) -> tuple[tuple[Entry, ...], int | None]:
    """A page of the log, newest first. Who may look at it, and that they did, is the caller's to note.

    Args:
        session: Any.
        wanted: Which entries; None for all.
        before: Cursor: only entries before this sequence number.
        limit: Entries on the page, 1 to 500.

    Returns:
        The entries, and the cursor of the next page (None at the end).

    Raises:
        InvalidRecordError: `limit` is out of range.
    """
    fields.whole(limit, "limit", 1, LARGEST_PAGE)
    query = sa.select(AuditRow).where(*_conditions(wanted or Filter()))
    if before is not None:
        query = query.where(AuditRow.sequence < before)
    rows = session.scalars(query.order_by(AuditRow.sequence.desc()).limit(limit + 1)).all()
    page = tuple(_entry(row) for row in rows[:limit])
    return page, page[-1].sequence if len(rows) > limit else None


def actions(session: Session) -> tuple[str, ...]:
    """The actions that occur in the log, sorted: what a page offers to filter by."""
    return tuple(session.scalars(sa.select(AuditRow.action).distinct().order_by(AuditRow.action)))


def export(session: Session, stream: TextIO, kind: Literal["jsonl", "csv"], wanted: Filter | None = None) -> int:
    """Writes entries in their order, a line each; memory stays flat. Gives their number.

    In CSV a cell that a spreadsheet would take for a formula gets an apostrophe before it; JSON lines are exact.
    """
    count = 0
    writer = csv.writer(stream, lineterminator="\n")
    if kind == "csv":
        writer.writerow(COLUMNS)
    for entry in _walk(session, wanted or Filter()):
        values = [getattr(entry, name) for name in COLUMNS]
        if kind == "csv":
            writer.writerow([_cell(value) for value in values])
        else:
            plain = {name: _plain(value) for name, value in zip(COLUMNS, values, strict=True)}
            stream.write(json.dumps(plain, ensure_ascii=False) + "\n")
        count += 1
    return count


def _walk(session: Session, wanted: Filter) -> Iterator[Entry]:
    query = sa.select(AuditRow).where(*_conditions(wanted)).order_by(AuditRow.sequence)
    for row in session.scalars(query, execution_options={"yield_per": _BATCH}):
        yield _entry(row)
        session.expunge(row)


def _entry(row: AuditRow) -> Entry:
    values = {name: getattr(row, name) for name in COLUMNS}
    return Entry(**{**values, "detail": json.loads(row.detail)})


def _conditions(wanted: Filter) -> list[sa.ColumnElement[bool]]:
    found: list[sa.ColumnElement[bool]] = []
    if wanted.actor_id:
        found.append(AuditRow.actor_id == fields.line(wanted.actor_id, "actor_id", longest=200))
    if wanted.action:
        action = fields.line(wanted.action, "action")
        found.append(
            AuditRow.action.startswith(action, autoescape=True) if action.endswith(".") else AuditRow.action == action
        )
    if wanted.subject_id:
        subject = fields.line(wanted.subject_id, "subject_id", longest=200)
        found.append(sa.or_(AuditRow.subject_id == subject, AuditRow.detail.contains(f'"{subject}"', autoescape=True)))
    if wanted.since is not None:
        found.append(AuditRow.at >= wanted.since)
    if wanted.until is not None:
        found.append(AuditRow.at < wanted.until)
    return found


def _plain(value: Any) -> Any:
    return value.isoformat(timespec="microseconds") if isinstance(value, datetime) else value


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False, sort_keys=True)
    text = "" if value is None else str(_plain(value))
    return f"'{text}" if text.startswith(_FORMULA) else text
