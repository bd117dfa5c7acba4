"""What every response carries, and which requests are not answered at all.

Owns the security headers and the check that a form was sent from our own page. Refuses to know routes. Nothing is ever
loaded from elsewhere, no script or style stands inside a page, and no answer is kept by a cache: a page may show a
patient's picture.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dermaloop.core.errors import DermaloopError
from dermaloop.web.errors import WebError
from dermaloop.web.observe import route_of

LOGGER = logging.getLogger("dermaloop.web")

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
REPORT_POLICY = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; frame-ancestors 'none'"
)
"""For the bundle's own report, a file made elsewhere: no script, no form, no network, an origin of its own. Its
styles stand inside it, since it is one self-contained file."""

HEADERS: dict[str, str] = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}

TLS_HEADERS: dict[str, str] = {"Strict-Transport-Security": "max-age=31536000"}

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

Answer = Callable[[Request, DermaloopError], Awaitable[Response]]


class SecurityMiddleware:
    """Adds the headers to every response, refuses forms sent from other sites, and turns a defect into a 500.

    A header that the route has set itself stays.

    Args:
        app: The application.
        answer: Makes the response for an error.
        secure: Whether browsers reach the server by TLS only, and shall not try otherwise again.
    """

    def __init__(self, app: ASGIApp, answer: Answer, *, secure: bool = False) -> None:
        self._app = app
        self._answer = answer
        self._headers = {**HEADERS, **(TLS_HEADERS if secure else {})}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        request = Request(scope, receive)
        try:
            if comes_from_another_site(scope["method"], request.headers):
                error = WebError("cross_site", "another site tried to use this server", way_out="Use our own page.")
                await (await self._answer(request, error))(scope, receive, send_with_headers)
                return
            await self._app(scope, receive, send_with_headers)
        except Exception:
            if started:
                raise
            LOGGER.exception("a defect in answering %s", route_of(scope))
            defect = WebError(
                "internal",
                "the program has a defect; the server's log has the details",
                way_out="Try again, and report it if it stays.",
            )
            await (await self._answer(request, defect))(scope, receive, send_with_headers)


def comes_from_another_site(method: str, headers: Headers) -> bool:
    """Whether a browser sent this unsafe request from a page that is not ours.

    Browsers say so in Sec-Fetch-Site, older ones in Origin; programs send neither and are let through.
    """
    if method in _SAFE_METHODS:
        return False
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != headers.get("host", "")


def allowed_hosts(host: str, names: tuple[str, ...] = ()) -> list[str]:
    """The names under which the server answers; any other Host header is DNS rebinding, or a scan.

    Args:
        host: The address that it listens on.
        names: Those that browsers reach it by, beyond loopback.
    """
    return sorted({"127.0.0.1", "localhost", "::1", "[::1]", host, *names})
