"""Labels as arrays, and which image is drawn when.

What is drawn at step s is a pure function of (seed, s): a resumed run draws what the uninterrupted one would have
drawn. Sampling is with replacement, the price of that.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, Sampler

from dermaloop.core.errors import ManifestError
from dermaloop.core.manifest import Manifest
from dermaloop.core.taxonomy import Diagnosis
from dermaloop.training.cache import Cache
from dermaloop.training.recipe import Data

Batch = dict[str, torch.Tensor]


@dataclass(frozen=True, eq=False)
class Targets:
    """Labels of a manifest's rows as arrays.

    Attributes:
        candidates: bool (N, K), the diagnoses each label leaves possible.
        fine: int64 (N,), the one diagnosis, or -1 for a coarse label.
        sources: Source of each row.
    """

    candidates: NDArray[np.bool_]
    fine: NDArray[np.int64]
    sources: list[str]


def targets(manifest: Manifest) -> Targets:
    """Labels as arrays, K in the order of `Diagnosis`.

    Raises:
        ManifestError: `unlabelled`: a row has no label.
    """
    order = {diagnosis: index for index, diagnosis in enumerate(Diagnosis)}
    candidates = np.zeros((len(manifest), len(order)), dtype=bool)
    for row, found in enumerate(manifest.candidate_sets()):
        candidates[row, [order[diagnosis] for diagnosis in found]] = True
    empty = np.flatnonzero(~candidates.any(axis=1))
    if len(empty):
        where = f"row {empty[0] + 1} (image_id {manifest.column('image_id')[empty[0]]!r})"
        raise ManifestError(
            "unlabelled",
            f"{len(empty)} rows to train on have no diagnosis",
            where=where,
            way_out="Exclude them or label them.",
        )
    fine = np.where(candidates.sum(axis=1) == 1, candidates.argmax(axis=1), -1)
    return Targets(candidates, fine.astype(np.int64), manifest.column("source"))


def rows_identity(manifest: Manifest) -> str:
    """SHA-256 over what training reads of the rows; further columns may be filled in without touching a run."""
    names = ("source", "image_id", "sha256", "candidates", "pixel_aspect", "split")
    rows = sorted(zip(*(manifest.column(name) for name in names), strict=True))
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def sampling_weights(labels: Targets, data: Data) -> NDArray[np.float64]:
    """Probability of each row to be drawn, (N,), sums to 1.

    A source gets its share; within it a label (a fine class or a coarse set) is drawn in proportion to its number of
    images to `class_power`; within a label all rows alike.

    Raises:
        ManifestError: A source is left without a share.
    """
    sources = np.asarray(labels.sources)
    sets = np.unique(labels.candidates, axis=0, return_inverse=True)[1].reshape(-1)
    present, counts = np.unique(sources, return_counts=True)
    share = _source_shares(dict(zip(present.tolist(), counts.tolist(), strict=True)), data.source_share)
    _need_shares(share, data.source_share)
    weights = np.zeros(len(sources))
    for source in present.tolist():
        inside = sources == source
        _, index, number = np.unique(sets[inside], return_inverse=True, return_counts=True)
        kind_share = number**data.class_power / (number**data.class_power).sum()
        weights[inside] = share[source] * (kind_share / number)[index]
    normalised: NDArray[np.float64] = weights / weights.sum()
    return normalised


def _source_shares(counts: dict[str, int], given: dict[str, float]) -> dict[str, float]:
    left = max(0.0, 1 - sum(share for source, share in given.items() if source in counts))
    others = sum(count for source, count in counts.items() if source not in given)
    return {source: given.get(source, left * count / others if others else 0.0) for source, count in counts.items()}


def _need_shares(share: dict[str, float], given: dict[str, float]) -> None:
    silent = sorted(source for source, value in share.items() if not value > 0)
    if silent:
        raise ManifestError(
            "no_share",
            f"data.source_share ({given}) leaves nothing for the source {silent[0]!r}, which would never be drawn",
            way_out="Give it a share; a share of 0, or data.leave_out, says that it shall not train.",
        )


class StepSampler(Sampler[list[int]]):
    """Draws the indices of each step's batch as a function of (seed, step, rank) alone.

    Args:
        weights: float64 (N,), probability of each row.
        batch: Rows per step and process.
        seed: Of the run.
        steps_per_epoch: Where an iteration ends.
        position: The step that the run has reached, asked for when an iteration begins.
        ranks: (this process, number of processes), asked for when a batch is drawn: known only once training began.
    """

    def __init__(
        self,
        weights: NDArray[np.float64],
        batch: int,
        seed: int,
        steps_per_epoch: int,
        position: Callable[[], int],
        *,
        ranks: Callable[[], tuple[int, int]] = lambda: (0, 1),
    ) -> None:
        self._cumulative = np.cumsum(weights)
        self._batch, self._seed, self._steps_per_epoch, self._position = batch, seed, steps_per_epoch, position
        self._ranks = ranks

    def __len__(self) -> int:
        return self._steps_per_epoch

    def draw(self, step: int) -> list[int]:
        """Indices of the batch of one step."""
        generator = np.random.default_rng((self._seed, step, *self._ranks()))
        draws = generator.random(self._batch) * self._cumulative[-1]
        found: list[int] = (
            np.searchsorted(self._cumulative, draws, side="right").clip(0, len(self._cumulative) - 1).tolist()
        )
        return found

    def __iter__(self) -> Iterator[list[int]]:
        start = self._position()
        end = (start // self._steps_per_epoch + 1) * self._steps_per_epoch
        for step in range(start, end):
            yield self.draw(step)


class Pictures(Dataset[Batch]):
    """Batches from the cache: whole batches by index list, no collation of single items.

    Args:
        cache: Pictures of all rows.
        rows: int64 (N,), the cache's rows that belong here.
        labels: Of those N rows.
    """

    def __init__(self, cache: Cache, rows: NDArray[np.int64], labels: Targets) -> None:
        self._cache, self._rows, self.labels = cache, rows, labels

    def __len__(self) -> int:
        return len(self._rows)

    def __getitems__(self, indices: list[int]) -> Batch:
        rows = self._rows[indices]
        pictures = self._cache.pictures[rows]  # (B, S, S, 3)
        return {
            "picture": torch.from_numpy(np.ascontiguousarray(pictures)),
            "candidates": torch.from_numpy(self.labels.candidates[indices]),
            "index": torch.tensor(indices),
            **self._outlines(rows),
        }

    def _outlines(self, rows: NDArray[np.int64]) -> Batch:
        if self._cache.masks is None:
            return {}
        masks = np.ascontiguousarray(self._cache.masks[rows])
        return {"mask": torch.from_numpy(masks), "outlined": torch.from_numpy(self._cache.outlined[rows])}

    def __getitem__(self, index: int) -> Batch:
        return self.__getitems__([index])


class ResumableLoader(DataLoader[Any]):
    """A loader whose position is the trainer's step, so that it has no state of its own to save."""

    def state_dict(self) -> dict[str, Any]:
        """Nothing: the sampler reads the step."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing: the sampler reads the step."""


def loader(pictures: Pictures, sampler: Sampler[list[int]] | None, *, batch: int, workers: int) -> DataLoader[Any]:
    """A loader of whole batches: drawn by `sampler`, or once through in order where it is None."""
    common: dict[str, Any] = {"collate_fn": _as_is, "num_workers": workers, "persistent_workers": workers > 0}
    if sampler is None:
        return DataLoader(pictures, batch_size=batch, shuffle=False, **common)
    return ResumableLoader(pictures, batch_sampler=sampler, **common)


def _as_is(batch: Batch) -> Batch:
    return batch
