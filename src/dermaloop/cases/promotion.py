"""What a lead decides of models: promote, roll back, decline, and let a challenger answer silently.

Owns who may, and what must be true first; each act is an entry of the alias history with its reason, in one transaction
with its audit entries. Refuses to load a model: that it runs is tried by the caller before.

- **Promotion** is an act of a person whose account covers the lead's role at that moment, with a reason. Without a plan
  there is nothing to judge by, which must be acknowledged; with one, every gate must have been judged and passed.
  Only a plan that says so is carried out by the program.
- **Rollback** takes back the latest promotion that stands: the champion before it serves again. It needs no gates, for
  that model served before; a person at the command line of the store may do it too, in an emergency.
"""

from __future__ import annotations

from sqlalchemy.orm import Session

from dermaloop.cases import accounts, audit, fields, registry
from dermaloop.cases.actor import Actor
from dermaloop.cases.errors import ConflictError, InvalidRecordError
from dermaloop.cases.model_records import AliasEntry, ModelVersion, Verdict, model_version
from dermaloop.cases.model_rows import SUBJECT, current_row, find_row, hashes_of, point, require_true
from dermaloop.cases.model_tables import Act, Alias, ModelRow
from dermaloop.cases.roles import Role
from dermaloop.core.errors import DermaloopError

_LONGEST_REASON = 2000
_REFUSED = {
    Verdict.FAILED: "a gate of its plan was not passed",
    Verdict.UNJUDGED: "a gate of its plan could not be judged",
    Verdict.NONE: "no plan and no gate stands behind it",
}


class NotALeadError(DermaloopError):
    """Who asked may not decide on models."""

    code = "role_missing"


def promote(session: Session, actor: Actor, model_id: str, *, reason: str, without_gates: bool = False) -> ModelVersion:
    """Makes a model the champion; the one before is retired, and can be rolled back to.

    Args:
        session: From `Database.begin`.
        actor: Who promotes: a person who is a lead, or the program where the plan says `automatic`.
        model_id: Of a registered model.
        reason: Why; kept.
        without_gates: Acknowledges that a model without a plan is judged by nobody but its promoter. Never helps a
            model whose gates failed or could not be judged.

    Raises:
        NotALeadError: The actor may not.
        InvalidRecordError: There is no reason.
        ConflictError: Its gates do not allow it; or it serves already.
        BundleError: The bundle or its entry was changed since it was registered.
    """
    row = find_row(session, model_id)
    require_true(session, row)
    model = model_version(row)
    _require_promoter(session, actor, model)
    why = _reason(reason)
    allowed = model.verdict is Verdict.PASSED or (model.verdict is Verdict.NONE and without_gates)
    if not allowed:
        way_out = "Let a new turn judge it with more cases." if model.plan is not None else "Acknowledge it expressly."
        raise ConflictError(
            f"{model.identity} is not promoted: {_REFUSED[model.verdict]}", where="gates", way_out=way_out
        )
    former = current_row(session, Alias.CHAMPION)
    if former is not None and former.id == row.id:
        raise ConflictError("it is the champion already", where=model.identity, way_out="There is nothing to do.")
    _clear(session, actor, row, Act.PROMOTED)
    point(session, actor, Alias.CHAMPION, row, Act.PROMOTED, why)
    if former is not None:
        point(session, actor, Alias.RETIRED, former, Act.REPLACED, "")
    return model


def roll_back(session: Session, actor: Actor, *, reason: str) -> ModelVersion:
    """Takes the latest promotion back: the champion before it serves again. Gives the model that serves now.

    Raises:
        NotALeadError: The actor may not.
        InvalidRecordError: There is no reason.
        ConflictError: There is nothing to go back to.
        BundleError: The former bundle was changed since it was registered.
    """
    _require_lead_or_owner(session, actor)
    why = _reason(reason)
    serving, before = last_promotion(registry.history(session))
    if before is None or serving is None:
        raise ConflictError(
            "there is no promotion to take back", where="champion", way_out="The first champion serves."
        )
    row, present = find_row(session, before), find_row(session, serving)
    _clear(session, actor, row, Act.ROLLED_BACK)
    point(session, actor, Alias.CHAMPION, row, Act.ROLLED_BACK, why)
    point(session, actor, Alias.RETIRED, present, Act.ROLLED_BACK, "")
    return model_version(row)


def last_promotion(entries: tuple[AliasEntry, ...]) -> tuple[str | None, str | None]:
    """(the champion, the one that a rollback leads to); None where there is none. Two rollbacks go back two steps."""
    stack = champions(entries)
    return (stack[-1] if stack else None), (stack[-2] if len(stack) > 1 else None)


