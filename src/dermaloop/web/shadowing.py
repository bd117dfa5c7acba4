"""The shadow: a second model that answers silently beside the champion, in whatever time is left over.

Owns its bounded queue and its one thread. It never slows a person's request: it runs on one core at the lowest
priority, waits while requests are worked at, and where it cannot keep up it drops pictures and counts them. The queue
holds ids, not pictures. Refuses to show what it finds: that goes into a table of its own (`cases.shadow`).
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from dermaloop.cases import shadow
from dermaloop.cases.actor import system
from dermaloop.cases.errors import RecordNotFoundError
from dermaloop.cases.images import DamagedImageError, MissingImageError
from dermaloop.cases.model_records import ModelVersion
from dermaloop.cases.model_tables import SilentKind
from dermaloop.cases.store import Store
from dermaloop.core.errors import DermaloopError
from dermaloop.inference.classifier import Classifier
from dermaloop.web.serving import load_model

_LOG = logging.getLogger(__name__)
SHADOW = system("shadow")
QUEUE_FULL, BUSY, FAILED, STOPPED = "queue_full", "server_busy", "failed", "stopped"
_LOWEST_PRIORITY = 19
_GLANCE_S = 0.02


@dataclass(frozen=True, slots=True)
class _Asked:
    image_id: str
    sha256: str


class Shadow:
    """Answers silently on one thread, which runs only while there is a shadow.

    Args:
        store: Where pictures are read and answers are kept.
        busy: Whether a person's request is being worked at.
        most_waiting: Pictures that may wait; the next one is dropped and counted.
        patience_s: How long a picture waits for the server to be idle before it is dropped and counted.
        operating_point: As the server's own; None for the bundle's default.
    """

    def __init__(
        self,
        store: Store,
        busy: Callable[[], bool],
        *,
        most_waiting: int = 200,
        patience_s: float = 60.0,
        operating_point: str | None = None,
    ) -> None:
        self._store, self._busy = store, busy
        self._most_waiting, self._patience_s = most_waiting, patience_s
        self._operating_point = operating_point
        self._run: _Run | None = None

    @property
    def model(self) -> ModelVersion | None:
        """Which model is the shadow."""
        return None if self._run is None else self._run.model

    @property
    def problem(self) -> str:
        """Why it cannot answer, in plain words; empty where it can."""
        return "" if self._run is None else self._run.problem

    def set(self, model: ModelVersion | None) -> None:
        """Begins, ends or changes the shadow; nothing to do where it is this one already. Returns at once."""
        present = self.model
        if (model and model.id) == (present and present.id):
            return
        self.close()
        if model is not None:
            waiting: queue.Queue[_Asked | None] = queue.Queue(self._most_waiting)
            self._run = _Run(self._store, self._busy, model, waiting, self._patience_s, self._operating_point)
            self._run.begin()

    def offer(self, image_id: str, sha256: str) -> None:
        """A picture that people were just shown an answer on. Returns at once, whatever the shadow is doing."""
        if self._run is not None:
            self._run.offer(_Asked(image_id, sha256))

    def close(self, *, wait_s: float = 0.0) -> None:
        """Ends the shadow; what waits is dropped and counted.

        Args:
            wait_s: How long to wait for the picture in hand.
        """
        run, self._run = self._run, None
        if run is not None:
            run.end(wait_s)


class _Run:
    """One shadow's time: its queue, its counts and its thread."""

    def __init__(  # noqa: PLR0917 - made in one place only
        self,
        store: Store,
        busy: Callable[[], bool],
        model: ModelVersion,
        waiting: queue.Queue[_Asked | None],
        patience_s: float,
        operating_point: str | None,
    ) -> None:
        self.model, self.problem = model, ""
        self._store, self._busy, self._patience_s = store, busy, patience_s
        self._operating_point = operating_point
        self._waiting, self._ending, self._lock = waiting, threading.Event(), threading.Lock()
        self._missed: Counter[str] = Counter()
        self._thread = threading.Thread(target=self._work, name="dermaloop-shadow", daemon=True)

    def begin(self) -> None:
        self._thread.start()

    def offer(self, one: _Asked) -> None:
        try:
            self._waiting.put_nowait(one)
        except queue.Full:
            self._miss(QUEUE_FULL)

    def end(self, wait_s: float) -> None:
        self._ending.set()
        with contextlib.suppress(queue.Full):  # a full queue wakes the thread by itself
            self._waiting.put_nowait(None)
        if wait_s:
            self._thread.join(wait_s)

    def _miss(self, reason: str) -> None:
        with self._lock:
            self._missed[reason] += 1

    def _work(self) -> None:
        _lowest_priority()
        try:
            classifier = load_model(self._store.database, self.model, threads=1, operating_point=self._operating_point)
        except DermaloopError as error:
            self.problem = str(error)
            _LOG.error("the shadow %s cannot answer: %s", self.model.identity, error)
            return
        while (one := self._waiting.get()) is not None:
            if self._ending.is_set():
                self._miss(STOPPED)
            elif not self._wait_for_quiet():
                self._miss(STOPPED if self._ending.is_set() else BUSY)
            else:
                self._answer(classifier, one)
            if self._ending.is_set() and self._waiting.empty():
                break
        self._tell()

    def _wait_for_quiet(self) -> bool:
        """Waits until nobody's request is worked at; False where that took too long, or the shadow ends."""
        end = time.monotonic() + self._patience_s
        while self._busy():
            if time.monotonic() >= end or self._ending.wait(_GLANCE_S):
                return False
        return True

    def _answer(self, classifier: Classifier, one: _Asked) -> None:
        try:
            answer_silently(self._store, classifier, self.model, one.image_id, one.sha256, kind=SilentKind.SHADOW)
            self._tell()
        except (MissingImageError, DamagedImageError, RecordNotFoundError) as error:
            _LOG.info("the shadow finds a picture gone: %s", error)  # deleted since: nothing was missed
        except Exception:  # noqa: BLE001 - whatever it was, the next picture is asked about, and this one is counted
            self._miss(FAILED)
            _LOG.exception("the shadow could not answer on a picture")

    def _tell(self) -> None:
        """Writes down what was missed since the last time."""
        with self._lock:
            missed, self._missed = dict(self._missed), Counter()
        if not missed:
            return
        try:
            with self._store.database.begin() as session:
                shadow.count_missed(session, self.model.id, missed)
        except DermaloopError:  # counted again, and told with the next answer
            with self._lock:
                self._missed.update(missed)


def answer_silently(
    store: Store, classifier: Classifier, model: ModelVersion, image_id: str, sha256: str, *, kind: SilentKind
) -> bool:
    """Asks a model about a stored picture and keeps what it says; False where it had said so already.

    Raises:
        StoreError: The picture or the records cannot be reached.
        RecordNotFoundError: The picture is gone.
    """
    content = store.images.read(sha256)
    begun = time.perf_counter()
    prediction = classifier.classify(content, image_id)
    took_s = time.perf_counter() - begun
    with store.database.begin() as session:
        return shadow.add_silent(session, SHADOW, model.id, image_id, prediction, took_s=took_s, kind=kind)


def _lowest_priority() -> None:
    """This thread's, where the system has priorities by thread (Linux); elsewhere the waiting alone must do."""
    with contextlib.suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOWEST_PRIORITY)
