"""Works screening jobs off in the background, from the server's start to its end.

Owns the loop: take up a few pictures, assess each on a worker that no request needs, write the answers down, until none
waits. Refuses to know pages, and to keep anything: what is to be done stands in the database, and a server that was
killed goes on at its next start. When it stops it finishes the picture in hand and gives the others back.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Callable
from typing import TypeVar

from starlette.concurrency import run_in_threadpool

from dermaloop.cases import job_queue
from dermaloop.cases.actor import system
from dermaloop.cases.database import Transaction
from dermaloop.cases.deletion import finish_deletions
from dermaloop.cases.images import DamagedImageError, MissingImageError
from dermaloop.cases.job_deletion import delete_expired
from dermaloop.cases.job_queue import Answered
from dermaloop.cases.jobs import Claimed
from dermaloop.cases.store import Store
from dermaloop.core.errors import DermaloopError
from dermaloop.core.prediction import Prediction, Reason, Status
from dermaloop.web.capacity import Capacity
from dermaloop.web.observed import Assessor

T = TypeVar("T")
LOGGER = logging.getLogger("dermaloop.web")
AT_ONCE = 4
"""Pictures taken up in one transaction. What a killed server had in hand is assessed once more: at most so many."""
_IDLE_S = 5.0
"""How often to look for what other servers have taken in, or died over."""
_RETRY_S = 5.0
_SWEEP_S = 3600.0
"""How often to look for lists whose time is over."""
_STORING_WAITING, _STORING_TIMEOUT_S = 3, 120.0
_LOST = Reason("image_missing", "The stored picture is missing or damaged. Send it again in another list.")
_ACTOR = system("screening")


class Screening:
    """The worker of one server.

    Args:
        store: Where jobs and pictures are.
        capacity: Shared with requests, which go first.
        classifier: Gives what answers at the moment.
        keep_days: How long lists are kept after their last picture came; None until somebody deletes them.
    """

    def __init__(
        self, store: Store, capacity: Capacity, classifier: Callable[[], Assessor], *, keep_days: int | None = None
    ) -> None:
        self.storing = Capacity(1, _STORING_WAITING, _STORING_TIMEOUT_S, "taking in as many pictures as it can")
        """For files on their way in, whose decoding must not keep requests for an answer waiting."""
        self._store, self._capacity, self._classifier = store, capacity, classifier
        self._keep_days, self._swept_at = keep_days, -math.inf
        self._wake = asyncio.Event()
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins; goes on with what an earlier server has left."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    def wake(self) -> None:
        """Says that there is something to do."""
        self._wake.set()

    async def stop(self) -> None:
        """Finishes the pictures in hand, writes them down, and gives the others back."""
        self._stopping = True
        self._wake.set()
        if self._task is not None:
            await self._task
        self.storing.close()

    async def _run(self) -> None:
        started = False
        while not self._stopping:
            self._wake.clear()
            try:
                if not started:
                    await self._take_over()
                    started = True
                await self._sweep()
                claimed = await self._claim()
                if claimed:
                    await self._work(claimed)
            except DermaloopError as error:  # the store is away, or busy: what waits is not lost
                LOGGER.warning("screening waits: %s", error)
                await self._rest(_RETRY_S)
            except Exception:
                LOGGER.exception("a defect in screening")
                await self._rest(_RETRY_S)
            else:
                if not claimed:
                    await self._rest(_IDLE_S)

    async def _rest(self, seconds: float) -> None:
        if self._stopping:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), seconds)

    async def _take_over(self) -> None:
        """Finishes what a killed server has left half-done. Its claims end here where no other server can hold any."""
        await run_in_threadpool(finish_deletions, self._store, _ACTOR)
        if self._store.database.embedded:
            await self._write(job_queue.give_all_back)

    async def _sweep(self) -> None:
        if self._keep_days is None or time.monotonic() - self._swept_at < _SWEEP_S:
            return
        gone = await run_in_threadpool(delete_expired, self._store, _ACTOR, self._keep_days)
        self._swept_at = time.monotonic()
        if gone:
            LOGGER.warning("%d screening lists were deleted, %d days after their last picture", gone, self._keep_days)

    async def _claim(self) -> tuple[Claimed, ...]:
        if not await run_in_threadpool(self._someone_waits):
            return ()
        return await self._write(lambda session: job_queue.claim(session, limit=AT_ONCE))

    def _someone_waits(self) -> bool:
        with self._store.database.read() as session:
            return job_queue.someone_waits(session)

    async def _work(self, claimed: tuple[Claimed, ...]) -> None:
        outcomes = await asyncio.gather(*(self._one(one) for one in claimed), return_exceptions=True)
        answered = [one for one in outcomes if isinstance(one, Answered)]
        untouched = [one.id for one, outcome in zip(claimed, outcomes, strict=True) if outcome is None]
        failed = [
            (one.id, outcome)
            for one, outcome in zip(claimed, outcomes, strict=True)
            if isinstance(outcome, BaseException)
        ]

        def write(session: Transaction) -> None:
            job_queue.hand_in(session, _ACTOR, answered)
            job_queue.give_back(session, untouched, counted=False)
            job_queue.give_back(session, [item_id for item_id, _ in failed])

        await self._write(write)
        for item_id, error in failed:
            LOGGER.error("picture %s of a screening job was not assessed", item_id, exc_info=error)
        if failed and not answered:
            await self._rest(_RETRY_S)

    async def _one(self, claimed: Claimed) -> Answered | None:
        """One picture; None where the server stops before its turn comes."""
        async with self._capacity.spare():
            if self._stopping:
                return None
            return await self._capacity.run(self._assess, claimed)

    def _assess(self, claimed: Claimed) -> Answered:
        """Runs in a worker thread."""
        classifier = self._classifier()
        bundle = classifier.bundle
        try:
            content = self._store.images.read(claimed.sha256)
        except (MissingImageError, DamagedImageError):
            lost = Prediction(claimed.name, claimed.received_sha256, bundle.identity, Status.UNREADABLE, (_LOST,))
            return Answered(claimed.id, lost, bundle.sha256)
        return Answered(claimed.id, classifier.classify(content, claimed.name), bundle.sha256)

    async def _write(self, function: Callable[[Transaction], T]) -> T:
        return await run_in_threadpool(_write, self._store, function)


def _write(store: Store, function: Callable[[Transaction], T]) -> T:
    with store.database.begin() as session:
        return function(session)
