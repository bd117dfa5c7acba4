"""Classification in processes of its own, one per core, for a server with many requests at the same time.

Owns the processes: how they begin (each opens its own graph on one core), that they end with the one that began them,
however it ends, and what becomes of a picture whose process died. Refuses to decide which picture goes to them.

Why: beside the graph and the decoder, which run without the interpreter's lock, an assessment and a request take it for
a few milliseconds each, and one process has one lock. The trade-off: each process holds a copy of the program and the
model in memory, and a picture's bytes travel to it and its answer back. Source of the pool: `concurrent.futures`.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Sequence
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from dataclasses import replace
from io import BytesIO
from multiprocessing.synchronize import Barrier

from dermaloop.core.bundle import Bundle
from dermaloop.core.prediction import Prediction
from dermaloop.core.synthetic import draw_lesion
from dermaloop.inference.classifier import Classifier, Item

_LOG = logging.getLogger(__name__)
_MOST_BEGINNINGS = 5
"""So many times in a row the processes are begun anew; if they die each time, the server does their work itself."""

_BEHIND = 5
"""Steps of niceness by which they stand behind the server: it has little to do, and who waits for its answers, or to be
assessed next, would wait with it."""

_own: Classifier | None = None
"""The classifier of this process, where it is one of a crew."""
_all_here: Barrier | None = None
"""Where the processes of a crew wait for each other before the first answers."""


class Crew:
    """Processes that classify with one bundle. Safe to use from several threads at once.

    Args:
        classifier: What they shall answer like; it answers itself while they begin, and where they cannot.
        processes: How many.
    """

    def __init__(self, classifier: Classifier, processes: int) -> None:
        self._classifier, self._processes = classifier, processes
        self._lock = threading.Lock()
        self._closed = False
        self._beginnings = 0
        self._pool: ProcessPoolExecutor | None = None
        self._began: list[Future[None]] = []
        with self._lock:
            self._begin()

    @property
    def ready(self) -> bool:
        """Whether every process has opened its graph: until then nobody should wait for one."""
        return self._pool is not None and all(one.done() and one.exception() is None for one in self._began)

    def wait(self, timeout_s: float) -> None:
        """Waits until `ready`.

        Raises:
            TimeoutError: They are not.
            BrokenExecutor: A process died while it began.
        """
        for one in list(self._began):
            one.result(timeout_s)

    def classify_together(self, items: Sequence[Item]) -> list[Prediction]:
        """Classifies a few pictures on one core, in a process of the crew where there is one.

        Args:
            items: See `Classifier.classify_together`.
        """
        pool = self._pool
        if pool is not None and self.ready:
            try:
                return pool.submit(_classify, items).result()
            except BrokenExecutor:
                self._begin_anew(pool)
            except RuntimeError:  # closed meanwhile, since another model serves
                if not self._closed:
                    raise
        return self._classifier.classify_together(items)

    def close(self, *, wait: bool = False) -> None:
        """Ends the processes once they have answered what they were asked."""
        with self._lock:
            self._closed = True
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=wait)

    def _begin(self) -> None:
        bundle = self._classifier.bundle
        # Not forked: threads hold locks that a copy of this process would wait for for ever.
        context = multiprocessing.get_context("spawn")
        all_here = context.Barrier(self._processes)
        self._pool = ProcessPoolExecutor(
            self._processes,
            mp_context=context,
            initializer=_open,
            initargs=(replace(bundle, parts=dict(bundle.parts)), self._classifier.operating_point.name, all_here),
        )
        self._began = [self._pool.submit(_warm_up) for _ in range(self._processes)]

    def _begin_anew(self, broken: ProcessPoolExecutor) -> None:
        """Other processes in place of those of which one has died; once, however many threads saw it."""
        with self._lock:
            if self._closed or self._pool is not broken:
                return
            self._beginnings += 1
            self._pool = None
            if self._beginnings > _MOST_BEGINNINGS:
                _LOG.error("processes that classify died %s times; the server does their work itself", self._beginnings)
                return
            _LOG.warning("a process that classifies has died; others begin")
            self._begin()
        broken.shutdown(wait=False)


def _open(bundle: Bundle, operating_point: str, all_here: Barrier) -> None:
    """Begins a process of the crew: it ends when it is told to by the one that began it, or with that one.

    A terminal's Ctrl-C reaches it too, while requests in hand still need it, and is for the server alone. SIGTERM ends
    it, for so the pool ends the others when one has died; what it was about, the server then answers itself.
    """
    global _own, _all_here
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if hasattr(os, "nice"):  # not on Windows
        os.nice(_BEHIND)
    _own, _all_here = Classifier(bundle, threads=1, operating_point=operating_point), all_here


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)  # nothing is in hand that anybody waits for


def _warm_up() -> None:
    """Run once in each process, since none goes on before all are here: the run-time tunes itself on its first run."""
    assert _own is not None
    assert _all_here is not None
    picture = BytesIO()
    draw_lesion(0).save(picture, "JPEG")
    _own.classify(picture.getvalue(), "warm-up")
    _all_here.wait()


def _classify(items: Sequence[Item]) -> list[Prediction]:
    assert _own is not None
    return _own.classify_together(items)
