"""No request's body is read beyond its limit or without end, whatever the route does with it.

Owns the outermost limit on bytes and time, kept while the bytes arrive: routes that read pictures and forms have closer
ones of their own, but a route that leaves reading to the framework has none. Refuses to know what a body holds.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dermaloop.core.errors import DermaloopError
from dermaloop.web.errors import WebError

Answer = Callable[[Request, DermaloopError], Awaitable[Response]]

_MULTIPART = "multipart/"
_PLAIN_BYTES = 1024 * 1024
_SLACK_BYTES = 1024 * 1024
_SLACK_S = 5.0
"""Beyond the routes' own limits, which come first and say more."""
_DRAIN_BYTES = 64 * 1024 * 1024
_DRAIN_S = 2.0


class BodyMiddleware:
    """Answers 413 or 408 in place of a route that would go on reading.

    Args:
        app: The application.
        answer: Makes the response for an error.
        most_bytes: Of a multipart request, which holds files; of any other, 1 MiB is the limit.
        timeout_s: Longest time for a body to arrive.
    """

    def __init__(self, app: ASGIApp, answer: Answer, *, most_bytes: int, timeout_s: float) -> None:
        self._app = app
        self._answer = answer
        self._most_bytes = most_bytes + _SLACK_BYTES
        self._timeout_s = timeout_s + _SLACK_S

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        files = request.headers.get("content-type", "").lower().startswith(_MULTIPART)
        body = _Body(receive, self._most_bytes if files else _PLAIN_BYTES, self._timeout_s)
        announced = request.headers.get("content-length", "")
        if announced.isdecimal() and int(announced) > body.most_bytes:
            await self._refuse(request, body.too_large(), receive, send)
            return
        started = replaced = False

        async def send_unless_broken(message: Message) -> None:
            nonlocal started, replaced
            if body.broken is not None and not started:
                # The framework words this as an error of its own; what is true is said instead, once.
                if not replaced:
                    replaced = True
                    await self._refuse(request, body.broken, receive, send)
                return
            started = True
            await send(message)

        await self._app(scope, body.receive, send_unless_broken)

    async def _refuse(self, request: Request, error: WebError, receive: Receive, send: Send) -> None:
        """Answers at once, and only then reads on: a connection closed on unread bytes takes the answer with it."""

        async def send_then_drain(message: Message) -> None:
            if message["type"] != "http.response.body" or message.get("more_body", False):
                await send(message)
                return
            await send({**message, "more_body": True})
            if error.code == "request_too_large":  # who is too slow is not waited for again
                await drain(Request(request.scope, receive).stream())
            await send({"type": "http.response.body", "body": b"", "more_body": False})

        await (await self._answer(request, error))(request.scope, receive, send_then_drain)


class _Body:
    """Counts what arrives. `broken` is set once it was too much or took too long."""

    def __init__(self, receive: Receive, most_bytes: int, timeout_s: float) -> None:
        self.most_bytes = most_bytes
        self.broken: WebError | None = None
        self._receive = receive
        self._timeout_s = timeout_s
        self._deadline: float | None = None
        self._received = 0
        self._ended = False

    async def receive(self) -> Message:
        """The next piece, as the application asks for it; once the body has ended, whatever comes."""
        if self._ended:
            return await self._receive()
        loop = asyncio.get_running_loop()
        self._deadline = self._deadline or loop.time() + self._timeout_s
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError as error:
            self.broken = WebError(
                "upload_too_slow",
                f"the request did not arrive within {self._timeout_s:g} seconds",
                way_out="Send less at once.",
            )
            raise self.broken from error
        self._received += len(message.get("body", b""))
        self._ended = not message.get("more_body", False)
        if self._received > self.most_bytes:
            self.broken = self.too_large()
            raise self.broken
        return message

    def too_large(self) -> WebError:
        """The error for a body over its limit."""
        return WebError(
            "request_too_large",
            f"the request is larger than {self.most_bytes // 1024} kB",
            way_out="Send less at once.",
        )


async def drain(stream: AsyncIterator[bytes]) -> None:
    """Reads on for a little while after a refusal: a client that is cut off while sending never sees the reason.

    Args:
        stream: Of the body's pieces, e.g. `Request.stream()`.
    """
    drained = 0
    try:
        async with asyncio.timeout(_DRAIN_S):
            async for chunk in stream:
                drained += len(chunk)
                if drained > _DRAIN_BYTES:
                    return
    except (TimeoutError, ClientDisconnect, RuntimeError):  # RuntimeError: the stream was closed by the error
        return
