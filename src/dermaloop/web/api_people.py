"""Accounts over the API: who there is; made, invited, changed, disabled, enabled.

Owns routes. Refuses to decide: the rules are `cases.accounts`'s, and what a program may do among them is bounded by
`cases.provisioning`. Passwords, sign-ins and tokens are each person's own and managed on pages only. The answer that
holds an invitation is not kept to be given again: a second one ends the first.
"""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter, Request
from starlette.responses import Response

from dermaloop.cases import accounts, links
from dermaloop.cases.accounts import Account
from dermaloop.cases.actor import Actor
from dermaloop.cases.database import Transaction, now
from dermaloop.cases.links import LIFETIME, Purpose
from dermaloop.cases.roles import Role, Scope
from dermaloop.web.access import allow
from dermaloop.web.api_common import PREFIX, Key, RecordId, changing, reading
from dermaloop.web.api_shapes import shape
from dermaloop.web.desk import desk_of
from dermaloop.web.identity import identity_of
from dermaloop.wire import people as wire
from dermaloop.wire.base import Answer
from dermaloop.wire.entries import PersonEntry, RoleEntry

router = APIRouter(prefix=f"{PREFIX}/people", tags=["people"])

_READERS = allow(Role.ADMIN, scope=Scope.PEOPLE_READ)
_WRITERS = allow(Role.ADMIN, scope=Scope.PEOPLE_WRITE)


@router.get(
    "", summary="Who has an account", dependencies=[_READERS], response_description="All, the disabled ones last.",
    responses=reading(),
)  # fmt: skip
async def list_people(request: Request) -> wire.People:
    """With role and latest sign-in, e.g. for a yearly review of who may do what."""
    found = await desk_of(request).read(accounts.listing)
    return wire.People(people=[_person(one) for one in found])


@router.post(
    "", summary="Make an account", status_code=201, dependencies=[_WRITERS], response_model=wire.Person,
    response_description="The account. Nobody can use it before an invitation.", responses=changing("account"),
)  # fmt: skip
async def make_person(once: Key, entry: PersonEntry) -> Response:
    """With a token: a viewer or a clinician."""

    def make(session: Transaction) -> tuple[Answer, str | None]:
        return _person(accounts.create(session, once.actor, entry.name, Role(entry.role))), None

    return await once.make(entry, make)


@router.post(
    "/{account_id}/invitation", summary="Invite a person to choose a password", status_code=201,
    dependencies=[_WRITERS], response_description="The link, this once. Earlier ones end.",
    responses=changing("not_found", "account"),
)  # fmt: skip
async def invite(request: Request, account_id: RecordId) -> wire.Invitation:
    """Whoever has the link becomes that person, so with a token it is given for viewers and clinicians only."""
    actor = identity_of(request).actor

    def make(session: Transaction) -> tuple[Account, str]:
        account = accounts.find(session, account_id)
        return account, links.make(session, actor, account.id, Purpose.PASSWORD)

    account, secret = await desk_of(request).write(make)
    address = str(request.url.replace(path=f"/invitation/{secret}", query="", fragment=""))
    return wire.Invitation(person=_person(account), address=address, ends_at=now() + LIFETIME[Purpose.PASSWORD])


@router.put(
    "/{account_id}/role", summary="Give an account another role", dependencies=[_WRITERS],
    response_description="The account as it is now.", responses=changing("not_found", "account"),
)  # fmt: skip
async def change_role(request: Request, account_id: RecordId, entry: RoleEntry) -> wire.Person:
    """It holds from the next request on, for tokens too. With a token: from and to viewer or clinician."""
    role = Role(entry.role)
    return await _change(request, lambda session, actor: accounts.set_role(session, actor, account_id, role))


@router.post(
    "/{account_id}/disable", summary="End all that an account can do", dependencies=[_WRITERS],
    response_description="The account as it is now.", responses=changing("not_found", "account"),
)  # fmt: skip
async def disable(request: Request, account_id: RecordId) -> wire.Person:
    """Sign-ins, tokens and links end at once; records stay. With a token: anybody but an administrator."""
    return await _change(request, lambda session, actor: accounts.disable(session, actor, account_id))


@router.post(
    "/{account_id}/enable", summary="Let an account sign in again", dependencies=[_WRITERS],
    response_description="The account as it is now.", responses=changing("not_found", "account"),
)  # fmt: skip
async def enable(request: Request, account_id: RecordId) -> wire.Person:
    """With the password it had; its tokens stay revoked. With a token: viewers and clinicians."""
    return await _change(request, lambda session, actor: accounts.enable(session, actor, account_id))


async def _change(request: Request, change: Callable[[Transaction, Actor], Account]) -> wire.Person:
    actor = identity_of(request).actor
    return _person(await desk_of(request).write(lambda session: change(session, actor)))


def _person(account: Account) -> wire.Person:
    return shape(wire.Person, account)
