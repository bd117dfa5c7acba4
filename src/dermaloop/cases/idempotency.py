"""Answers that are given again: a request sent twice with one key makes what it makes once.

Owns the table of keys, with the answer that each request got, until it expires. An answer is kept in the transaction
that made the records it tells of: both are there, or neither. Writing transactions queue (`cases.database`), so of two
retries at the same moment the second finds the first one's answer, on SQLite and PostgreSQL alike; there is no "in
progress" that a crash could leave behind. Refuses to know HTTP: keys, hashes of requests and texts of answers come from
above.

The trade-off: two retries that arrive together may both classify their pictures, and one of the two is thrown away. An
answer may hold a patient's pseudonym, which is why it goes with the patient; names of uploaded files, which may be
people's, are never in it.

Source: the IETF's draft "The Idempotency-Key HTTP Header Field" (draft-ietf-httpapi-idempotency-key-header).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from dermaloop.cases import audit
from dermaloop.cases.actor import Actor
from dermaloop.cases.database import Base, now
from dermaloop.core.errors import DermaloopError

LIFETIME = timedelta(hours=24)
"""How long an answer is given again. A retry after that is a new request."""


class KeyReusedError(DermaloopError):
    """The key was used for another request."""

    code = "idempotency_key_reused"


class AnswerRow(Base):
    """The answer to one request that came with a key."""

    __tablename__ = "kept_answers"

    key_hash: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    """SHA-256 over who sent the key and the key itself: two people may use the same one."""
    request_sha256: Mapped[str] = mapped_column(sa.String(64))
    status: Mapped[int]
    body: Mapped[str] = mapped_column(sa.Text)
    patient_id: Mapped[str | None] = mapped_column(sa.String(36), sa.ForeignKey("patients.id"), index=True)
    ends_at: Mapped[datetime] = mapped_column(index=True)


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """An answer as it was given.

    Attributes:
        status: The HTTP status.
        body: The document, as text.
    """

    status: int
    body: str


def find_answer(session: Session, actor: Actor, key: str, request_sha256: str) -> KeptAnswer | None:
    """The answer that this request got before; None where it is new or its answer has expired.

    Args:
        session: Any.
        actor: Who asks; keys of different people are different.
        key: As the request brought it.
        request_sha256: Hash of what the request asks for.

    Raises:
        KeyReusedError: The key came with another request.
    """
    row = session.get(AnswerRow, _hash(actor, key))
    if row is None or row.ends_at <= now():
        return None
    if row.request_sha256 != request_sha256:
        raise KeyReusedError(
            "this key was used for a request that said something else",
            where="Idempotency-Key",
            way_out="Send the same request again, or use a new key for a new one.",
        )
    return KeptAnswer(row.status, row.body)


def repeat_answer(session: Session, actor: Actor, key: str, request_sha256: str) -> KeptAnswer | None:
    """As `find_answer`; that it is given again is noted.

    Args:
        session: From `Database.begin`.
        actor: As there.
        key: As there.
        request_sha256: As there.

    Raises:
        KeyReusedError: As there.
    """
    found = find_answer(session, actor, key, request_sha256)
    if found is not None:
        audit.append(session, actor, "request.repeated", "request", request_sha256)
    return found


def keep_answer(
    session: Session,
    actor: Actor,
    key: str,
    request_sha256: str,
    *,
    status: int,
    body: str,
    patient_id: str | None,
) -> None:
    """Keeps the answer to a request, in the transaction that made what it tells of; forgets those that have expired.

    Args:
        session: From `Database.begin`, in which `find_answer` gave None.
        actor: Who asked.
        key: As the request brought it.
        request_sha256: Hash of what it asked for.
        status: The HTTP status.
        body: The document.
        patient_id: Of whom it tells: it goes when they are deleted.
    """
    session.execute(sa.delete(AnswerRow).where(AnswerRow.ends_at <= now()))
    session.add(
        AnswerRow(
            key_hash=_hash(actor, key),
            request_sha256=request_sha256,
            status=status,
            body=body,
            patient_id=patient_id,
            ends_at=now() + LIFETIME,
        )
    )
    session.flush()


def forget_patient(session: Session, patient_id: str) -> None:
    """Removes the answers that tell of a patient."""
    session.execute(sa.delete(AnswerRow).where(AnswerRow.patient_id == patient_id))


def _hash(actor: Actor, key: str) -> str:
    return hashlib.sha256("\0".join((*actor.person, key)).encode()).hexdigest()