def champions(entries: tuple[AliasEntry, ...]) -> tuple[str, ...]:
    """Ids of the models that were promoted one after the other, the present champion last; not those taken back."""
    stack: list[str] = []
    for entry in entries:
        if entry.alias is not Alias.CHAMPION or entry.model_id is None:
            continue
        if entry.act is Act.ROLLED_BACK:
            stack.pop()
        else:
            stack.append(entry.model_id)
    return tuple(stack)


def decline(session: Session, actor: Actor, model_id: str, *, reason: str) -> ModelVersion:
    """Decides against a challenger: it is retired, with the reason.

    Raises:
        NotALeadError: The actor may not.
        InvalidRecordError: There is no reason.
        ConflictError: It is no challenger.
    """
    _require_lead(session, actor)
    row, why = find_row(session, model_id), _reason(reason)
    challenger = current_row(session, Alias.CHALLENGER)
    if challenger is None or challenger.id != row.id:
        raise ConflictError("it is not the challenger", where=row.identity, way_out="Only a challenger is declined.")
    _clear(session, actor, row, Act.DECLINED)
    point(session, actor, Alias.RETIRED, row, Act.DECLINED, why)
    return model_version(row)


def start_shadow(session: Session, actor: Actor, model_id: str, *, reason: str = "") -> ModelVersion:
    """Lets a model answer silently beside the champion; the shadow before it ends.

    Raises:
        NotALeadError: The actor may not.
        ConflictError: It is the champion, or the shadow already.
        BundleError: The bundle or its entry was changed since it was registered.
    """
    _require_lead_or_owner(session, actor)
    row = find_row(session, model_id)
    champion, shadow = current_row(session, Alias.CHAMPION), current_row(session, Alias.SHADOW)
    if champion is not None and champion.id == row.id:
        raise ConflictError(
            "it is the champion, and answers already", where=row.identity, way_out="Choose another model."
        )
    if shadow is not None and shadow.id == row.id:
        raise ConflictError("it is the shadow already", where=row.identity, way_out="There is nothing to do.")
    point(session, actor, Alias.SHADOW, row, Act.STARTED, _reason(reason, required=False))
    return model_version(row)


def stop_shadow(session: Session, actor: Actor, *, reason: str = "") -> ModelVersion:
    """Ends the shadow; what it said stays. Gives the model that was the shadow.

    Raises:
        NotALeadError: The actor may not.
        ConflictError: There is none.
    """
    _require_lead_or_owner(session, actor)
    row = current_row(session, Alias.SHADOW)
    if row is None:
        raise ConflictError("there is no shadow", where="shadow", way_out="There is nothing to end.")
    point(session, actor, Alias.SHADOW, None, Act.STOPPED, _reason(reason, required=False))
    return model_version(row)


def note_named(session: Session, actor: Actor, model_id: str) -> None:
    """Notes that a server serves a model because it was told to by name, whatever the champion is."""
    row = find_row(session, model_id)
    require_true(session, row)
    audit.append(session, actor, "model.served_by_name", SUBJECT, row.id, hashes_of(row))


def is_lead(session: Session, actor: Actor) -> bool:
    """Whether an actor is a person whose account covers the lead's role at this moment."""
    if actor.kind != "account":
        return False
    try:
        account = accounts.find(session, actor.id)
    except accounts.NoSuchAccountError:
        return False
    return account.enabled and account.role.covers(Role.LEAD)


def _require_lead(session: Session, actor: Actor) -> None:
    if not is_lead(session, actor):
        raise NotALeadError(
            f"{actor.name!r} may not decide on models", where="role", way_out="A person with the role 'lead' may."
        )


def _require_lead_or_owner(session: Session, actor: Actor) -> None:
    """A lead, or whoever holds the store's files and uses the command line there."""
    if actor.kind != "system":
        _require_lead(session, actor)


def _require_promoter(session: Session, actor: Actor, model: ModelVersion) -> None:
    if actor.kind == "system" and model.promotes_itself and model.verdict is Verdict.PASSED:
        return
    _require_lead(session, actor)


def _clear(session: Session, actor: Actor, row: ModelRow, act: Act) -> None:
    """Takes from a model the aliases that do not go with what it becomes."""
    for alias in (Alias.CHALLENGER, Alias.SHADOW):
        held = current_row(session, alias)
        if held is not None and held.id == row.id:
            point(session, actor, alias, None, act, "")


def _reason(text: str, *, required: bool = True) -> str:
    why = fields.note(text, "reason", longest=_LONGEST_REASON)
    if required and not why:
        raise InvalidRecordError("the reason is missing", where="reason", way_out="Say why.")
    return why
