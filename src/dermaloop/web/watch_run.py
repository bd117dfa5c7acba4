"""Starting the watch from the running server: once a day by itself, and when a lead asks for it.

Owns the process. The statistics run in a process of their own, of the same Python, because they need a library that the
server does without, and because a minute of computing has no place beside requests. Refuses to run where that library
is not installed: the page says so. Several servers on one database share one schedule, for the latest look is in the
records.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec

from starlette.concurrency import run_in_threadpool

from dermaloop.cases.findings import latest_run
from dermaloop.cases.store import Store
from dermaloop.core.errors import DermaloopError
from dermaloop.web.errors import WebError
from dermaloop.web.settings import Settings

LOGGER = logging.getLogger("dermaloop.web")
_FIRST_S, _CHECK_S, _TIMEOUT_S = 300.0, 900.0, 1800.0
_ALARM_OPEN = 1
"""The command's exit status with an open alarm, as with an error, which it tells on standard error."""


def installed() -> bool:
    """Whether the library that the statistics need is there; it is not loaded."""
    return find_spec("scipy") is not None


class WatchRuns:
    """Runs the command, one at a time.

    Args:
        settings: What the command gets of the server's options; the rest it reads from the same environment.
        store: What is looked at, and where the latest look is noted.
    """

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings, self._store = settings, store
        self._one_at_a_time = asyncio.Lock()

    async def run(self) -> None:
        """Looks once.

        Raises:
            WebError: `busy`: a look is under way. `internal`: the command could not do it.
        """
        if self._one_at_a_time.locked():
            raise WebError("busy", "the watch is looking already", way_out="Look at the page in a minute.")
        async with self._one_at_a_time:
            process = await asyncio.create_subprocess_exec(
                *self._command(), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
            )
            try:
                _, told = await asyncio.wait_for(process.communicate(), _TIMEOUT_S)
            except BaseException:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
                raise
        if process.returncode not in (0, _ALARM_OPEN) or told.strip():
            LOGGER.warning("the watch failed: %s", told.decode(errors="replace").strip()[-2000:])
            raise WebError(
                "internal", "the watch could not look; the server's log says why", way_out="Run 'dermaloop watch'."
            )

    def _command(self) -> list[str]:
        settings = self._settings
        command = [sys.executable, "-W", "ignore", "-m", "dermaloop.cli", "watch"]
        command += ["--store", str(self._store.folder)]
        command += ["--bundle", str(settings.bundle)] if settings.bundle else []
        command += ["--operating-point", settings.operating_point] if settings.operating_point else []
        return command

    async def keep_watching(self) -> None:
        """Looks whenever the settings' time has passed since the latest look, until it is cancelled."""
        every = timedelta(hours=self._settings.watch_hours)
        if not every:
            return
        if not installed():
            LOGGER.info("no drift is looked for: pip install 'dermaloop[watch]'")
            return
        await asyncio.sleep(_FIRST_S)
        while True:
            try:
                if await run_in_threadpool(self._due, every):
                    await self.run()
            except (DermaloopError, OSError, TimeoutError) as error:
                LOGGER.warning("no drift was looked for: %s", error)
            await asyncio.sleep(_CHECK_S)

    def _due(self, every: timedelta) -> bool:
        with self._store.database.read() as session:
            latest = latest_run(session)
        return latest is None or datetime.now(UTC) - latest.made_at >= every
