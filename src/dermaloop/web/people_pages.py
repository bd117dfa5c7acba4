"""The page of people, for administrators: who there is, in which role; inviting, changing, disabling.

Owns its routes. Refuses to decide: the rules are `cases.accounts`'s. An invitation is a link, shown once, that the
administrator hands over; nothing is mailed.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from dermaloop.cases import accounts, links
from dermaloop.cases.accounts import Account
from dermaloop.cases.actor import Actor
from dermaloop.cases.database import Transaction
from dermaloop.cases.links import Purpose
from dermaloop.cases.roles import MAY, Role
from dermaloop.web.access import allow
from dermaloop.web.desk import desk_of
from dermaloop.web.errors import WebError
from dermaloop.web.forms import read_form
from dermaloop.web.identity import identity_of
from dermaloop.web.pages import failed_form, render

router = APIRouter(include_in_schema=False)

_ADMINS = allow(Role.ADMIN)


@router.get("/people", dependencies=[_ADMINS])
async def people(request: Request) -> HTMLResponse:
    """Everybody, and the form to invite somebody."""
    return HTMLResponse(render("people.html", request, failure=None, **await _values(request)))


async def _values(request: Request, link: str = "", invited: Account | None = None) -> dict[str, object]:
    return {
        "people": await desk_of(request).read(accounts.listing),
        "roles": [(role, MAY[role]) for role in Role],
        "link": link,
        "invited": invited,
    }


@router.post("/people", dependencies=[_ADMINS])
async def invite(request: Request) -> Response:
    """Makes an account and the link by which its person chooses a password, shown this once."""
    form, who = await read_form(request), identity_of(request)
    role = _role(form.get("role"))

    def make(transaction: Transaction) -> tuple[Account, str]:
        account = accounts.create(transaction, who.actor, form.get("name"), role)
        return account, links.make(transaction, who.actor, account.id, Purpose.PASSWORD)

    try:
        account, secret = await desk_of(request).write(make)
    except accounts.AccountError as error:
        return failed_form(request, "people.html", error, **await _values(request))
    return await _show_link(request, account, secret)


async def _show_link(request: Request, account: Account, secret: str) -> Response:
    # The host is one of those that the server answers to, so the link leads to nobody else.
    address = str(request.url.replace(path=f"/invitation/{secret}", query="", fragment=""))
    return HTMLResponse(render("people.html", request, failure=None, **await _values(request, address, account)))


@router.post("/people/{account_id}/link", dependencies=[_ADMINS])
async def new_link(request: Request, account_id: str) -> Response:
    """A link by which a person chooses a new password, shown this once; the present one works until then."""
    who = identity_of(request)

    def make(transaction: Transaction) -> tuple[Account, str]:
        account = accounts.find(transaction, account_id)
        return account, links.make(transaction, who.actor, account.id, Purpose.PASSWORD)

    try:
        account, secret = await desk_of(request).write(make)
    except accounts.AccountError as error:
        return failed_form(request, "people.html", error, **await _values(request))
    return await _show_link(request, account, secret)


@router.post("/people/{account_id}/role", dependencies=[_ADMINS])
async def change_role(request: Request, account_id: str) -> Response:
    """Gives another role."""
    role = _role((await read_form(request)).get("role"))
    return await _change(request, lambda transaction, actor: accounts.set_role(transaction, actor, account_id, role))


@router.post("/people/{account_id}/disable", dependencies=[_ADMINS])
async def disable(request: Request, account_id: str) -> Response:
    """Ends all that an account can do."""
    return await _change(request, lambda transaction, actor: accounts.disable(transaction, actor, account_id))


@router.post("/people/{account_id}/enable", dependencies=[_ADMINS])
async def enable(request: Request, account_id: str) -> Response:
    """Lets an account sign in again."""
    return await _change(request, lambda transaction, actor: accounts.enable(transaction, actor, account_id))


async def _change(request: Request, change: Callable[[Transaction, Actor], Account]) -> Response:
    actor = identity_of(request).actor
    try:
        await desk_of(request).write(lambda transaction: change(transaction, actor))
    except accounts.AccountError as error:
        return failed_form(request, "people.html", error, **await _values(request))
    return RedirectResponse("/people", HTTPStatus.SEE_OTHER)


def _role(word: str) -> Role:
    try:
        return Role(word)
    except ValueError as error:
        raise WebError(
            "bad_parameter", f"there is no role {word!r}", field="role", way_out=f"Choose one of {', '.join(Role)}."
        ) from error
