"""The watch's looks, worked off in the background: one a day by itself, and one whenever a lead asks.

Owns the process. The statistics run in a process of their own, of the same Python, because they need a library that the
server does without, and because a minute of computing has no place beside requests. What is to be done and how far it
is stand in the database: no request waits for a look, every server shows the same, and a look whose server was killed
is begun anew. Refuses to run where the library is not installed: the page says so. Several servers on one database
share one schedule, for the latest look is in the records.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from typing import TypeVar

from starlette.concurrency import run_in_threadpool

from dermaloop.cases import watch_looks
from dermaloop.cases.actor import Actor, system
from dermaloop.cases.database import Transaction, now
from dermaloop.cases.findings import latest_run
from dermaloop.cases.store import Store
from dermaloop.cases.watch_looks import Look
from dermaloop.core.errors import DermaloopError
from dermaloop.web.settings import Settings

T = TypeVar("T")
LOGGER = logging.getLogger("dermaloop.web")
_FIRST_S = 300.0
"""A server that has just started has other work than the daily look."""
_IDLE_S = 30.0
"""How often to see whether the day is over, and whether another server died over its look."""
_RETRY_S = 900.0
_ALIVE_S, _TELL_S = 60.0, 1.0
"""How far it is, is written down at least and at most so often, however long or short a measure takes."""
_TIMEOUT_S = 1800.0
_ALARM_OPEN = 1
"""The command's exit status with an open alarm, as with an error, which it tells on standard error."""
_PROGRESS = re.compile(r"progress (\d+) (\d+)$")
_ACTOR = system("watch")


def installed() -> bool:
    """Whether the library that the statistics need is there; it is not loaded."""
    return find_spec("scipy") is not None


class LookFailedError(Exception):
    """The command could not look; its last words."""


class WatchRuns:
    """The worker of one server.

    Args:
        settings: What the command gets of the server's options; the rest it reads from the same environment.
        store: What is looked at, and where looks are asked for and noted.
    """

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings, self._store = settings, store
        self._wake, self._stop = asyncio.Event(), asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins; goes on with what an earlier server has left."""
        if installed():
            self._task = asyncio.get_running_loop().create_task(self._run())
        elif self._settings.watch_hours:
            LOGGER.info("no drift is looked for: pip install 'dermaloop[watch]'")

    async def stop(self) -> None:
        """Ends the process where one runs, and gives its look back."""
        self._stop.set()
        self._wake.set()
        if self._task is not None:
            await self._task

    async def ask(self, actor: Actor) -> Look:
        """Asks for a look; returns at once.

        Args:
            actor: Who asks.

        Raises:
            StoreError: As `Database.begin` says.
        """
        look = await self._write(lambda session: watch_looks.ask(session, actor))
        self._wake.set()
        return look

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        scheduled_from, taken_over = loop.time() + _FIRST_S, False
        while not self._stop.is_set():
            self._wake.clear()
            try:
                if not taken_over and self._store.database.embedded:  # no other server can be at work on it
                    await self._write(watch_looks.give_all_back)
                taken_over = True
                if loop.time() >= scheduled_from and await self._read(self._due):
                    await self._write(lambda session: watch_looks.ask(session, _ACTOR))
                look_id = await self._claim()
                if look_id:
                    await self._look(look_id)
            except DermaloopError as error:  # the store is away, or busy: what was asked for is not lost
                LOGGER.warning("no drift was looked for: %s", error)
            except Exception:
                LOGGER.exception("a defect in the watch")
            if not self._stop.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), _IDLE_S)

    def _due(self, session: Transaction) -> bool:
        """Whether it is time for the look that nobody asks for: after a day, or a while after one that failed."""
        if not self._settings.watch_hours:
            return False
        run, asked = latest_run(session), watch_looks.latest(session)
        if asked is not None and (asked.ended_at is None or now() - asked.ended_at < timedelta(seconds=_RETRY_S)):
            return False
        return run is None or datetime.now(UTC) - run.made_at >= timedelta(hours=self._settings.watch_hours)

    async def _claim(self) -> str:
        if not await self._read(watch_looks.someone_waits):
            return ""
        return await self._write(lambda session: watch_looks.claim(session, _ACTOR))

    async def _look(self, look_id: str) -> None:
        """Runs the command for a look that was taken up, and notes how it ended."""
        failure = ""
        try:
            done = await asyncio.wait_for(self._command_run(look_id), _TIMEOUT_S)
        except (LookFailedError, OSError) as error:
            done, failure = True, str(error)
        except TimeoutError:
            done, failure = True, f"It took longer than {_TIMEOUT_S / 60:.0f} minutes."
        if failure:
            LOGGER.warning("the watch failed: %s", failure)
        if done:
            await self._write(lambda session: watch_looks.finish(session, _ACTOR, look_id, failure=failure))
        else:
            await self._write(lambda session: watch_looks.give_back(session, look_id))

    async def _command_run(self, look_id: str) -> bool:
        """Whether the command came to its end; it does not where the server stops."""
        process = await asyncio.create_subprocess_exec(
            *self._command(), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        assert process.stderr is not None
        told = asyncio.create_task(process.stderr.read())
        try:
            if not await self._follow(process.stdout, look_id):
                return False
            await process.wait()
            words = (await told).decode(errors="replace").strip()
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            told.cancel()
        if process.returncode not in (0, _ALARM_OPEN) or words:
            raise LookFailedError(words[-2000:] or f"The command ended with status {process.returncode}.")
        return True

    async def _follow(self, output: asyncio.StreamReader, look_id: str) -> bool:
        """Notes how far the command is, until it has said everything; False where the server stops before."""
        done, steps, written = 0, 0, -_ALIVE_S
        clock = asyncio.get_running_loop().time
        stop = asyncio.create_task(self._stop.wait())
        read = asyncio.create_task(output.readline())
        try:
            while True:
                await asyncio.wait((read, stop), timeout=_ALIVE_S, return_when=asyncio.FIRST_COMPLETED)
                if stop.done():
                    return False
                if read.done():
                    line = read.result().decode(errors="replace")
                    if not line:
                        return True
                    match = _PROGRESS.match(line)
                    done, steps = (int(match[1]), int(match[2])) if match else (done, steps)
                    read = asyncio.create_task(output.readline())
                if clock() - written >= _TELL_S:
                    await self._write(functools.partial(watch_looks.renew, look_id=look_id, done=done, steps=steps))
                    written = clock()
        finally:
            stop.cancel()
            read.cancel()

    def _command(self) -> list[str]:
        settings = self._settings
        command = [sys.executable, "-W", "ignore", "-m", "dermaloop.cli", "watch", "--progress"]
        command += ["--store", str(self._store.folder)]
        command += ["--bundle", str(settings.bundle)] if settings.bundle else []
        command += ["--operating-point", settings.operating_point] if settings.operating_point else []
        return command

    async def _read(self, function: Callable[[Transaction], T]) -> T:
        def run() -> T:
            with self._store.database.read() as session:
                return function(session)

        return await run_in_threadpool(run)

    async def _write(self, function: Callable[[Transaction], T]) -> T:
        def run() -> T:
            with self._store.database.begin() as session:
                return function(session)

        return await run_in_threadpool(run)
