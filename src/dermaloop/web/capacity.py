"""How much the server does at once: a bounded number of places, and worker threads off the event loop.

Owns back-pressure: a request takes a place before its body is read, so that places bound memory too; without a free
place it is told at once to come back. Work in the background takes a worker that no request needs, and begins one piece
at a time, so that a request waits for one piece at most. Refuses to know what is computed. The trade-off: a thread
cannot be ended from outside, so a computation that outlives its time keeps its place until it is really over.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from typing import TypeVar

from dermaloop.web.errors import WebError

T = TypeVar("T")
RETRY_AFTER_S = 2


class Capacity:
    """Places and worker threads; used from one event loop.

    Args:
        workers: Computations that run at the same time.
        waiting: Requests beyond those that may wait.
        timeout_s: Longest time to wait for one computation, its time in the queue included.
        doing: What it is that takes the places, for the error that says so.
        ahead: How many more begin, where `workers` are several: one that waits for the interpreter's lock leaves its
            core idle otherwise.
    """

    def __init__(
        self,
        workers: int,
        waiting: int,
        timeout_s: float,
        doing: str = "assessing as many pictures as it can",
        *,
        ahead: int = 0,
    ) -> None:
        self.places = workers + waiting
        self.workers = workers
        self.taken = 0
        self.background = 0
        self._wait_for_spare: list[asyncio.Future[None]] = []
        self.running = 0
        self._timeout_s = timeout_s
        self._doing = doing
        self._lock = threading.Lock()
        threads = workers + ahead if workers > 1 else 1
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="dermaloop-assess")

    @property
    def crowded(self) -> bool:
        """Whether several computations run at the same time, or will as soon as their requests are read."""
        return min(self.workers, self.taken + self.background) > 1

    @contextmanager
    def place(self) -> Iterator[None]:
        """Holds one place for a request.

        Raises:
            WebError: `busy`: every place is taken.
        """
        if self.taken >= self.places:
            raise WebError(
                "busy",
                f"the server is {self._doing}",
                way_out=f"Try again in {RETRY_AFTER_S} seconds.",
                retry_after_s=RETRY_AFTER_S,
            )
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1
            self._tell_background()

    @asynccontextmanager
    async def spare(self) -> AsyncIterator[None]:
        """Holds a worker for background work, once there is one that no request needs; one is always left to requests.

        It never counts among the places: no request is refused on its account.
        """
        while self.background >= max(1, self.workers - 1) or self.taken + self.background >= self.workers:
            turn = asyncio.get_running_loop().create_future()
            self._wait_for_spare.append(turn)
            await turn
        self.background += 1
        try:
            yield
        finally:
            self.background -= 1
            self._tell_background()

    def _tell_background(self) -> None:
        waiting, self._wait_for_spare = self._wait_for_spare, []
        for turn in waiting:
            if not turn.done():
                turn.set_result(None)

    async def run(self, function: Callable[..., T], *arguments: object) -> T:
        """Runs a function in a worker thread.

        Raises:
            WebError: `too_slow`: it was not done in time; its place stays taken until it is.
        """
        # The reader's language goes along: what the thread words is shown on that reader's page.
        return await self.until_done(self.submit(contextvars.copy_context().run, function, *arguments))

    def submit(self, function: Callable[..., T], *arguments: object) -> Future[T]:
        """Begins a function in a worker thread, as soon as one is free, for `until_done`."""
        return self._executor.submit(self._counted, function, *arguments)

    async def until_done(self, future: Future[T]) -> T:
        """Waits for what was begun.

        Raises:
            WebError: `too_slow`, as `run`.
        """
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), self._timeout_s)
        except TimeoutError as error:
            if not future.done():
                self._keep_place_until_done(future)
            raise WebError(
                "too_slow",
                f"the assessment was not done within {self._timeout_s:g} seconds",
                way_out="Try again with fewer pictures at once.",
                retry_after_s=RETRY_AFTER_S,
            ) from error

    def _counted(self, function: Callable[..., T], *arguments: object) -> T:
        with self._lock:
            self.running += 1
        try:
            return function(*arguments)
        finally:
            with self._lock:
                self.running -= 1

    def _keep_place_until_done(self, future: Future[T]) -> None:
        loop = asyncio.get_running_loop()
        self.taken += 1

        def release() -> None:
            self.taken -= 1
            self._tell_background()

        future.add_done_callback(lambda _: loop.call_soon_threadsafe(release))

    def close(self) -> None:
        """Lets running computations end and drops those that have not begun."""
        self._executor.shutdown(wait=True, cancel_futures=True)
