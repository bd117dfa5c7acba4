"""Who may use which route, stated at the route: a role and perhaps a scope, or public and why.

Owns the check itself and the rule that a route which states nothing is not served at all. Refuses to know accounts and
pages. A request by cookie that could change something must bring the token of our own forms too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from fastapi import Depends
from starlette.requests import Request
from starlette.routing import BaseRoute

from dermaloop.cases.passwords import same
from dermaloop.cases.roles import Role, Scope
from dermaloop.web.desk import desk_of
from dermaloop.web.errors import WebError
from dermaloop.web.forms import FORM_TOKEN, is_form, read_form
from dermaloop.web.identity import Identity, identify
from dermaloop.web.menu import waiting_for, wants_page
from dermaloop.web.validation import require_known

TOKEN_HEADER = "X-Form-Token"  # noqa: S105 - a header's name
_API = "/api/v1/"
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Access:
    """Who may use a route. Made by `allow` or `public`; called by the framework before the route.

    Attributes:
        role: The least role; None for a public route.
        scope: What a token needs; None keeps programs out.
        reason: Why everybody may, for a public route.
        form: For a public route: whether it takes a form of ours, which then must bring its token.
        any_scope: Whether a token of any scope will do, for what a program may always know of itself.
        upload: Whether the route reads a multipart body by `Desk.answer_uploads`, which checks the token in it.
    """

    role: Role | None = None
    scope: Scope | None = None
    reason: str = ""
    form: bool = False
    upload: bool = False
    any_scope: bool = False

    async def __call__(self, request: Request) -> None:
        """Lets the request through or refuses it.

        Who may not use an address is not told which parameters it knows; pages take no notice of unknown ones, which
        links from elsewhere may bring along.

        Raises:
            WebError: `not_signed_in`, `bad_token`, `role_missing`, `scope_missing`, `stale_form`; `bad_parameter`.
        """
        await self._admit(request)
        if request.scope["path"].startswith(_API):
            require_known(request)
        elif self.role is not None and wants_page(request):
            request.state.waiting = await waiting_for(request)

    async def _admit(self, request: Request) -> None:
        if self.role is None:
            if self.form and request.method not in _SAFE_METHODS:
                await self._check_form(request)
            return
        who = await identify(request)
        if who is None:
            raise WebError("not_signed_in", "nobody is signed in", way_out="Sign in, or send a token.")
        self._check_scope(who)
        if not who.role.covers(self.role):
            raise WebError(
                "role_missing",
                f"this needs the role {self.role.value!r}; {who.account.name!r} is {who.role.value!r}",
                field=self.role.value,
                way_out="Ask an administrator.",
            )
        if who.token is None and request.method not in _SAFE_METHODS:
            await self._check_form(request)

    def _check_scope(self, who: Identity) -> None:
        if self.any_scope or who.has_scope(self.scope):
            return
        if self.scope is None:
            raise WebError(
                "scope_missing", "this is for people only, whatever a token's scopes", way_out="Sign in on the page."
            )
        raise WebError(
            "scope_missing",
            f"the token lacks the scope {self.scope.value!r}",
            field=self.scope.value,
            way_out="Make a token with this scope on the page 'My account'.",
        )

    async def _check_form(self, request: Request) -> None:
        given = request.headers.get(TOKEN_HEADER)
        if given is None and is_form(request):
            given = (await read_form(request)).get(FORM_TOKEN, "")
        if given is None and self.upload:
            request.state.form_token_due = True  # it stands in the body, which only the route reads
            return
        check_form_token(request, given or "")


def check_form_token(request: Request, given: str) -> None:
    """Checks the token of a form against what the browser carries.

    Raises:
        WebError: `stale_form`.
    """
    cookies = desk_of(request).cookies
    carried = (cookies.sign_in_secret(request), cookies.visit(request))
    # Both are tried: the form may have been opened before its reader signed in in another tab.
    if not any(one is not None and same(given, cookies.form_token(one)) for one in carried):
        raise WebError("stale_form", "the form was not made for this browser, or is too old", way_out="Open it anew.")
    request.state.form_token_due = False


def check_upload_token(request: Request, given: str) -> None:
    """The same for the token in a multipart body, where `Access` has left it to the reader of the body.

    Raises:
        WebError: `stale_form`.
    """
    if getattr(request.state, "form_token_due", False):
        check_form_token(request, given)


def allow(role: Role, *, scope: Scope | None = None, upload: bool = False, any_scope: bool = False) -> Any:
    """States that a route is for this role and those above it, and for tokens of the scope.

    Args:
        role: The least role.
        scope: What a token needs; without one, no token will do.
        upload: See `Access`.
        any_scope: See `Access`.
    """
    return Depends(Access(role=role, scope=scope, upload=upload, any_scope=any_scope))


def public(reason: str, *, form: bool = False) -> Any:
    """States that everybody may use a route, and why.

    Args:
        reason: One clause.
        form: Whether it takes a form of ours.
    """
    assert reason
    return Depends(Access(reason=reason, form=form))


@dataclass(frozen=True, slots=True)
class Stated:
    """One route as it is served, and what it states; None where it states nothing."""

    path: str
    methods: tuple[str, ...]
    access: Access | None


def stated(routes: Iterable[BaseRoute], mounts: dict[str, str], prefix: str = "") -> Iterator[Stated]:
    """Every route below `routes` with what it states.

    Args:
        routes: As `app.routes`.
        mounts: Path to reason, for what is mounted whole (files), which has no dependencies to state anything by.
        prefix: Of the paths.
    """
    for route in routes:
        inner = getattr(route, "original_router", None)  # newer FastAPI keeps an included router as one route
        if inner is not None:
            yield from stated(inner.routes, mounts, prefix + getattr(route.include_context, "prefix", ""))  # type: ignore[attr-defined]
            continue
        path = prefix + getattr(route, "path", "")
        methods = tuple(sorted(getattr(route, "methods", None) or ("GET",)))
        if path in mounts:
            yield Stated(path, ("GET",), Access(reason=mounts[path]))
            continue
        found = [one.call for one in getattr(getattr(route, "dependant", None), "dependencies", [])]
        access = next((one for one in found if isinstance(one, Access)), None)
        yield Stated(path, methods, access)


def require_stated(routes: Iterable[BaseRoute], mounts: dict[str, str]) -> None:
    """Refuses to serve an application with a route that states nothing.

    Raises:
        AssertionError: A defect of ours, found when the application is put together.
    """
    silent = [one.path for one in stated(routes, mounts) if one.access is None]
    if silent:
        raise AssertionError(f"routes that do not state who may use them: {', '.join(silent)}")
