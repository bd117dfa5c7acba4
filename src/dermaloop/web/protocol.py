"""HTTP as uvicorn speaks it, with two limits that it lacks: on the time and on the size of a request's head.

Owns those limits. Without the first, a few hundred connections that send a byte a minute hold all there are; without
the second, one that sends a header without an end fills the memory (the parser keeps what it has not seen whole).
Bodies have limits of their own (`upload`, `forms`), and idle connections the library's. The trade-off: it looks at
attributes of the library's protocol that are not documented, and tests over real connections hold them.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class LimitedProtocol(HttpToolsProtocol):
    """Closes a connection on which a request's head does not arrive whole in time, or within a size."""

    HEAD_TIMEOUT_S = 15.0
    MAX_HEAD_BYTES = 65_536
    """What may come without completing a head and without being of a body: heads, trailers, extensions of chunks. One
    read of the connection (256 kB at most) is let through in any case."""
    _timer: asyncio.TimerHandle | None = None
    _unfinished = 0
    _advanced = False
    _in_body = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begins to wait."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Stops waiting once the head is whole; more bytes of it win no more time."""
        self._advanced = False
        super().data_received(data)
        self._unfinished = 0 if self._advanced else self._unfinished + len(data)
        if self._unfinished > self.MAX_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("The head of the request is too large.")
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops waiting."""
        self._stop()
        super().connection_lost(exc)

    # What the parser calls

    def on_message_begin(self) -> None:
        """A head begins."""
        self._in_body = False
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """A head is whole.

        Raises:
            ValueError: It names two hosts, of which whoever stood before this server may have seen the other; the
                parser passes it on as the error that the library answers with 400.
        """
        if sum(name == b"host" for name, _ in self.headers) > 1:
            raise ValueError("two hosts")
        self._advanced = self._in_body = True
        super().on_headers_complete()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Takes a header of the head; what comes after the body is no header: nobody has looked at it."""
        if not self._in_body:
            super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        """A part of the body, which is counted where it is read."""
        self._advanced = True
        super().on_body(body)

    def _watch(self) -> None:
        if not self._waiting():
            self._stop()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self.HEAD_TIMEOUT_S, self._give_up)

    def _waiting(self) -> bool:
        cycle: Any = self.cycle  # None before the first request, whatever the library declares
        return cycle is None or cycle.response_complete

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        self._timer = None
        if self._waiting():
            self.transport.close()
