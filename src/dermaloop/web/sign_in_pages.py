"""The pages by which one comes in and goes out: the sign-in form, the one-time links, signing out.

Owns their routes, and how a browser gets its cookie. Refuses to decide who may come in: that is `cases`.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import quote

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from dermaloop.cases import account_passwords, accounts, links, passwords, sign_ins
from dermaloop.cases.actor import Actor
from dermaloop.cases.database import Transaction
from dermaloop.cases.links import Link, Purpose
from dermaloop.cases.roles import Role
from dermaloop.cases.sign_in_by_password import Outcome, sign_in
from dermaloop.core.errors import DermaloopError
from dermaloop.web.access import allow, public
from dermaloop.web.cookies import new_visit
from dermaloop.web.desk import Desk, desk_of
from dermaloop.web.errors import WebError
from dermaloop.web.forms import Form, read_form
from dermaloop.web.identity import address_of, identify, identity_of
from dermaloop.web.pages import failed_form, render
from dermaloop.web.translation import local_path

router = APIRouter(include_in_schema=False)

_SIGNING_IN = public("nobody is signed in before this", form=True)
_SIGNED_IN = allow(Role.VIEWER)


def to_sign_in(request: Request) -> Response:
    """Leads to the sign-in form, and from there back here."""
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse("/signin" if here == "/" else f"/signin?next={quote(here)}", HTTPStatus.SEE_OTHER)


@router.get("/signin", dependencies=[_SIGNING_IN])
async def sign_in_form(request: Request, next: str = "/") -> Response:  # noqa: A002 - the address's own word
    """The form."""
    if await identify(request) is not None:
        return RedirectResponse(local_path(next), HTTPStatus.SEE_OTHER)
    return await _sign_in_page(request, next)


async def _sign_in_page(request: Request, to: str, error: DermaloopError | None = None, name: str = "") -> Response:
    begins = _begin_visit(request)
    passwords_exist = await desk_of(request).read(account_passwords.someone_has_a_password)
    values = {"to": local_path(to), "name": name, "passwords_exist": passwords_exist}
    if error is None:
        response = HTMLResponse(render("signin.html", request, failure=None, **values))
    else:
        response = failed_form(request, "signin.html", error, **values)
    begins(response)
    return response


def _begin_visit(request: Request) -> Callable[[Response], None]:
    """Ties the forms of the page being made to the visitor's browser; the result writes the cookie it takes."""
    cookies = desk_of(request).cookies
    if cookies.visit(request) or cookies.sign_in_secret(request):
        return lambda _: None
    number = new_visit()
    request.state.visit = number
    return lambda response: cookies.begin_visit(response, number)


