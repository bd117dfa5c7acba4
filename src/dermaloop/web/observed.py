"""The classifier as a running server uses it: every answer counted and timed, and the cores shared among requests.

Owns how many cores one assessment takes: all of them while it is the only one, so that a person alone at the page is
answered soonest; one as soon as there are several, because pictures side by side on a core each are more in a second
than one after the other on all. Several are those that will run in a moment, too: between two of them there is often an
instant in which none runs, and a picture begun on all cores then would take twice the processor time, from the next.
Refuses to know requests and queues; it is told whether there are several.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol

from dermaloop.core.bundle import Bundle, OperatingPoint
from dermaloop.core.prediction import Prediction
from dermaloop.inference.classifier import Classifier, Item
from dermaloop.inference.crew import Crew
from dermaloop.web.metrics import Metrics


class Assessor(Protocol):
    """What the pages and the API need of a classifier."""

    @property
    def bundle(self) -> Bundle:
        """What is served."""

    @property
    def operating_point(self) -> OperatingPoint:
        """What decides."""

    def classify(self, content: bytes, name: str = "") -> Prediction:
        """One picture; see `Classifier.classify`."""

    def classify_together(self, pictures: Sequence[tuple[bytes, str]]) -> list[Prediction]:
        """A few pictures with their names; see `Classifier.classify_together`."""


class ObservedClassifier:
    """An `Assessor` that counts. Safe to use from several threads at once.

    Args:
        classifier: What answers.
        metrics: Where to count.
        crowded: Whether assessments share the cores, now or in a moment; see `Capacity.crowded`.
        crew: Processes that assess while it is crowded; None for none.
    """

    def __init__(
        self, classifier: Classifier, metrics: Metrics, crowded: Callable[[], bool], crew: Crew | None = None
    ) -> None:
        self._classifier, self._metrics, self._crowded, self._crew = classifier, metrics, crowded, crew

    @property
    def bundle(self) -> Bundle:
        """See `Assessor`."""
        return self._classifier.bundle

    @property
    def operating_point(self) -> OperatingPoint:
        """See `Assessor`."""
        return self._classifier.operating_point

    def classify(self, content: bytes, name: str = "") -> Prediction:
        """See `Assessor`."""
        return self.classify_together([(content, name)])[0]

    def classify_together(self, pictures: Sequence[tuple[bytes, str]]) -> list[Prediction]:
        """See `Assessor`."""
        begun = time.perf_counter()
        if self._crowded():
            beside = self._classifier if self._crew is None else self._crew
            predictions = beside.classify_together([Item(name, content) for content, name in pictures])
        else:
            predictions = [self._classifier.classify(content, name) for content, name in pictures]
        seconds = (time.perf_counter() - begun) / len(pictures)
        for prediction in predictions:
            self._metrics.predicted(prediction, seconds)
        return predictions

    def close(self, *, wait: bool = False) -> None:
        """Ends the crew, where there is one, after what it is about; the classifier itself goes on."""
        if self._crew is not None:
            self._crew.close(wait=wait)
