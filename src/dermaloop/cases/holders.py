"""Which records name a picture: a picture's file goes only when none does.

Owns that question, for deletions, the store's check and backups: whatever table comes to name pictures is added here,
and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dermaloop.cases.job_tables import JobItemRow, JobRow
from dermaloop.cases.tables import ImageRow

NAMED = "SELECT sha256 FROM images WHERE sha256 IS NOT NULL UNION SELECT sha256 FROM job_items WHERE sha256 IS NOT NULL"
"""SQL for a database that is looked at from outside: the hash of every picture that a row names, the doomed too."""
LIVING = (
    "SELECT sha256 FROM images WHERE deleted_at IS NULL AND sha256 IS NOT NULL UNION SELECT i.sha256 FROM job_items i "
    "JOIN jobs j ON j.id = i.job_id WHERE j.deleted_at IS NULL AND i.sha256 IS NOT NULL"
)
"""The same without those that are to be removed."""


def is_held(session: Session, sha256: str) -> bool:
    """Whether a record that is not deleted names the picture."""
    image = sa.select(ImageRow.id).where(ImageRow.sha256 == sha256, ImageRow.deleted_at.is_(None)).limit(1)
    if session.scalar(image) is not None:
        return True
    item = (
        sa.select(JobItemRow.id)
        .join(JobRow, JobRow.id == JobItemRow.job_id)
        .where(JobItemRow.sha256 == sha256, JobRow.deleted_at.is_(None))
        .limit(1)
    )
    return session.scalar(item) is not None


def is_named(session: Session, sha256: str) -> bool:
    """Whether any record names the picture, one that is to be removed too."""
    for table in (ImageRow, JobItemRow):
        if session.scalar(sa.select(table.id).where(table.sha256 == sha256).limit(1)) is not None:
            return True
    return False


def holders(session: Session) -> Iterator[tuple[str, str]]:
    """(hash of a picture, id of a record that names it), of every record."""
    for table in (ImageRow, JobItemRow):
        for sha256, row_id in session.execute(sa.select(table.sha256, table.id).where(table.sha256.is_not(None))):
            yield str(sha256), row_id
