"""Similar cases: the training pictures nearest to a picture in feature space.

Owns the reference table of a bundle: projected, quantised embeddings with public image id, source, diagnosis and
confirmation; no pixels. Refuses to know images. The trade-off: one byte per dimension and a plain matrix product over
all references, exact on what is stored and under a millisecond for 10,000, instead of an index to build and ship.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dermaloop.core.prediction import SimilarCase
from dermaloop.core.taxonomy import Diagnosis

_COMPONENTS = 64
_TINY = 1e-12
_BLOCK = 2**18
"""Multiplications up to which OpenBLAS, which NumPy ships, starts no threads (its GEMM_MULTITHREAD_THRESHOLD)."""

_PART = 64
"""Neighbours whose highest value stands for them all when the highest are looked for."""


def build_references(
    embeddings: NDArray[np.float32],
    image_ids: Sequence[str],
    sources: Sequence[str],
    diagnoses: Sequence[str],
    confirmations: Sequence[str],
    *,
    components: int = _COMPONENTS,
) -> dict[str, NDArray[Any]]:
    """The reference table for `references.npz`.

    Args:
        embeddings: float32 (N, D).
        image_ids: N public ids.
        sources: N dataset names.
        diagnoses: N short codes of `core.taxonomy`.
        confirmations: N words; "" where unknown.
        components: Dimensions kept.

    Returns:
        Arrays by name, about 70 bytes per reference.
    """
    features = np.asarray(embeddings, dtype=np.float64)
    mean = features.mean(axis=0) if len(features) else np.zeros(features.shape[1])  # coarse labels only: no case
    centred = features - mean
    _, vectors = np.linalg.eigh(centred.T @ centred)
    basis = vectors[:, ::-1][:, : min(components, features.shape[1])].astype(np.float16)
    projected = centred @ basis.astype(np.float64)
    scale = np.abs(projected).max(axis=1, keepdims=True)
    known = [str(diagnosis) for diagnosis in Diagnosis]
    source_names, source_index = np.unique(np.asarray(sources, dtype=np.str_), return_inverse=True)
    confirmation_names, confirmation_index = np.unique(np.asarray(confirmations, dtype=np.str_), return_inverse=True)
    return {
        "mean": mean.astype(np.float32),
        "basis": basis,
        "vectors": np.rint(projected / np.maximum(scale, _TINY) * 127).astype(np.int8),
        "image_ids": np.asarray(image_ids, dtype=np.str_),
        "sources": source_names,
        "source_index": source_index.astype(np.uint8),
        "diagnoses": np.asarray(known, dtype=np.str_),
        "diagnosis_index": np.asarray([known.index(str(diagnosis)) for diagnosis in diagnoses], dtype=np.uint8),
        "confirmations": confirmation_names,
        "confirmation_index": confirmation_index.astype(np.uint8),
    }


class References:
    """The reference table of an opened bundle, ready to search.

    Args:
        arrays: What `build_references` made.
    """

    def __init__(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self._arrays = arrays
        self._mean = arrays["mean"].astype(np.float32)
        self._basis = arrays["basis"].astype(np.float32)
        self._vectors = _unit(arrays["vectors"].astype(np.float32))
        self._diagnoses = [Diagnosis(str(name)) for name in arrays["diagnoses"]]
        self._sources = [str(name) for name in arrays["sources"]]
        self._confirmations = [str(name) for name in arrays["confirmations"]]

    def __len__(self) -> int:
        return len(self._vectors)

    def nearest(self, embeddings: NDArray[np.float32], count: int = 5) -> list[tuple[SimilarCase, ...]]:
        """The nearest references of each picture, nearest first.

        Args:
            embeddings: float32 (N, D).
            count: How many per picture; fewer where the table has fewer.

        Returns:
            N tuples.
        """
        similarity = self._similarities(self._queries(embeddings))
        count = min(count, len(self))
        return [tuple(self._case(place, float(row[place])) for place in _highest(row, count)) for row in similarity]

    def project(self, embeddings: NDArray[np.float32], components: int) -> NDArray[np.float32]:
        """The direction of each embedding in the first dimensions of the table: float32 (N, at most components)."""
        return self._queries(embeddings)[:, :components]

    def _queries(self, embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        centred = np.asarray(embeddings, dtype=np.float32) - self._mean
        return _unit((centred @ self._basis).astype(np.float32))

    def _similarities(self, queries: NDArray[np.float32]) -> NDArray[np.float32]:
        """Cosines (N, references), in blocks small enough for the linear algebra library to stay on this thread.

        Its own threads would compete with those that decode and run the graph, and waking them costs more than the
        product. A single query goes without that library: its product with a vector starts threads much earlier.
        """
        if len(queries) == 1:
            single: NDArray[np.float32] = np.einsum("nd,d->n", self._vectors, queries[0])[None]
            return single
        step = max(1, _BLOCK // (queries.shape[1] * max(1, len(queries))))
        found = np.empty((len(queries), len(self)), dtype=np.float32)
        for start in range(0, len(self), step):
            np.matmul(queries, self._vectors[start : start + step].T, out=found[:, start : start + step])
        return found

    def _case(self, place: int, similarity: float) -> SimilarCase:
        arrays = self._arrays
        return SimilarCase(
            image_id=str(arrays["image_ids"][place]),
            source=self._sources[arrays["source_index"][place]],
            diagnosis=self._diagnoses[arrays["diagnosis_index"][place]],
            confirmation=self._confirmations[arrays["confirmation_index"][place]],
            similarity=similarity,
        )


def nearest(
    embeddings: NDArray[np.float32], references: Mapping[str, NDArray[Any]], count: int = 5
) -> list[tuple[SimilarCase, ...]]:
    """The nearest references of each picture; see `References.nearest`. For one call; hold a `References` for many."""
    return References(references).nearest(embeddings, count)


def _highest(values: NDArray[np.float32], count: int) -> list[int]:
    """The places of the `count` highest values, highest first, the earlier of two that are equal.

    The count-th highest of the maxima of any disjoint parts is at most the count-th highest value: what lies below it
    is never looked at, which is several times quicker than sorting or partitioning all.
    """
    if not count:
        return []
    parts = len(values) // _PART
    if parts >= count:
        maxima = values[: parts * _PART].reshape(parts, _PART).max(axis=1)
        places = np.flatnonzero(values >= np.partition(maxima, parts - count)[parts - count])
    else:
        places = np.arange(len(values))
    order = np.argsort(-values[places], kind="stable")[:count]
    found: list[int] = places[order].tolist()
    return found


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.sqrt((vectors * vectors).sum(axis=1, keepdims=True))
    unit: NDArray[np.float32] = (vectors / np.maximum(lengths, np.float32(_TINY))).astype(np.float32)
    return unit
