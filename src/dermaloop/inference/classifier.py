"""From the bytes of a picture to a calibrated decision with heatmap and similar cases, one picture or a million.

Owns the order of the steps, the same for a single picture and for many: decode, preprocess, measure quality, run the
graph, calibrate, gate, decide, look up. Refuses to know where pictures come from and how results are written.

The trade-off for many pictures: each thread takes a few pictures through all steps by itself, running the graph on its
own core. Decoding on one core then overlaps with inference on another without hand-over, no core waits, and memory is
bounded by the number of threads. One graph run over all cores would answer a single picture sooner, so a single
picture is answered that way.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dermaloop.core import calibrated
from dermaloop.core.bundle import DISTRIBUTION, REFERENCES, Bundle
from dermaloop.core.prediction import Decision, Imprint, Prediction, Reason, SimilarCase, Status
from dermaloop.inference import explain, gate
from dermaloop.inference.parallel import chunks, ordered_map
from dermaloop.inference.prepare import Item, Prepared, prepare
from dermaloop.inference.session import Outputs, Session, usable_cores
from dermaloop.inference.similar import References

__all__ = ["Classifier", "Item", "Prepared", "Raw", "prepare", "raw_many"]

_CHUNK = 4
"""Pictures that a thread takes at once where there are many, so that what follows the graph is done for all of them."""
_IMPRINT_EMBEDDING, _IMPRINT_TEXTURE = 32, 16
"""Dimensions kept of each for `Imprint`: 96 bytes a picture, and what a camera or a case mix changes lies in them."""
_NONE = np.empty(0, dtype=np.float32)
_LATENCY_THREADS = 8
"""Beyond this many cores a single small picture is answered no sooner."""


@dataclass(frozen=True, slots=True)
class Raw:
    """What the graph said of many pictures, for fitting and evaluation; rows of NaN where a picture was unreadable.

    Attributes:
        logits: float32 (N, K).
        embedding: float32 (N, D).
        texture: float32 (N, G), what `gate.fit_distribution` and `gate.distance` take; see `session.Outputs`.
        activation: float32 (N, K, h, w), or None where it was not asked for.
        quality: float64 (N,) by measure.
        unreadable: Reason by row, for the rows of NaN.
    """

    logits: NDArray[np.float32]
    embedding: NDArray[np.float32]
    texture: NDArray[np.float32]
    activation: NDArray[np.float32] | None
    quality: dict[str, NDArray[np.float64]]
    unreadable: dict[int, Reason]


def raw_many(session: Session, items: Iterable[Item], *, threads: int | None = None, activation: bool = False) -> Raw:
    """The graph's outputs for many pictures, through the same steps as classification.

    Args:
        session: A session that runs on one core per call (`threads=1`), since it is called from several threads.
        items: The pictures.
        threads: Pictures in work at once; None for all usable cores.
        activation: Whether to keep the class-activation maps (K * h * w numbers per picture).

    Returns:
        One row per picture, in order. No picture at all gives arrays of no rows.
    """

    def work(chunk: list[Item]) -> tuple[list[Prepared], Outputs | None]:
        ready = [prepare(item, session.size_px) for item in chunk]
        outputs = _run(session, ready)
        # Only the numbers are kept for all pictures, not the pictures.
        return [replace(one, square=None) for one in ready], outputs if activation else _without_maps(outputs)

    results = list(ordered_map(work, chunks(items, _CHUNK), workers=threads or usable_cores()))
    prepared = [one for ready, _ in results for one in ready]
    outputs = [output for _, output in results if output is not None]
    good = np.asarray([one.unreadable is None for one in prepared], dtype=bool)

    def spread(field: str) -> NDArray[np.float32]:
        rows = np.full((len(prepared), *session.shapes[field]), np.nan, dtype=np.float32)
        if outputs:
            rows[good] = np.concatenate([getattr(output, field) for output in outputs])
        return rows

    measures = sorted({name for one in prepared for name in one.quality or {}})
    return Raw(
        logits=spread("logits"),
        embedding=spread("embedding"),
        texture=spread("texture"),
        activation=spread("activation") if activation else None,
        quality={
            name: np.asarray([(one.quality or {}).get(name, np.nan) for one in prepared], dtype=np.float64)
            for name in measures
        },
        unreadable={row: one.unreadable for row, one in enumerate(prepared) if one.unreadable is not None},
    )


def _without_maps(outputs: Outputs | None) -> Outputs | None:
    return None if outputs is None else outputs._replace(activation=_NONE, attention=_NONE)


def _run(session: Session, prepared: Sequence[Prepared]) -> Outputs | None:
    # One by one: on a CPU a batch saves nothing, and its features no longer fit into the core's cache.
    outputs = [session.run(one.square[None]) for one in prepared if one.square is not None]
    if len(outputs) <= 1:
        return outputs[0] if outputs else None
    return Outputs(*(np.concatenate(values) for values in zip(*outputs, strict=True)))


class Classifier:
    """Holds an opened bundle ready to classify. Safe to use from several threads at once.

    Args:
        bundle: An opened bundle.
        threads: Cores to use; None for all usable ones.
        operating_point: Name of the operating point; None for the bundle's default.
        similar: How many similar cases to look up for each picture.

    Raises:
        BundleError: The bundle lacks the operating point, or its graph cannot be run.
    """

    def __init__(
        self, bundle: Bundle, *, threads: int | None = None, operating_point: str | None = None, similar: int = 5
    ) -> None:
        self.bundle = bundle
        self.threads = threads or usable_cores()
        self.operating_point = bundle.operating_point(operating_point)
        self._similar = similar
        self._distribution = gate.Distribution(bundle.arrays(DISTRIBUTION))
        self._references = References(bundle.arrays(REFERENCES))
        # One session for a single picture over all cores, one for many pictures on a core each; made when first used.
        self._sessions: dict[int, Session] = {}
        self._lock = threading.Lock()
        self._session(min(self.threads, _LATENCY_THREADS))

    def _session(self, threads: int) -> Session:
        with self._lock:
            if threads not in self._sessions:
                self._sessions[threads] = Session(self.bundle, threads=threads)
            return self._sessions[threads]

    def classify(
        self, content: bytes, name: str = "", *, pixel_aspect: float = 1.0, cores: int | None = None
    ) -> Prediction:
        """Classifies one picture as fast as it can be answered.

        Args:
            content: The file's bytes.
            name: What the prediction calls it.
            pixel_aspect: See `core.preprocess.frame`.
            cores: Cores to use for it at most; None for all. A caller that classifies several pictures at once on
                threads of its own gets most done with 1.

        Returns:
            The prediction; an unreadable picture is one with status `unreadable`, not an exception.
        """
        session = self._session(min(cores or self.threads, self.threads, _LATENCY_THREADS))
        return self._classify([Item(name, content, pixel_aspect)], session)[0]

    def classify_together(self, items: Sequence[Item]) -> list[Prediction]:
        """Classifies a few pictures on one core, each step for all of them before the next.

        For a caller that classifies others at the same time, on threads of its own.

        Args:
            items: A handful; all are held in memory.

        Returns:
            Their predictions, in order.
        """
        return self._classify(items, self._session(1))

    def classify_many(
        self, items: Iterable[Item], *, each: Callable[[Item, Prediction], None] | None = None
    ) -> Iterator[Prediction]:
        """Classifies any number of pictures on all cores; memory does not grow with their number.

        Args:
            items: Read lazily, at most a few per core ahead of the reader.
            each: Called with every picture and its prediction on the thread that made it, e.g. to draw an overlay.
                What it raises ends the run.

        Yields:
            One prediction per picture, in the order of `items`.
        """
        session = self._session(1)

        def work(chunk: list[Item]) -> list[Prediction]:
            predictions = self._classify(chunk, session)
            if each is not None:
                for item, prediction in zip(chunk, predictions, strict=True):
                    each(item, prediction)
            return predictions

        for predictions in ordered_map(work, chunks(items, _CHUNK), workers=self.threads):
            yield from predictions

    def raw_many(
        self, paths: Sequence[Path], pixel_aspects: Sequence[float] | None = None, *, activation: bool = False
    ) -> Raw:
        """The graph's outputs for many files; see the function `raw_many`."""
        aspects = pixel_aspects if pixel_aspects is not None else [1.0] * len(paths)
        items = (Item(str(path), Path(path), aspect) for path, aspect in zip(paths, aspects, strict=True))
        return raw_many(self._session(1), items, threads=self.threads, activation=activation)

    def _classify(self, items: Sequence[Item], session: Session) -> list[Prediction]:
        prepared = [prepare(item, session.size_px) for item in items]
        outputs = _run(session, prepared)
        assessed = iter(() if outputs is None else self._assess(outputs))
        predictions = []
        for item, one in zip(items, prepared, strict=True):
            if one.unreadable is not None:
                predictions.append(
                    Prediction(item.name, one.sha256, self.bundle.identity, Status.UNREADABLE, (one.unreadable,))
                )
            else:
                predictions.append(self._prediction(item, one, next(assessed)))
        return predictions

    def _assess(self, outputs: Outputs) -> Iterator[_Assessed]:
        spec = self.bundle.spec
        probability = calibrated.probabilities(outputs.logits, spec.calibration)  # (N, K)
        malignant = calibrated.malignant_probability(probability, spec.classes)
        with np.errstate(divide="ignore"):  # a probability may underflow to 0; it is then never the suggestion
            top = (np.log(probability) + np.asarray(spec.top_diagnosis_log_weights)).argmax(axis=1)
        heat = explain.heatmap(outputs.activation, probability, spec.classes, outputs.attention)
        distance = self._distribution.distance(outputs.texture)
        similar = self._references.nearest(outputs.embedding, self._similar)
        embedding = self._references.project(outputs.embedding, _IMPRINT_EMBEDDING)
        texture = self._distribution.project(outputs.texture, _IMPRINT_TEXTURE)
        for row in range(len(probability)):
            yield _Assessed(
                probability[row],
                float(malignant[row]),
                int(top[row]),
                float(distance[row]),
                similar[row],
                heat[row],
                embedding[row],
                texture[row],
            )

    def _prediction(self, item: Item, prepared: Prepared, assessed: _Assessed) -> Prediction:
        spec, point = self.bundle.spec, self.operating_point
        quality = prepared.quality or {}
        reasons = gate.reasons(
            spec.gate, quality=quality, distance=assessed.distance, malignant_probability=assessed.malignant
        )
        decision = Decision.REFER if assessed.malignant >= point.threshold else Decision.NO_REFERRAL
        return Prediction(
            image=item.name,
            sha256=prepared.sha256,
            bundle=self.bundle.identity,
            status=Status.ABSTAINED if reasons else Status.ASSESSED,
            reasons=reasons,
            malignant_probability=assessed.malignant,
            decision=Decision.NONE if reasons else decision,
            operating_point=point.name,
            threshold=point.threshold,
            top_diagnosis=spec.classes[assessed.top],
            probabilities={
                diagnosis: float(value) for diagnosis, value in zip(spec.classes, assessed.probability, strict=True)
            },
            quality=quality,
            ood_distance=assessed.distance,
            similar=assessed.similar,
            heatmap=assessed.heatmap,
            frame=prepared.frame,
            imprint=Imprint(assessed.embedding, assessed.texture, prepared.colour),
        )


@dataclass(frozen=True, slots=True)
class _Assessed:
    """One picture's numbers, before the gate."""

    probability: NDArray[np.float64]
    malignant: float
    top: int
    distance: float
    similar: tuple[SimilarCase, ...]
    heatmap: NDArray[np.float32]
    embedding: NDArray[np.float32]
    texture: NDArray[np.float32]
