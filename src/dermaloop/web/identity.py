"""Who sent a request: a person by cookie, a program by token, or nobody.

Owns the answer, found once per request. Refuses to judge whether they may do what they ask: that is `web.access`.
"""

from __future__ import annotations

from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from dermaloop.cases import sign_ins, tokens
from dermaloop.cases.accounts import Account
from dermaloop.cases.actor import Actor
from dermaloop.cases.roles import Role, Scope
from dermaloop.cases.sign_ins import SignIn
from dermaloop.cases.tokens import Token
from dermaloop.web.desk import Desk, desk_of
from dermaloop.web.errors import WebError

_SCHEME = "bearer"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who sent the request.

    Attributes:
        account: In whose name it came.
        actor: The same, as records and the audit log take it.
        sign_in: The browser's sign-in; None for a program.
        token: The program's token; None for a browser.
    """

    account: Account
    actor: Actor
    sign_in: SignIn | None = None
    token: Token | None = None

    @property
    def role(self) -> Role:
        """The account's role at this moment."""
        return self.account.role

    def has_scope(self, scope: Scope | None) -> bool:
        """Whether the request may be for this scope: a person's always, a program's only for its token's scopes."""
        return self.token is None or (scope is not None and scope in self.token.scopes)


@dataclass(frozen=True, slots=True)
class _KnownToken:
    account: Account
    token: Token


@dataclass(frozen=True, slots=True)
class _KnownSignIn:
    account: Account
    sign_in: SignIn


def address_of(request: Request) -> str:
    """The address that the request came from."""
    return request.client.host if request.client else ""


async def identify(request: Request) -> Identity | None:
    """Who sent the request; asked of the database once per request.

    A request that names a token is the token's alone: its cookie does not count, and a token that does not work is an
    error and not nobody.

    Raises:
        WebError: `bad_token`.
    """
    known: Identity | None
    if hasattr(request.state, "identity"):
        known = request.state.identity
        return known
    request.state.identity = None
    desk = desk_of(request)
    header = request.headers.get("authorization")
    if header is not None:
        known = await _by_token(request, desk, header)
    else:
        known = await _by_cookie(request, desk)
    request.state.identity = known
    return known


def identity_of(request: Request) -> Identity:
    """Who sent a request to a route that admits somebody only."""
    known = request.state.identity
    assert isinstance(known, Identity)
    return known


async def _by_token(request: Request, desk: Desk, header: str) -> Identity:
    scheme, _, secret = header.partition(" ")
    found = None
    if scheme.lower() == _SCHEME:
        found = await _find_token(desk, secret.strip())
    if found is None:
        raise WebError(
            "bad_token",
            "the token is unknown, revoked or over",
            field="Authorization",
            way_out="Send 'Authorization: Bearer TOKEN' with a token made on the page 'My account'.",
        )
    account, token, touch_due = found
    actor = Actor("token", token.id, f"{account.name} / {token.name}", address_of(request), account.id)
    if touch_due:
        await run_in_threadpool(_touch_token, desk, actor, token.id)
    return Identity(account, actor, token=token)


async def _find_token(desk: Desk, secret: str) -> tuple[Account, Token, bool] | None:
    kept = desk.known.recall(_KnownToken, secret)
    if kept is not None:
        return tokens.judge(kept.account, kept.token)
    version = desk.known.version()
    found = await run_in_threadpool(_resolve_token, desk, secret)
    if found is not None:
        desk.known.keep(secret, _KnownToken(found[0], found[1]), version)
    return found


def _resolve_token(desk: Desk, secret: str) -> tuple[Account, Token, bool] | None:
    with desk.database.read() as session:
        return tokens.resolve(session, secret)


def _touch_token(desk: Desk, actor: Actor, token_id: str) -> None:
    with desk.database.begin() as session:
        tokens.touch(session, actor, token_id)


async def _by_cookie(request: Request, desk: Desk) -> Identity | None:
    secret = desk.cookies.sign_in_secret(request)
    if secret is None:
        return None
    found = await _find_sign_in(desk, secret)
    if found is None:
        return None
    account, sign_in, touch_due = found
    if touch_due:
        await run_in_threadpool(_touch_sign_in, desk, sign_in.id)
    return Identity(account, Actor("account", account.id, account.name, address_of(request)), sign_in=sign_in)


async def _find_sign_in(desk: Desk, secret: str) -> tuple[Account, SignIn, bool] | None:
    kept = desk.known.recall(_KnownSignIn, secret)
    if kept is not None:
        return sign_ins.judge(kept.account, kept.sign_in, desk.settings.lifetime)
    version = desk.known.version()
    found = await run_in_threadpool(_resolve_sign_in, desk, secret)
    if found is not None:
        desk.known.keep(secret, _KnownSignIn(found[0], found[1]), version)
    return found


def _resolve_sign_in(desk: Desk, secret: str) -> tuple[Account, SignIn, bool] | None:
    with desk.database.read() as session:
        return sign_ins.resolve(session, secret, desk.settings.lifetime)


def _touch_sign_in(desk: Desk, sign_in_id: str) -> None:
    with desk.database.begin() as session:
        sign_ins.touch(session, sign_in_id)
