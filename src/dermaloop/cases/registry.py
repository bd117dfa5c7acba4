"""The registry of models: which bundles there are, what led to each, and which one is what.

Owns registering a bundle, and reading the models, their aliases and their history. That a model is still what was
registered is checked in `cases.model_rows`. Refuses to decide what may be promoted (`cases.promotion`), to train, and
to run a graph.

The order that makes a crash harmless: file and evidence first (written, synced, read back), then the row, its alias and
their audit entries in one transaction. A crash leaves at most a file that no row names. What is decided stands in
append-only tables: an alias is what its last entry says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dermaloop.cases import audit, fields, model_files
from dermaloop.cases.actor import Actor
from dermaloop.cases.database import new_id, now
from dermaloop.cases.errors import ConflictError, RecordNotFoundError
from dermaloop.cases.model_files import StoredBundle
from dermaloop.cases.model_records import (
    AliasEntry,
    ModelVersion,
    alias_entry,
    gates_text,
    model_version,
    plan_text,
    row_digest,
)
from dermaloop.cases.model_rows import (
    REGISTERED,
    SUBJECT,
    current_row,
    find_row,
    hashes_of,
    models_folder,
    point,
    require_true,
)
from dermaloop.cases.model_tables import Act, Alias, AliasRow, ModelRow, Origin
from dermaloop.core.bundle import Bundle

_SHA256_LENGTH = 64


def propose(
    session: Session,
    actor: Actor,
    bundle_path: Path,
    *,
    parent: ModelVersion | str | None,
    plan: Mapping[str, Any],
    plan_sha256: str,
    gates: Sequence[Mapping[str, Any]],
    evidence_folder: Path | None,
) -> ModelVersion:
    """Registers a bundle as the challenger, with its plan, its gate results and its evidence.

    The same proposal again gives the model that is there: after a crash one may simply propose once more. A challenger
    that nobody has decided on is retired by the next one.

    Args:
        session: From `Database.begin` of an opened store.
        actor: Who proposes.
        bundle_path: A bundle file or folder. To keep the transaction short, store it before (`model_files.put_bundle`):
            it is then only compared.
        parent: The model that it was made from, usually the champion, or its id.
        plan: The plan as it was before the challenger existed. `required_gates` lists the gates that must be there;
            `promotion` is `person` or `automatic`.
        plan_sha256: Hash of the plan's file, 64 hex digits.
        gates: One mapping per gate: `name`, `passed` (true, false, null: could not be judged), `measured`, `limit`,
            `interval` ([low, high]), `n`, `sentence`.
        evidence_folder: What an auditor should see: evaluation, logs, tables; packed and kept as it is.

    Raises:
        BundleError: The bundle is not whole, or the evidence is not there.
        InvalidRecordError: The plan or a gate result cannot be kept.
        RecordNotFoundError: There is no such parent.
    """
    parent_id = parent.id if isinstance(parent, ModelVersion) else parent
    if parent_id is not None:
        find_row(session, parent_id)
    sha256 = fields.line(plan_sha256, "plan_sha256", longest=_SHA256_LENGTH, required=True)
    decided: dict[str, Any] = {
        "plan": plan_text(plan),
        "plan_sha256": sha256,
        "gates": gates_text(gates),
        "parent_id": parent_id,
    }
    folder = models_folder(session)
    stored = model_files.put_bundle(folder, bundle_path)
    decided["evidence_sha256"] = None if evidence_folder is None else model_files.put_evidence(folder, evidence_folder)
    columns = [getattr(ModelRow, name) == value for name, value in decided.items()]
    known = session.scalar(sa.select(ModelRow).where(ModelRow.file_sha256 == stored.sha256, *columns).limit(1))
    if known is not None:
        require_true(session, known)
        return model_version(known)
    row = _register(session, actor, stored, Origin.PROPOSED, **decided)
    former = current_row(session, Alias.CHALLENGER)
    point(session, actor, Alias.CHALLENGER, row, Act.PROPOSED, "")
    if former is not None:
        point(session, actor, Alias.RETIRED, former, Act.REPLACED, "")
    return model_version(row)


def add(
    session: Session, actor: Actor, bundle_path: Path, *, origin: Origin = Origin.ADDED, first: bool = False
) -> ModelVersion:
    """Registers a bundle that no plan stands behind; one that is there already is given as it is.

    Args:
        session: From `Database.begin` of an opened store.
        actor: Who adds it.
        bundle_path: A bundle file or folder.
        origin: Where it came from.
        first: Whether to make it the champion where there has never been one.

    Raises:
        BundleError: The bundle is not whole.
        ConflictError: There is a champion already.
    """
    stored = model_files.put_bundle(models_folder(session), bundle_path)
    row = session.scalar(
        sa.select(ModelRow).where(ModelRow.bundle_sha256 == stored.bundle.sha256).order_by(ModelRow.made_at).limit(1)
    )
    if row is None:
        row = _register(session, actor, stored, origin)
    if first:
        if current_row(session, Alias.CHAMPION) is not None:
            raise ConflictError(
                "there is a champion already", where=row.identity, way_out="Let a lead promote the new model instead."
            )
        point(session, actor, Alias.CHAMPION, row, Act.FIRST, "")
    return model_version(row)


def champion(session: Session) -> ModelVersion:
    """The model that serves.

    Raises:
        RecordNotFoundError: There is none yet.
    """
    found = current(session, Alias.CHAMPION)
    if found is None:
        raise RecordNotFoundError(
            "there is no champion yet",
            where="registry",
            way_out="Start 'dermaloop serve' once, or use 'dermaloop registry add BUNDLE --champion'.",
        )
    return found


def current(session: Session, alias: Alias) -> ModelVersion | None:
    """The model that an alias points to; for `retired`, the one retired last."""
    row = current_row(session, alias)
    return None if row is None else model_version(row)


def find_model(session: Session, model_id: str) -> ModelVersion:
    """A registered model by its id, the beginning of its id, its identity, or an alias.

    Raises:
        RecordNotFoundError: There is none, or more than one id begins so.
    """
    return model_version(find_row(session, model_id))


def listing(session: Session) -> tuple[ModelVersion, ...]:
    """Every registered model, the latest first."""
    rows = session.scalars(sa.select(ModelRow).order_by(ModelRow.made_at.desc(), ModelRow.id))
    return tuple(model_version(row) for row in rows)


def history(session: Session, model_id: str | None = None) -> tuple[AliasEntry, ...]:
    """What happened to the aliases, or to one model, in order."""
    query = sa.select(AliasRow).order_by(AliasRow.sequence)
    if model_id is not None:
        query = query.where(AliasRow.model_id == model_id)
    return tuple(alias_entry(row) for row in session.scalars(query))


def standing(entries: Sequence[AliasEntry]) -> dict[str, tuple[Alias, ...]]:
    """What each model is now, by id, from the whole history; a model without a word here was only registered."""
    last: dict[Alias, str | None] = {}
    fate: dict[str, Alias] = {}
    for entry in entries:
        last[entry.alias] = entry.model_id
        if entry.model_id is not None and entry.alias is not Alias.SHADOW:
            fate[entry.model_id] = entry.alias
    held = (Alias.CHAMPION, Alias.CHALLENGER, Alias.SHADOW)
    models = {entry.model_id for entry in entries if entry.model_id is not None}
    found: dict[str, tuple[Alias, ...]] = {}
    for model_id in models:
        now_is = tuple(alias for alias in held if last.get(alias) == model_id)
        retired = fate.get(model_id) is Alias.RETIRED
        found[model_id] = (*now_is, *((Alias.RETIRED,) if retired else ()))
    return found


def open_model(session: Session, model: ModelVersion) -> Bundle:
    """The bundle of a model, after every check: file, row and audit log agree.

    Raises:
        BundleError: The file or the row was changed since it was registered.
    """
    return require_true(session, find_row(session, model.id)).bundle


def path_of(session: Session, model: ModelVersion) -> Path:
    """Where a model's bundle file lies; not verified by this."""
    return model_files.bundle_file(models_folder(session), model.file_sha256)


def _register(session: Session, actor: Actor, stored: StoredBundle, origin: Origin, **decided: Any) -> ModelRow:
    spec = stored.bundle.spec
    row = ModelRow(
        id=new_id(),
        made_at=now(),
        origin=origin,
        identity=stored.bundle.identity,
        name=spec.name,
        version=spec.version,
        created=spec.created,
        file_sha256=stored.sha256,
        size_bytes=stored.size_bytes,
        bundle_sha256=stored.bundle.sha256,
        model_sha256=stored.bundle.model_sha256,
        manifest_sha256=spec.manifest_sha256,
        recipe_sha256=spec.recipe_sha256,
        code_sha256=spec.code_sha256,
        actor_kind=actor.kind,
        actor_id=actor.id,
        actor_name=actor.name,
        **{"parent_id": None, "plan": None, "plan_sha256": None, "gates": "[]", "evidence_sha256": None, **decided},
    )
    session.add(row)
    session.flush()
    about = {**hashes_of(row), "row": row_digest(row), "origin": str(origin), "parent": row.parent_id}
    audit.append(session, actor, REGISTERED, SUBJECT, row.id, about)
    return row
