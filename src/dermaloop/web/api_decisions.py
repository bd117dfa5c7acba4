"""Decisions about models over the API: promote, roll back, decline, let answer silently.

Owns routes, and the rule that a token alone decides nothing. A decision about which model answers is an act of a
person (`cases.promotion`). A browser's sign-in is that person's; a token may lie on a disk, so with one each decision
brings the password of the account in whose name it works: the person's signature, typed for this act, checked as at the
sign-in form, neither kept nor hashed into what is remembered of the request. What is then written down is the person's
act, and that it came by this token.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import APIRouter, Request
from starlette.responses import Response

from dermaloop.cases import audit, promotion, registry
from dermaloop.cases.actor import Actor
from dermaloop.cases.database import Transaction
from dermaloop.cases.errors import ConflictError
from dermaloop.cases.model_records import ModelVersion
from dermaloop.cases.model_rows import SUBJECT
from dermaloop.cases.roles import Role, Scope
from dermaloop.inference.classifier import Classifier
from dermaloop.web.access import allow
from dermaloop.web.account_pages import require_password
from dermaloop.web.api_common import PREFIX, Key, Once, RecordId, changing
from dermaloop.web.api_models import model_of
from dermaloop.web.desk import desk_of
from dermaloop.web.errors import WebError
from dermaloop.web.identity import address_of, identity_of
from dermaloop.wire import models as wire
from dermaloop.wire.base import Answer
from dermaloop.wire.entries import DecisionEntry, PromotionEntry, ShadowEntry

router = APIRouter(prefix=f"{PREFIX}/models", tags=["models"])

_LEADS = allow(Role.LEAD, scope=Scope.MODELS_DECIDE)
_REFUSALS = ("wrong_password", "too_many_attempts")


@router.post(
    "/rollback", summary="Let the champion before answer again", status_code=201, dependencies=[_LEADS],
    response_model=wire.ModelVersion, response_description="The model that answers now.",
    responses=changing(*_REFUSALS, "bundle"),
)  # fmt: skip
async def roll_back(once: Key, entry: DecisionEntry) -> Response:
    """Takes the latest promotion back; two rollbacks go back two, so send a key. Needs no gates."""
    return await _decide(once, entry, lambda session, person: promotion.roll_back(session, person, reason=entry.reason))


@router.post(
    "/shadow/stop", summary="End the shadow", status_code=201, dependencies=[_LEADS], response_model=wire.ModelVersion,
    response_description="The model that was the shadow.", responses=changing(*_REFUSALS),
)  # fmt: skip
async def stop_shadow(once: Key, entry: ShadowEntry) -> Response:
    """What it said stays."""
    return await _decide(
        once, entry, lambda session, person: promotion.stop_shadow(session, person, reason=entry.reason)
    )


@router.post(
    "/{model_id}/promote", summary="Make a model the champion", status_code=201, dependencies=[_LEADS],
    response_model=wire.ModelVersion, response_description="The model, which answers from now on.",
    responses=changing("record_not_found", *_REFUSALS, "bundle"),
)  # fmt: skip
async def promote(request: Request, model_id: RecordId, once: Key, entry: PromotionEntry) -> Response:
    """It is loaded and tried before; its gates must have been passed. When this answers, this server answers by it."""
    desk = desk_of(request)

    async def load() -> Classifier:
        model = await desk.read(lambda session: registry.find_model(session, model_id))
        return await desk.follower.try_model(model)

    def change(session: Transaction, person: Actor) -> ModelVersion:
        return promotion.promote(session, person, model_id, reason=entry.reason, without_gates=entry.without_gates)

    return await _decide(once, entry, change, always_signed=True, load=load)


@router.post(
    "/{model_id}/decline", summary="Decide against a challenger", status_code=201, dependencies=[_LEADS],
    response_model=wire.ModelVersion, response_description="The model, retired.",
    responses=changing("record_not_found", *_REFUSALS),
)  # fmt: skip
async def decline(model_id: RecordId, once: Key, entry: DecisionEntry) -> Response:
    """The reason is kept."""
    return await _decide(
        once, entry, lambda session, person: promotion.decline(session, person, model_id, reason=entry.reason)
    )


@router.post(
    "/{model_id}/shadow", summary="Let a model answer silently beside the champion", status_code=201,
    dependencies=[_LEADS], response_model=wire.ModelVersion, response_description="The model.",
    responses=changing("record_not_found", *_REFUSALS, "bundle"),
)  # fmt: skip
async def start_shadow(model_id: RecordId, once: Key, entry: ShadowEntry) -> Response:
    """The shadow before it ends."""
    return await _decide(
        once, entry, lambda session, person: promotion.start_shadow(session, person, model_id, reason=entry.reason)
    )


async def _decide(
    once: Once,
    entry: DecisionEntry,
    change: Callable[[Transaction, Actor], ModelVersion],
    *,
    always_signed: bool = False,
    load: Callable[[], Awaitable[Classifier]] | None = None,
) -> Response:
    desk, request = desk_of(once.request), once.request
    # Without the password: what is remembered of a request would be a hash to guess it by.
    once.ask(entry.model_dump(mode="json", exclude={"password"}))
    person = await _signature(request, entry.password, needed=always_signed)
    known = await once.repeated()
    if known is not None:
        return known
    loaded = None if load is None else await load()

    def make(session: Transaction) -> tuple[Answer, str | None]:
        model = change(session, person)
        if once.actor.kind == "token":
            audit.append(session, once.actor, "model.signed", SUBJECT, model.id)
        standing = registry.standing(registry.history(session)).get(model.id, ())
        return model_of(model, standing), None

    answer = await once.make_asked(make)
    await desk.follower.refresh(loaded)
    return answer


async def _signature(request: Request, password: str, *, needed: bool) -> Actor:
    """The person who decides, once the password has shown that it is they."""
    who = identity_of(request)
    by_token = who.token is not None
    if by_token or needed:
        if by_token and not password:
            raise WebError(
                "wrong_password",
                "a token alone decides nothing",
                field="password",
                way_out="Send your present password as your signature.",
            )
        checked = await require_password(request, password, who, field="password")
        if by_token and not checked:
            raise ConflictError(
                "the account has no password to sign with", where="password", way_out="Set one on 'My account'."
            )
    return Actor("account", who.account.id, who.account.name, address_of(request))
