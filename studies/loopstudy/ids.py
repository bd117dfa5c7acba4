"""Ids of records that are the same in every run of the study: drawn from the keys of requests instead of at random.

Owns one replacement, for the study's own processes only: where the records make an id, it is a hash of the key that the
request was sent with (`Idempotency-Key`) and of how many ids that request has made before. The product's ids stay
random, and there is no setting for it: an id that can be guessed is not to be had in a clinic. The study needs it,
since who trains and who calibrates is drawn from a patient's id (`refine.gather`).

No counter is kept: a server that was killed gives the next one nothing to go on with, and a request that is sent again
makes the ids that the lost one would have made.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import count
from typing import Any

from dermaloop.cases import database

HEADER = b"idempotency-key"
_drawn: ContextVar[Iterator[str] | None] = ContextVar("_drawn", default=None)
_App = Callable[[Any, Any, Any], Awaitable[None]]


class _Ids:
    """Takes the place of the module `uuid` in `dermaloop.cases.database`."""

    @staticmethod
    def uuid4() -> uuid.UUID:
        draws = _drawn.get()
        return uuid.uuid4() if draws is None else id_from(next(draws))


def id_from(text: str) -> uuid.UUID:
    """The id that a text gives."""
    return uuid.UUID(bytes=hashlib.sha256(text.encode()).digest()[:16], version=4)


@contextmanager
def replaced() -> Iterator[None]:
    """Lets `drawn_from` and `KeyedIds` decide the ids of records in this process; others stay random."""
    before = database.uuid
    database.uuid = _Ids  # type: ignore[assignment] # of the module it has the one function that is called
    try:
        yield
    finally:
        database.uuid = before


@contextmanager
def drawn_from(key: str) -> Iterator[None]:
    """Draws the ids of records that are made within from a key.

    Threads that the caller's context goes along to, as those of a server's request, draw from the same sequence.
    """
    token = _drawn.set(f"{key} {number}" for number in count())
    try:
        yield
    finally:
        _drawn.reset(token)


class KeyedIds:
    """An ASGI application whose requests draw their ids from their keys; those without a key draw at random.

    Args:
        app: The application itself.
    """

    def __init__(self, app: _App) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Passes on whatever comes."""
        key = next((value for name, value in scope.get("headers", ()) if name == HEADER), None)
        if key is None:
            await self._app(scope, receive, send)
            return
        with drawn_from(key.decode("latin-1")):
            await self._app(scope, receive, send)
