"""Whether the store can be used now, and how much it holds: for probes and gauges of whoever runs the server.

Owns both questions. Refuses to know what becomes of the answers, and to look for damage: that is `cases.check`. The
trade-off: rows are counted, which takes a database milliseconds for ten thousand and a second for ten million, so
callers ask seldom.
"""

from __future__ import annotations

import shutil

import sqlalchemy as sa

from dermaloop.cases.audit import head_of
from dermaloop.cases.database import Transaction
from dermaloop.cases.store import Store
from dermaloop.cases.tables import CaseRow, ImageRow, PatientRow, PredictionRow


def require_database(store: Store) -> None:
    """Asks the database for the end of the audit log.

    Raises:
        StoreError: It does not answer.
    """
    with store.database.read() as session:
        head_of(session)


def require_images(store: Store) -> None:
    """Writes something into the image store, and removes it.

    Raises:
        StoreError: It cannot be written.
    """
    store.images.probe()


def sizes(store: Store) -> dict[str, float]:
    """How much the store holds, in one reading transaction; no picture is opened.

    Returns:
        Figures by name: `patients`, `cases`, `cases_open`, `pictures`, `pictures_bytes`, `predictions`,
        `audit_entries`, `database_bytes`, and `free_bytes` of the disk that the store's folder lies on.

    Raises:
        StoreError: The database cannot be read.
        OSError: The folder cannot be read.
    """
    with store.database.read() as session:
        found = _counted(session)
        found["database_bytes"] = _database_bytes(session, embedded=store.database.embedded)
    found["free_bytes"] = float(shutil.disk_usage(store.folder).free)
    return found


def _counted(session: Transaction) -> dict[str, float]:
    pictures, size_bytes = session.execute(
        sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(ImageRow.size_bytes), 0)).where(
            ImageRow.deleted_at.is_(None)
        )
    ).one()
    head = head_of(session)
    return {
        "patients": _count(session, PatientRow.deleted_at.is_(None)),
        "cases": _count(session, CaseRow.deleted_at.is_(None)),
        "cases_open": _count(session, sa.and_(CaseRow.deleted_at.is_(None), CaseRow.signed_at.is_(None))),
        "pictures": float(pictures),
        "pictures_bytes": float(size_bytes),
        "predictions": float(session.scalar(sa.select(sa.func.count()).select_from(PredictionRow)) or 0),
        "audit_entries": float(head[0] if head else 0),
    }


def _count(session: Transaction, which: sa.ColumnElement[bool]) -> float:
    return float(session.scalar(sa.select(sa.func.count()).where(which)) or 0)


def _database_bytes(session: Transaction, *, embedded: bool) -> float:
    if not embedded:
        return float(session.scalar(sa.text("SELECT pg_database_size(current_database())")) or 0)
    pages = session.scalar(sa.text("PRAGMA page_count")) or 0
    return float(pages * (session.scalar(sa.text("PRAGMA page_size")) or 0))
