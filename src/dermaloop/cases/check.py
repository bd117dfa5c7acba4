"""Whether the store is whole: every picture that a record names is there and undamaged, and nothing lies there besides.

Owns the comparison of rows and files, and the removal of what no row names. Refuses to repair a picture: that is what
backups are for. The audit chain has its own check (`cases.audit_verify`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from dermaloop.cases import audit
from dermaloop.cases.actor import Actor
from dermaloop.cases.deletion import finish_deletions
from dermaloop.cases.errors import StoreError
from dermaloop.cases.holders import holders, is_named
from dermaloop.cases.images import DamagedImageError, Entry, MissingImageError
from dermaloop.cases.store import Store

YOUNG = timedelta(hours=1)
"""A file younger than this may belong to an upload whose row is not written yet."""


@dataclass(frozen=True, slots=True)
class Check:
    """What was found.

    Attributes:
        images: Records of pictures.
        files: Things that lie in the image store.
        size_bytes: Their size together.
        missing: Ids of records whose picture is not there.
        damaged: Ids of records whose picture is not what was stored.
        orphans: Names of what no record names, and that is older than an hour.
        removed: How many orphans were removed.
        database: What SQLite finds wrong with its own file; empty where nothing, and for PostgreSQL, which watches
            itself.
    """

    images: int
    files: int
    size_bytes: int
    missing: tuple[str, ...]
    damaged: tuple[str, ...]
    orphans: tuple[str, ...]
    removed: int
    database: tuple[str, ...]

    @property
    def sound(self) -> bool:
        """Whether nothing is missing or damaged; orphans are untidy, no loss."""
        return not (self.missing or self.damaged or self.database)


def check(store: Store, actor: Actor, *, remove_orphans: bool = False, young: timedelta = YOUNG) -> Check:
    """Reads every picture once and compares; also finishes deletions that a crash has left half-done.

    Args:
        store: The store.
        actor: Who checks.
        remove_orphans: Whether to remove what no record names; each under the writer lock, after looking again.
        young: How old an orphan must be to count as one.

    Raises:
        StoreError: The image store or the database cannot be reached.
    """
    finish_deletions(store, actor)
    with store.database.read() as session:
        rows = list(holders(session))
    owners: dict[str, list[str]] = {}
    for sha256, row_id in rows:
        owners.setdefault(sha256, []).append(row_id)
    found = list(store.images.entries())
    missing: list[str] = []
    damaged: list[str] = []
    for sha256, ids in sorted(owners.items()):
        try:
            store.images.read(sha256)
        except MissingImageError:
            missing += ids
        except DamagedImageError:
            damaged += ids
    with store.database.read() as session:  # who was deleted while this ran misses nothing
        named = {row_id for _, row_id in holders(session)}
    limit = datetime.now(UTC) - young
    orphans = [
        entry
        for entry in found
        if entry.sha256 not in owners and (entry.changed_at is None or entry.changed_at <= limit)
    ]
    removed = sum(_remove(store, entry) for entry in orphans) if remove_orphans else 0
    result = Check(
        images=len(rows),
        files=len(found),
        size_bytes=sum(entry.size_bytes for entry in found),
        missing=tuple(one for one in missing if one in named),
        damaged=tuple(one for one in damaged if one in named),
        orphans=tuple(sorted(entry.name for entry in orphans)),
        removed=removed,
        database=_database_faults(store),
    )
    numbers = {
        "images": result.images,
        "missing": len(result.missing),
        "damaged": len(result.damaged),
        "orphans": len(orphans),
    }
    with store.database.begin() as session:
        audit.append(session, actor, "store.checked", "store", "images", {**numbers, "removed": removed})
    return result


def _remove(store: Store, entry: Entry) -> bool:
    """Removes an orphan, unless a row has come to name it in the meantime."""
    with store.database.begin() as session:
        if entry.sha256 and is_named(session, entry.sha256):
            return False
        store.images.remove(entry.name)
    return True


def _database_faults(store: Store) -> tuple[str, ...]:
    if not store.database.embedded:
        return ()
    try:
        return _ask_sqlite(store)
    except StoreError as error:
        return (error.what,)


def _ask_sqlite(store: Store) -> tuple[str, ...]:
    with store.database.read() as session:
        said = [str(row[0]) for row in session.execute(sa.text("PRAGMA integrity_check"))]
        broken = session.execute(sa.text("PRAGMA foreign_key_check")).all()
    faults = [] if said == ["ok"] else said
    return tuple(faults + [f"{row[0]}, row {row[1]}: its {row[2]} is missing" for row in broken])
