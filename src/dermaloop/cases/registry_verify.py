"""Whether the registry is what it was: every bundle, every gate result, every alias, against the audit log.

Owns the walk through all of it and what it says of a break, in the order in which one would look. Refuses to repair
anything. It rests on the audit chain, which is checked first (`cases.audit_verify`): whoever changes a gate result must
change the log's entry of it too, and has not its secret.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dermaloop.cases.audit import AuditRow
from dermaloop.cases.audit_verify import Verification
from dermaloop.cases.audit_verify import verify as verify_log
from dermaloop.cases.copies_verify import copy_faults
from dermaloop.cases.model_records import row_digest
from dermaloop.cases.model_rows import REGISTERED, SUBJECT, require_noted, require_true
from dermaloop.cases.model_tables import AliasRow, ModelRow
from dermaloop.cases.store import Store
from dermaloop.core.errors import BundleError


@dataclass(frozen=True, slots=True)
class RegistryCheck:
    """What was found.

    Attributes:
        log: Of the audit log.
        models: How many models are registered.
        entries: How many entries the history of aliases has.
        faults: In plain words; empty where all is as it was.
    """

    log: Verification
    models: int
    entries: int
    faults: tuple[str, ...]

    @property
    def sound(self) -> bool:
        """Whether nothing was found."""
        return self.log.intact and not self.faults


def verify_registry(store: Store, copies: Sequence[Path] = ()) -> RegistryCheck:
    """Checks log, rows, files and aliases. Reads every bundle once.

    Args:
        store: Open.
        copies: Exported zips and folders of turns, to be compared too; see `cases.copies_verify`.

    Raises:
        StoreError: The database cannot be reached.
    """
    with store.database.read() as session:
        log = verify_log(session, store.database.audit_key, anchor=store.database.anchor)
        models = session.scalar(sa.select(sa.func.count()).select_from(ModelRow)) or 0
        entries = session.scalar(sa.select(sa.func.count()).select_from(AliasRow)) or 0
        faults = [*record_faults(session), *_file_faults(session)]
        faults += [fault for path in copies for fault in copy_faults(session, path)]
    return RegistryCheck(log, models, entries, tuple(dict.fromkeys(faults)))


def record_faults(session: Session) -> tuple[str, ...]:
    """What is wrong with rows and aliases as the audit log knows them; the bundles' files are not read."""
    try:
        rows = session.scalars(sa.select(ModelRow).order_by(ModelRow.made_at, ModelRow.id)).all()
        entries = session.scalars(sa.select(AliasRow).order_by(AliasRow.sequence)).all()
    except (LookupError, ValueError) as error:  # a word that no column may hold
        return (f"a row of the registry cannot be read: {error}",)
    noted = _noted(session)
    return (*_model_faults(session, rows, noted), *_alias_faults(entries, noted))


def _noted(session: Session) -> list[tuple[str, str, dict[str, Any]]]:
    """What the audit log says of models: (action, id, detail)."""
    query = sa.select(AuditRow.action, AuditRow.subject_id, AuditRow.detail).where(AuditRow.subject_kind == SUBJECT)
    found = []
    for action, subject, detail in session.execute(query.order_by(AuditRow.sequence)):
        try:
            content = json.loads(detail)
        except ValueError:  # the chain says that it was changed
            content = {}
        found.append((action, subject, content if isinstance(content, dict) else {}))
    return found


def _model_faults(session: Session, rows: Any, noted: list[tuple[str, str, dict[str, Any]]]) -> Iterator[str]:
    for row in rows:
        try:
            require_noted(session, row)
        except BundleError as error:
            yield _said(row, error)
    there = {row.id for row in rows}
    for action, subject, _ in noted:
        if action == REGISTERED and subject not in there:
            yield f"model {subject}: the audit log knows it, the registry does not"


def _alias_faults(entries: Any, noted: list[tuple[str, str, dict[str, Any]]]) -> Iterator[str]:
    digests = {detail["entry"]: detail.get("digest") for _, _, detail in noted if "entry" in detail}
    for entry in entries:
        if entry.sequence not in digests:
            yield f"entry {entry.sequence} of the aliases ({entry.alias}, {entry.act}): the audit log does not know it"
        elif digests.pop(entry.sequence) != row_digest(entry):
            yield f"entry {entry.sequence} of the aliases ({entry.alias}, {entry.act}): it was changed since"
    for sequence in digests:
        yield f"entry {sequence} of the aliases: the audit log knows it, the registry does not"


def _file_faults(session: Session) -> Iterator[str]:
    """Bundles and evidence against their hashes."""
    try:
        rows = session.scalars(sa.select(ModelRow).order_by(ModelRow.made_at, ModelRow.id)).all()
    except (LookupError, ValueError):  # told already
        return
    for row in rows:
        try:
            require_true(session, row)
        except BundleError as error:
            yield _said(row, error)


def _said(row: ModelRow, error: BundleError) -> str:
    where = "" if error.where in {"", row.identity} else f", {error.where}"
    return f"model {row.id} ({row.identity}): {error.what}{where}"
