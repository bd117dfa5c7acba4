"""A map over threads that keeps the order and never runs far ahead of its reader."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

_In = TypeVar("_In")
_Out = TypeVar("_Out")


def ordered_map(function: Callable[[_In], _Out], values: Iterable[_In], *, workers: int) -> Iterator[_Out]:
    """Applies `function` on several threads and yields its results in the order of `values`.

    At most twice `workers` values are taken ahead of the reader, so memory does not grow with their number. The
    function is expected to release the interpreter lock for most of its time, as decoding and inference do.

    Args:
        function: Called on any thread. What it raises is raised here, at its place in the order.
        values: Read on the caller's thread, lazily.
        workers: Threads; 1 calls the function on the caller's own thread.
    """
    if workers == 1:
        yield from map(function, values)
        return
    source = iter(values)
    pool = ThreadPoolExecutor(workers, thread_name_prefix="dermaloop")
    try:
        waiting: deque[Future[_Out]] = deque(pool.submit(function, value) for value in islice(source, 2 * workers))
        while waiting:
            result = waiting.popleft().result()
            waiting.extend(pool.submit(function, value) for value in islice(source, 1))
            yield result
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def chunks(values: Iterable[_In], length: int) -> Iterator[list[_In]]:
    """Consecutive lists of at most `length` values."""
    source = iter(values)
    while chunk := list(islice(source, length)):
        yield chunk
