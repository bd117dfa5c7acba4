"""The audit log: who saw, made, changed, exported, deleted or signed in; each entry chained to the one before.

Owns the entries and how one is appended. An entry's hash is keyed (HMAC-SHA256, with a secret that lies outside the
database) and taken over its canonical JSON and the hash before, so that no entry can be changed, moved or removed, nor
the whole chain be made anew, without the secret. The end of the chain is held twice beside it: keyed in a row of its
own, and in a file (`cases.anchor`). Checking is `cases.audit_verify`.

Refuses to hold what identifies a patient: entries cannot be deleted, so `detail` names ids and fields, never a
pseudonym, a note or a file name. The trade-off: whoever holds both the secret and the database can write any history;
noting the chain's end elsewhere (`dermaloop audit verify` prints it) is the answer to that.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from dermaloop.cases.actor import Actor
from dermaloop.cases.database import Base, now

GENESIS = "0" * 64
"""The hash before the first entry."""
Sequence = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_LONGEST = 500


class AuditRow(Base):
    """One entry, append-only: triggers refuse to change or delete it."""

    __tablename__ = "audit_entries"

    sequence: Mapped[int] = mapped_column(Sequence, primary_key=True, autoincrement=False)
    at: Mapped[datetime]
    actor_kind: Mapped[str] = mapped_column(sa.String(16))
    actor_id: Mapped[str] = mapped_column(sa.String(200), index=True)
    actor_name: Mapped[str] = mapped_column(sa.String(500))
    address: Mapped[str | None] = mapped_column(sa.String(200))
    action: Mapped[str] = mapped_column(sa.String(100), index=True)
    subject_kind: Mapped[str] = mapped_column(sa.String(100))
    subject_id: Mapped[str] = mapped_column(sa.String(200), index=True)
    detail: Mapped[str] = mapped_column(sa.Text)
    """Canonical JSON, as it was hashed."""
    previous: Mapped[str] = mapped_column(sa.String(64))
    hash: Mapped[str] = mapped_column(sa.String(64))


class AuditHeadRow(Base):
    """The end of the chain: one row."""

    __tablename__ = "audit_head"

    id: Mapped[int] = mapped_column(sa.Integer, primary_key=True, autoincrement=False)
    count: Mapped[int] = mapped_column(Sequence)
    hash: Mapped[str] = mapped_column(sa.String(64))
    mac: Mapped[str] = mapped_column(sa.String(64))
    """Keyed, over count and hash: a shorter chain cannot be given an end without the secret."""


def append(  # noqa: PLR0917 - the six belong together, and always in this order
    session: Session,
    actor: Actor,
    action: str,
    subject_kind: str,
    subject_id: str,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Appends one entry, in the caller's transaction: both are kept, or neither.

    Args:
        session: From `Database.begin`.
        actor: Who.
        action: What, as `subject.verb` in the past, e.g. `patient.made`, `image.seen`, `account.signed_in`.
        subject_kind: Kind of the record concerned, e.g. `patient`.
        subject_id: Its id; never a pseudonym or a name.
        detail: More, as JSON types: ids, names of fields, numbers. Nothing that identifies a patient.
    """
    assert "audit_key" in session.info, "entries are appended in Database.begin"
    key: bytes = session.info["audit_key"]
    head = session.execute(
        sa.select(AuditHeadRow.count, AuditHeadRow.hash).where(AuditHeadRow.id == 1).with_for_update()
    ).one_or_none()
    count, previous = (head[0], head[1]) if head else (0, GENESIS)
    entry: dict[str, Any] = {
        "sequence": count + 1,
        "at": now(),
        "actor_kind": actor.kind,
        "actor_id": _plain(actor.id, 200),
        "actor_name": _plain(actor.name, _LONGEST),
        "address": None if actor.address is None else _plain(actor.address, 200),
        "action": _plain(action, 100),
        "subject_kind": _plain(subject_kind, 100),
        "subject_id": _plain(subject_id, 200),
        "detail": canonical(detail or {}),
        "previous": previous,
    }
    entry["hash"] = entry_hash(key, entry)
    session.execute(sa.insert(AuditRow).values(**entry))
    end = {"count": count + 1, "hash": entry["hash"], "mac": head_mac(key, count + 1, entry["hash"])}
    if head:
        session.execute(sa.update(AuditHeadRow).where(AuditHeadRow.id == 1).values(**end))
    else:
        session.execute(sa.insert(AuditHeadRow).values(id=1, **end))
    session.info["audited"] = True


def head_of(session: Session) -> tuple[int, str] | None:
    """(number of entries, hash of the last), None before the first."""
    found = session.execute(sa.select(AuditHeadRow.count, AuditHeadRow.hash).where(AuditHeadRow.id == 1)).one_or_none()
    return (found[0], found[1]) if found else None


def canonical(value: Mapping[str, Any]) -> str:
    """JSON in one form: keys sorted, no blanks, ASCII only, no NaN. Equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def entry_hash(key: bytes, entry: Mapping[str, Any]) -> str:
    """The keyed hash of an entry, over all its columns but `hash`, `previous` included; hex."""
    content = {name: value for name, value in entry.items() if name != "hash"}
    content["at"] = content["at"].isoformat(timespec="microseconds")
    return hmac.new(key, b"entry:" + canonical(content).encode(), hashlib.sha256).hexdigest()


def head_mac(key: bytes, count: int, last: str) -> str:
    """The keyed hash of the chain's end; hex."""
    return hmac.new(key, f"head:{count}:{last}".encode(), hashlib.sha256).hexdigest()


def _plain(text: str, longest: int) -> str:
    """Text that any database keeps: the log must take an entry whatever a client calls itself."""
    kept = text.encode("utf-8", "replace").decode("utf-8").replace("\0", "\N{REPLACEMENT CHARACTER}")
    return kept[:longest]
