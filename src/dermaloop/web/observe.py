"""Every request is counted, timed and written down once, whatever becomes of it.

Owns the outermost wrapper of the application, and the template of a request's route. Refuses to see bodies, headers and
addresses: what it has not read, it cannot tell.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Iterable
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dermaloop.web import logs
from dermaloop.web.metrics import Metrics

NO_ROUTE = "(none)"
"""The route of a request that was refused before one was found, or that none fits."""
HEADER = "X-Request-ID"
"""Names the request's line in the log. Ours only: an id that a client chose could be a name."""
_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
_GONE = 499
_DEFECT = 500


class ObserveMiddleware:
    """Counts, times and logs requests, and names each.

    Args:
        app: The application.
        metrics: Where to count.
        mounts: Paths that are served whole from a folder.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, mounts: Iterable[str]) -> None:
        self._app, self._metrics, self._mounts = app, metrics, tuple(mounts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        name = uuid.uuid4().hex
        begun, status = time.perf_counter(), 0

        async def send_named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[HEADER] = name
            await send(message)

        scope.setdefault("state", {})
        token = logs.request_id.set(name)
        self._metrics.begun()
        try:
            await self._app(scope, receive, send_named)
        except Exception:
            status = _DEFECT
            raise
        finally:
            seconds = time.perf_counter() - begun
            route = route_of(scope, self._mounts)
            # A method is the client's own word too.
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self._metrics.answered(method, route, status or _GONE, seconds)
            _log(scope["state"], method, route, status or _GONE, seconds)
            logs.request_id.reset(token)


def route_of(scope: Scope, mounts: Iterable[str] = ()) -> str:
    """The template of the route that a request came to, e.g. `/cases/{case_id}`."""
    path = getattr(scope.get("route"), "path", None)
    if isinstance(path, str):
        return path
    return next((mount for mount in mounts if scope["path"].startswith(f"{mount}/")), NO_ROUTE)


def _log(state: dict[str, Any], method: str, route: str, status: int, seconds: float) -> None:
    if not logs.REQUESTS.isEnabledFor(logging.INFO):
        return
    actor = getattr(state.get("identity"), "actor", None)
    logs.REQUESTS.info(
        "%s %s %d",
        method,
        route,
        status,
        extra={
            "method": method,
            "route": route,
            "status": status,
            "duration_ms": round(1000 * seconds, 1),
            "actor_kind": actor.kind if actor else None,
            "actor": actor.id if actor else None,
            "problem": state.get("problem"),
        },
    )
