"""The page of one's own account: password, sign-ins and tokens.

Owns their routes. Refuses to decide anything about accounts: that is `cases`; here a form becomes a call, and its
outcome a page. A secret that is shown once stands in the answer to the form itself, never in an address.
"""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from dermaloop.cases import account_passwords, accounts, attempts, audit, passwords, sign_ins, tokens
from dermaloop.cases.database import Transaction
from dermaloop.cases.roles import COVERS, Role, Scope, scopes_for
from dermaloop.core.errors import DermaloopError
from dermaloop.web.access import allow
from dermaloop.web.desk import desk_of
from dermaloop.web.errors import WebError
from dermaloop.web.forms import Form, read_form
from dermaloop.web.identity import Identity, address_of, identity_of
from dermaloop.web.pages import failed_form, render
from dermaloop.web.sign_in_pages import begin, new_password

router = APIRouter(include_in_schema=False)

_SIGNED_IN = allow(Role.VIEWER)
_TOKEN_DAYS = (7, 30, 90, 365)


@router.get("/account", dependencies=[_SIGNED_IN])
async def account_page(request: Request) -> HTMLResponse:
    """One's own account."""
    return HTMLResponse(render("account.html", request, failure=None, **await _account_values(request)))


async def _account_values(request: Request, new_token: str = "") -> dict[str, object]:
    who, lifetime = identity_of(request), desk_of(request).settings.lifetime

    def look(transaction: Transaction) -> dict[str, object]:
        return {
            "account": accounts.find(transaction, who.account.id),
            "sign_ins": sign_ins.listing(transaction, who.account.id, lifetime),
            "tokens": [one for one in tokens.listing(transaction, who.account.id) if one.works],
        }

    more = {
        "this": who.sign_in.id if who.sign_in else "",
        "scopes": [(scope, COVERS[scope]) for scope in scopes_for(who.role)],
        "days": _TOKEN_DAYS,
        "least": passwords.LEAST_LENGTH,
        "new_token": new_token,
    }
    return {**await desk_of(request).read(look), **more}


async def _account_failed(request: Request, error: DermaloopError) -> HTMLResponse:
    return failed_form(request, "account.html", error, **await _account_values(request))


def _to_account(anchor: str = "") -> RedirectResponse:
    return RedirectResponse("/account" + anchor, HTTPStatus.SEE_OTHER)


@router.post("/account/password", dependencies=[_SIGNED_IN])
async def change_password(request: Request) -> Response:
    """Sets the password; every other browser of the account is signed out, and this one gets a new secret."""
    desk, form, who = desk_of(request), await read_form(request), identity_of(request)
    try:
        await require_present_password(request, form, who)
        hashed = await new_password(desk, form, form.get("name") or who.account.name)

        def change(transaction: Transaction) -> str:
            if form.get("name"):
                accounts.set_name(transaction, who.actor, who.account.id, form.get("name"))
            account = account_passwords.set_password(transaction, who.actor, who.account.id, hashed)
            return begin(transaction, desk, account, request, "password")

        secret = await desk_of(request).write(change)
    except (accounts.AccountError, passwords.PasswordError, WebError) as error:
        return await _account_failed(request, error)
    response = _to_account()
    desk.cookies.sign_in(response, secret)
    return response


async def require_present_password(request: Request, form: Form, who: Identity) -> None:
    """A browser left open must not be enough to take an account over: the form's `present` is checked."""
    await require_password(request, form.get("present"), who, field="present")


async def require_password(request: Request, present: str, who: Identity, *, field: str) -> bool:
    """Checks a person's password; guesses are counted as at the sign-in form.

    Args:
        request: Who asks.
        present: As it was typed.
        who: Whose it should be.
        field: Where it was typed.

    Returns:
        False where the account has none yet, so that nothing was checked.

    Raises:
        WebError: `wrong_password`, `too_many_attempts`.
    """
    desk = desk_of(request)
    key, address = accounts.name_key(who.account.name), address_of(request)
    stored = await desk.read(lambda transaction: account_passwords.stored_password(transaction, who.account.id))
    if stored is None:
        return False
    admission = await desk_of(request).write(lambda transaction: attempts.admit(transaction, key, address))
    if not admission.admitted:
        raise WebError(
            "too_many_attempts",
            "there were too many attempts with a wrong password",
            way_out="Try again later.",
            retry_after_s=admission.retry_after_s,
        )
    if not (await desk.hash(passwords.verify, stored, present)).ok:
        await desk.write(
            lambda transaction: audit.append(
                transaction, who.actor, "account.sign_in_failed", accounts.SUBJECT, who.account.id
            )
        )
        raise WebError("wrong_password", "the present password is another one", field=field, way_out="Type it again.")
    await desk_of(request).write(lambda transaction: attempts.forgive(transaction, key, address))
    return True


@router.post("/account/sign-ins/{sign_in_id}/end", dependencies=[_SIGNED_IN])
async def end_sign_in(request: Request, sign_in_id: str) -> Response:
    """Ends another browser's sign-in of the same account."""
    who = identity_of(request)
    ended = await desk_of(request).write(
        lambda transaction: sign_ins.end(transaction, who.actor, who.account.id, sign_in_id)
    )
    if not ended:
        raise WebError("not_found", "there is no such sign-in of yours", way_out="Reload the page 'My account'.")
    return _to_account("#sign-ins")


@router.post("/account/tokens", dependencies=[_SIGNED_IN])
async def make_token(request: Request) -> Response:
    """Makes a token and shows it, this once."""
    form, who = await read_form(request), identity_of(request)
    try:
        scopes = [Scope(word) for word in form.all("scope")]
        days = int(form.get("days"))
    except ValueError as error:
        raise WebError("bad_parameter", "the form holds a value it does not offer", way_out="Open it anew.") from error

    def make(transaction: Transaction) -> str:
        return tokens.make(transaction, who.actor, who.account.id, name=form.get("name"), scopes=scopes, days=days)[0]

    try:
        secret = await desk_of(request).write(make)
    except tokens.TokenError as error:
        return await _account_failed(request, error)
    return HTMLResponse(render("account.html", request, failure=None, **await _account_values(request, secret)))


@router.post("/account/tokens/{token_id}/revoke", dependencies=[_SIGNED_IN])
async def revoke_token(request: Request, token_id: str) -> Response:
    """Ends a token."""
    who = identity_of(request)
    revoked = await desk_of(request).write(
        lambda transaction: tokens.revoke(transaction, who.actor, who.account.id, token_id)
    )
    if not revoked:
        raise WebError("not_found", "there is no such token of yours", way_out="Reload the page 'My account'.")
    return _to_account("#tokens")
