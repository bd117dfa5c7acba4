"""HTTP as uvicorn speaks it, but not for ever: who has connected must say what they want within a time.

Owns that one time-out, which the server library lacks: without it, a few hundred connections that send a byte a minute
hold all there are. Bodies have time-outs of their own (`upload`, `forms`), and idle connections the library's. The
trade-off: it looks at two attributes of the library's protocol that are not documented, and a test holds them.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol


class TimedProtocol(H11Protocol):
    """Closes a connection on which a request's head has not arrived whole in time."""

    HEAD_TIMEOUT_S = 15.0
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begins to wait."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Stops waiting once the head is whole; more bytes of it win no more time."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops waiting."""
        self._stop()
        super().connection_lost(exc)

    def _watch(self) -> None:
        if not self._waiting():
            self._stop()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self.HEAD_TIMEOUT_S, self._give_up)

    def _waiting(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        self._timer = None
        if self._waiting():
            self.transport.close()
