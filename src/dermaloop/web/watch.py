"""What was last found of the store's condition.

Owns how often the store is really asked: anybody may send probes, as often as they like, so what they cost is bounded
by time and not by their number. Refuses to know routes.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from starlette.concurrency import run_in_threadpool

from dermaloop.cases import condition
from dermaloop.cases.store import Store
from dermaloop.core.errors import DermaloopError
from dermaloop.web.metrics import StoreSizes

LOGGER = logging.getLogger("dermaloop.web")
_PROBE_S = 2.0
_SIZES_S = 60.0
_CHECKS: dict[str, Callable[[Store], None]] = {
    "database": condition.require_database,
    "images": condition.require_images,
}


class Watch:
    """What was last found of a store's condition.

    Args:
        store: Which.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._broken: str = ""
        self._probed_at = self._sized_at = -float("inf")
        self._sizes: StoreSizes | None = None
        self._one_at_a_time = asyncio.Lock()

    async def broken(self) -> str:
        """What of the store does not work, by its name in `_CHECKS`; empty where all does. At most two seconds old."""
        async with self._one_at_a_time:
            if time.monotonic() - self._probed_at > _PROBE_S:
                self._broken = await run_in_threadpool(self._probe)
                self._probed_at = time.monotonic()
            return self._broken

    def _probe(self) -> str:
        for name, check in _CHECKS.items():
            try:
                check(self._store)
            except DermaloopError as error:
                LOGGER.warning("not ready: %s", error)
                return name
        return ""

    async def refresh_sizes(self) -> None:
        """Reads the store's sizes, unless they are younger than a minute."""
        async with self._one_at_a_time:
            if time.monotonic() - self._sized_at > _SIZES_S:
                self._sizes = await run_in_threadpool(self._read_sizes)
                self._sized_at = time.monotonic()

    def _read_sizes(self) -> StoreSizes | None:
        try:
            return StoreSizes(condition.sizes(self._store))
        except (DermaloopError, OSError) as error:
            LOGGER.warning("the store's sizes cannot be read: %s", error)
            return None

    def sizes(self) -> StoreSizes | None:
        """The store's sizes as last read."""
        return self._sizes
