"""The practice's settings over the API, and the token that a request came with.

Owns routes. Refuses to manage accounts and tokens: that is for people, on pages.
"""

from __future__ import annotations

from fastapi import APIRouter, Request

from dermaloop.cases import tokens
from dermaloop.cases.practice import Practice, change_practice, read_practice
from dermaloop.cases.roles import Role, Scope
from dermaloop.web.access import allow
from dermaloop.web.api_common import PREFIX, changing, reading
from dermaloop.web.api_shapes import shape
from dermaloop.web.desk import desk_of
from dermaloop.web.errors import WebError
from dermaloop.web.identity import identity_of
from dermaloop.wire import documents
from dermaloop.wire.entries import PracticeSettings

router = APIRouter(prefix=PREFIX, tags=["practice"])


@router.get(
    "/practice",
    summary="The practice's settings",
    dependencies=[allow(Role.VIEWER, scope=Scope.CASES_READ)],
    response_description="The settings.",
    responses=reading(),
)
async def show_practice(request: Request) -> documents.Practice:
    """A program needs to know whether answers are hidden until an impression is in."""
    return shape(documents.Practice, await desk_of(request).read(read_practice))


@router.put(
    "/practice",
    summary="Change the practice's settings",
    dependencies=[allow(Role.LEAD, scope=Scope.PRACTICE_WRITE)],
    response_description="The settings as they are now.",
    responses=changing(),
)
async def change(request: Request, entry: PracticeSettings) -> documents.Practice:
    """Which changed, from what to what, is in the audit log."""
    actor, wanted = identity_of(request).actor, Practice(**entry.model_dump())
    return shape(
        documents.Practice, await desk_of(request).write(lambda session: change_practice(session, actor, wanted))
    )


@router.get(
    "/token",
    summary="The token that this request came with",
    dependencies=[allow(Role.VIEWER, any_scope=True)],
    response_description="The token, without its secret.",
    responses=reading("not_found"),
)
async def show_token(request: Request) -> documents.TokenAnswer:
    """What it may be used for and when it ends, so that a program can ask for a new one in time."""
    who = identity_of(request)
    if who.token is None:
        raise WebError("not_found", "the request came with no token", way_out="See the page 'My account'.")
    return shape(
        documents.TokenAnswer,
        who.token,
        scopes=[scope.value for scope in Scope if scope in who.token.scopes],
        account=who.account.name,
        role=who.role.value,
    )


@router.post(
    "/token/revocation",
    summary="End the token that this request came with",
    dependencies=[allow(Role.VIEWER, any_scope=True)],
    response_description="It does not work any more.",
    responses=changing("not_found"),
)
async def revoke_token(request: Request) -> documents.TokenRevoked:
    """For a program that is done, or fears that its token was seen. Other tokens are ended on 'My account'."""
    who = identity_of(request)
    token = who.token
    if token is None:
        raise WebError("not_found", "the request came with no token", way_out="See the page 'My account'.")
    await desk_of(request).write(lambda session: tokens.revoke(session, who.actor, who.account.id, token.id))
    return documents.TokenRevoked(name=token.name)
