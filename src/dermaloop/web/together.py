"""Items of several requests in one pass, where they wait anyway.

Owns who goes with whom: nobody waits for company, but what waits when a thread comes free goes together, at most its
share, so that no other thread is left without. Refuses to know what is computed. Why: from one picture to the next a
thread's code and the graph stay in its core's cache, and the event loop is called once for all of them. The trade-off:
the first of several is answered with the last. Measured: EXPERIMENTS.md, "Pictures that wait go together".
"""

from __future__ import annotations

import contextvars
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from dermaloop.web.capacity import Capacity

A = TypeVar("A")
M = TypeVar("M")
T = TypeVar("T")

MOST = 4
"""Items of one pass, as `Classifier.classify_many` takes: more save nothing and let the first wait longer."""


@dataclass(eq=False, slots=True)
class _Seat(Generic[A, M]):
    """An item that waits, and what its request makes of the result."""

    item: A
    finish: Callable[[M], Any]
    answer: Future[Any] = field(default_factory=Future)
    # The reader's language goes along: what the thread words is shown on that reader's page.
    context: contextvars.Context = field(default_factory=contextvars.copy_context)

    def complete(self, result: M) -> Callable[[], None]:
        """Finishes it; returns what tells whoever waits."""
        try:
            found = self.context.run(self.finish, result)
        except Exception as error:  # noqa: BLE001 - raised where it is waited for
            return self.failed(error)
        return lambda: self.answer.set_result(found)

    def failed(self, error: Exception) -> Callable[[], None]:
        """What tells whoever waits that it could not be computed."""
        return lambda: self.answer.set_exception(error)


class Together(Generic[A, M]):
    """One blocking function for the items of several requests. Used from one event loop.

    Args:
        capacity: Its threads and its time-out.
        many: Called in a worker thread with one item or several; returns their results, in order. Where it raises for
            several, it is called for each by itself, so that one item does not take others along.
        share: Among how many those that wait are shared out: the number of passes that run at the same time.
    """

    def __init__(self, capacity: Capacity, many: Callable[[Sequence[A]], Sequence[M]], *, share: int) -> None:
        self._capacity, self._many, self._share = capacity, many, share
        self._lock = threading.Lock()
        self._waiting: deque[_Seat[A, M]] = deque()

    async def run(self, item: A, finish: Callable[[M], T]) -> T:
        """Computes one item's result, in one pass with others that wait, and what the request makes of it.

        Args:
            item: What `many` gets.
            finish: Called with its result, in the same thread and in the caller's context. What it raises is raised.

        Raises:
            WebError: `too_slow`, as `Capacity.run` says.
        """
        seat = _Seat[A, M](item, finish)
        with self._lock:
            self._waiting.append(seat)
        begun = self._capacity.submit(self._pass)
        # Where the threads end before its turn comes, it is not waited for either.
        begun.add_done_callback(lambda one: seat.answer.cancel() if one.cancelled() else None)
        found: T = await self._capacity.until_done(seat.answer)
        return found

    def _pass(self) -> None:
        """Begun as often as items come; where an earlier one took the last of them along, there is nothing to do."""
        with self._lock:
            number = min(MOST, -(-len(self._waiting) // self._share))
            seats = [self._waiting.popleft() for _ in range(number)]
        seats = [seat for seat in seats if seat.answer.set_running_or_notify_cancel()]
        for tell in self._compute(seats):  # when all are finished, so that the event loop is called once
            tell()

    def _compute(self, seats: list[_Seat[A, M]]) -> list[Callable[[], None]]:
        if not seats:
            return []
        try:
            results = self._many([seat.item for seat in seats])
        except Exception as error:  # noqa: BLE001 - raised where it is waited for
            if len(seats) == 1:
                return [seats[0].failed(error)]
            return [tell for seat in seats for tell in self._compute([seat])]
        return [seat.complete(result) for seat, result in zip(seats, results, strict=True)]
