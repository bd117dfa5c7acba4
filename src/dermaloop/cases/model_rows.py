"""Rows of the registry: finding one, pointing an alias to one, and whether one is still what was registered.

Owns the check on which everything else rests: file against row, row against its entry in the audit log, that entry
against the chain's secret; and that no alias is ever pointed to what does not pass it. Refuses to know what may be
promoted, and why.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dermaloop.cases import audit, model_files
from dermaloop.cases.actor import Actor
from dermaloop.cases.audit import AuditRow
from dermaloop.cases.database import Database, now
from dermaloop.cases.errors import RecordNotFoundError
from dermaloop.cases.model_files import StoredBundle
from dermaloop.cases.model_records import AliasEntry, alias_entry, row_digest, text_sha256
from dermaloop.cases.model_tables import Act, Alias, AliasRow, ModelRow
from dermaloop.core.errors import BundleError

SUBJECT = "model"
REGISTERED = "model.registered"
_LONGEST_ID = 40
_SHORTEST_ID = 6


def models_folder(session: Session) -> Path:
    """The store's folder of bundles."""
    folder = _database(session).models
    assert folder is not None, "a database without a store has no registry"
    return folder


def _database(session: Session) -> Database:
    database = session.info["database"]
    assert isinstance(database, Database)
    return database


def find_row(session: Session, model_id: str) -> ModelRow:
    """As `find_model`, as a row."""
    text = model_id.strip()
    rows: Sequence[ModelRow] = ()
    if text in {Alias.CHAMPION, Alias.CHALLENGER, Alias.SHADOW}:
        row = current_row(session, Alias(text))
        rows = () if row is None else (row,)
    elif text.isascii() and text.isprintable():
        query = sa.select(ModelRow).order_by(ModelRow.made_at.desc())
        if len(text) <= _LONGEST_ID and len(text) >= _SHORTEST_ID:
            rows = session.scalars(query.where(ModelRow.id.startswith(text, autoescape=True)).limit(2)).all()
        if not rows:
            rows = session.scalars(query.where(ModelRow.identity == text).limit(2)).all()
    if len(rows) == 1:
        return rows[0]
    what = f"more than one model is called {text[:_LONGEST_ID]!r}" if rows else "there is no such model"
    raise RecordNotFoundError(what, where="model", way_out="'dermaloop registry show' lists all with their ids.")


def current_row(session: Session, alias: Alias) -> ModelRow | None:
    """The row that an alias points to."""
    last = sa.select(AliasRow.model_id).where(AliasRow.alias == alias).order_by(AliasRow.sequence.desc()).limit(1)
    model_id = session.scalar(last)
    return None if model_id is None else session.get(ModelRow, model_id)


def point(  # noqa: PLR0917 - the six belong together, and always in this order
    session: Session, actor: Actor, alias: Alias, row: ModelRow | None, act: Act, reason: str
) -> AliasEntry:
    """Lets an alias point to a model, or to nothing; never to one that is not whole and true.

    The audit entry names the hashes of bundle, plan and gate results, and the digest of the entry itself.

    Raises:
        BundleError: The file or the row was changed since it was registered.
    """
    if row is not None and alias is not Alias.RETIRED:
        require_true(session, row)
    number = session.scalar(sa.select(sa.func.max(AliasRow.sequence))) or 0
    entry = AliasRow(
        sequence=number + 1,
        alias=alias,
        model_id=None if row is None else row.id,
        act=act,
        at=now(),
        reason=reason,
        actor_kind=actor.kind,
        actor_id=actor.id,
        actor_name=actor.name,
    )
    session.add(entry)
    session.flush()
    about = {"alias": str(alias), "entry": entry.sequence, "digest": row_digest(entry)}
    hashes = {} if row is None else hashes_of(row)
    audit.append(session, actor, f"model.{act}", SUBJECT, "none" if row is None else row.id, {**about, **hashes})
    return alias_entry(entry)


def hashes_of(row: ModelRow) -> dict[str, str | None]:
    """The hashes by which the audit log knows a model."""
    return {
        "file": row.file_sha256,
        "bundle": row.bundle_sha256,
        "plan": row.plan_sha256,
        "gates": text_sha256(row.gates),
        "evidence": row.evidence_sha256,
    }


def require_true(session: Session, row: ModelRow) -> StoredBundle:
    """The bundle of a row, after every check: what was registered is what is there.

    Raises:
        BundleError: The row is not what the audit log noted of it, or the file is missing or was changed.
    """
    require_noted(session, row)
    stored = model_files.read_bundle(models_folder(session), row.file_sha256)
    if stored.bundle.sha256 != row.bundle_sha256 or stored.bundle.identity != row.identity:
        raise _untrue(row, "the file is another bundle than the registry names")
    if row.evidence_sha256 is not None:
        model_files.require_evidence(models_folder(session), row.evidence_sha256)
    return stored


def require_noted(session: Session, row: ModelRow) -> None:
    """Compares a row with what the audit log noted when it was registered.

    Raises:
        BundleError: It was changed since, or the log has no such entry, or the entry was forged.
    """
    columns = AuditRow.__table__.columns
    found = session.execute(
        sa.select(*columns).where(AuditRow.action == REGISTERED, AuditRow.subject_id == row.id).limit(1)
    ).one_or_none()
    if found is None:
        raise _untrue(row, "the audit log does not know it")
    entry = dict(zip((column.key for column in columns), found, strict=True))
    if not hmac.compare_digest(audit.entry_hash(_database(session).audit_key, entry), entry["hash"]):
        raise _untrue(row, "its entry in the audit log was changed or forged")
    if json.loads(entry["detail"]).get("row") != row_digest(row):
        raise _untrue(row, "its gate results or another entry of the registry were changed since it was registered")


def _untrue(row: ModelRow, what: str) -> BundleError:
    return BundleError(what, where=row.identity, way_out="Do not use it; 'dermaloop registry verify' says more.")