@router.post("/signin", dependencies=[_SIGNING_IN])
async def sign_in_by_form(request: Request) -> Response:
    """Signs in by name and password."""
    desk, form = desk_of(request), await read_form(request)
    name, to = form.get("name"), form.get("next", "/")
    outcome = await desk.hash(_try, desk, name, form.get("password"), address_of(request), _browser(request))
    if outcome.retry_after_s:
        minutes = -(-outcome.retry_after_s // 60)
        waiting = WebError(
            "too_many_attempts",
            "there were too many attempts to sign in",
            way_out=f"Try again in {minutes} minutes, or ask an administrator.",
            retry_after_s=outcome.retry_after_s,
        )
        return await _sign_in_page(request, to, waiting, name)
    if not outcome.secret:
        wrong = WebError("wrong_password", "the name and the password do not fit", way_out="Check both.")
        return await _sign_in_page(request, to, wrong, name)
    return await _signed_in(request, outcome.secret, local_path(to))


def _try(desk: Desk, name: str, password: str, address: str, browser: str) -> Outcome:
    return sign_in(desk.database, name, password, address=address, browser=browser, lifetime=desk.settings.lifetime)


def _browser(request: Request) -> str:
    return request.headers.get("user-agent", "")


async def _signed_in(request: Request, secret: str, to: str) -> Response:
    """Leads on with a new cookie; the sign-in that the browser had before, if any, ends."""
    before = await identify(request)
    if before is not None and before.sign_in is not None:
        actor, account_id, sign_in_id = before.actor, before.account.id, before.sign_in.id
        await desk_of(request).write(lambda transaction: sign_ins.end(transaction, actor, account_id, sign_in_id))
    response = RedirectResponse(to, HTTPStatus.SEE_OTHER)
    desk_of(request).cookies.sign_in(response, secret)
    return response


@router.get("/enter/{secret}", dependencies=[public("the link is itself the key")])
async def enter(request: Request, secret: str) -> Response:
    """Signs the owner in by the link that the program printed; it works once."""
    if "prefetch" in request.headers.get("sec-purpose", ""):  # a browser that looks ahead must not use it up
        return Response(status_code=HTTPStatus.NO_CONTENT)
    if await identify(request) is not None:
        return RedirectResponse("/", HTTPStatus.SEE_OTHER)
    desk = desk_of(request)

    def use(transaction: Transaction) -> str:
        link = links.use(transaction, secret, Purpose.ENTER)
        return begin(transaction, desk, link.account, request, "link")

    return await _signed_in(request, await desk_of(request).write(use), "/")


def begin(transaction: Transaction, desk: Desk, account: accounts.Account, request: Request, how: str) -> str:
    """Begins a sign-in of this browser; gives the secret for its cookie."""
    actor = Actor("account", account.id, account.name, address_of(request))
    lifetime = desk.settings.lifetime
    return sign_ins.begin(transaction, actor, account.id, lifetime, browser=_browser(request), how=how)


@router.get("/invitation/{secret}", dependencies=[_SIGNING_IN])
async def invitation_form(request: Request, secret: str) -> Response:
    """The form by which an invited person chooses a password. Looking at it does not use the link up."""
    link = await desk_of(request).read(lambda transaction: links.look(transaction, secret, Purpose.PASSWORD))
    return _invitation_page(request, link)


def _invitation_page(request: Request, link: Link, error: DermaloopError | None = None) -> Response:
    begins = _begin_visit(request)
    values = {"account": link.account, "least": passwords.LEAST_LENGTH}
    if error is None:
        response = HTMLResponse(render("invitation.html", request, failure=None, **values))
    else:
        response = failed_form(request, "invitation.html", error, **values)
    begins(response)
    return response


@router.post("/invitation/{secret}", dependencies=[_SIGNING_IN])
async def accept_invitation(request: Request, secret: str) -> Response:
    """Sets the password and signs in."""
    desk, form = desk_of(request), await read_form(request)
    link = await desk_of(request).read(lambda transaction: links.look(transaction, secret, Purpose.PASSWORD))
    try:
        hashed = await new_password(desk, form, link.account.name)
    except passwords.PasswordError as error:
        return _invitation_page(request, link, error)

    def use(transaction: Transaction) -> str:
        account = links.use(transaction, secret, Purpose.PASSWORD).account
        account_passwords.set_password(
            transaction, Actor("account", account.id, account.name, address_of(request)), account.id, hashed
        )
        return begin(transaction, desk, account, request, "link")

    return await _signed_in(request, await desk_of(request).write(use), "/")


async def new_password(desk: Desk, form: Form, name: str) -> str:
    """The hash of the password that a form chooses.

    Raises:
        passwords.PasswordError: It is not taken, or the two entries differ.
    """
    password = form.get("new")
    passwords.check_rules(password, name)
    if not passwords.same(password, form.get("again")):
        raise passwords.PasswordError("the two entries differ", where="again", way_out="Type the same twice.")
    return await desk.hash(passwords.hash_password, password)


@router.post("/signout", dependencies=[_SIGNED_IN])
async def sign_out(request: Request) -> Response:
    """Ends this browser's sign-in."""
    who = identity_of(request)
    sign_in_id = who.sign_in.id if who.sign_in else ""
    await desk_of(request).write(lambda transaction: sign_ins.end(transaction, who.actor, who.account.id, sign_in_id))
    return _signed_out(request)


@router.post("/account/signout-everywhere", dependencies=[_SIGNED_IN])
async def sign_out_everywhere(request: Request) -> Response:
    """Ends every sign-in of the account, this one too."""
    who = identity_of(request)
    await desk_of(request).write(lambda transaction: sign_ins.end_all(transaction, who.actor, who.account.id))
    return _signed_out(request)


def _signed_out(request: Request) -> Response:
    # What the browser still holds of our pages goes too: a picture must not come back by the back button.
    response = RedirectResponse("/signin", HTTPStatus.SEE_OTHER, {"Clear-Site-Data": '"cache"'})
    desk_of(request).cookies.sign_out(response)
    return response
