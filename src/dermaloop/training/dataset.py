"""The pre-decoded cache, and which image is drawn when.

Pictures are decoded once, cut to the network's square and kept as one memory-mapped uint8 array, so that a training
step waits for no decoder. What is drawn at step s is a pure function of (seed, s): a resumed run draws what the
uninterrupted one would have drawn. Sampling is with replacement, the price of that.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import Progress
from torch.utils.data import DataLoader, Dataset, Sampler

from dermaloop.core.errors import ImageError, ManifestError, OutputError
from dermaloop.core.image import decode
from dermaloop.core.manifest import Manifest
from dermaloop.core.preprocess import Preprocess, network_input
from dermaloop.core.taxonomy import Diagnosis
from dermaloop.training.recipe import Data

Batch = dict[str, torch.Tensor]
_MASK_PX = 112
"""Side of the stored masks; the attention that they guide has a few places a side."""


@dataclass(frozen=True, eq=False)
class Cache:
    """Pre-decoded pictures in the order of a manifest's rows.

    Attributes:
        pictures: uint8 (N, S, S, 3), memory-mapped, read only.
        masks: uint8 (N, M, M), 255 on the outlined lesion, or None where no row has a mask.
        outlined: bool (N,), rows that have one.
    """

    pictures: NDArray[np.uint8]
    masks: NDArray[np.uint8] | None
    outlined: NDArray[np.bool_]
    path: Path


def open_cache(manifest: Manifest, folder: Path, size_px: int, *, progress: Progress | None = None) -> Cache:
    """Opens the cache of these rows, making it first where there is none; a half-made one is never opened.

    Args:
        manifest: Rows; those without a hash are hashed from their file.
        folder: Where caches lie.
        size_px: Side S of the squares.
        progress: Shows the making.

    Raises:
        ManifestError: A picture cannot be read, or differs from its hash; the row is named.
        OutputError: The folder cannot be written or the disk is full.
    """
    key = _key(manifest, size_px)
    path = folder / f"pictures-{size_px}-{key[:16]}.npy"
    done = path.with_suffix(".json")
    shape = (len(manifest), size_px, size_px, 3)
    if not (done.is_file() and json.loads(done.read_text())["key"] == key):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _fill(manifest, path, shape, progress)
            _fill_masks(manifest, path.with_suffix(".masks.npy"))
            done.write_text(json.dumps({"key": key, "shape": shape}))
        except OSError as error:
            way_out = "Free space, or choose another folder with --cache."
            raise OutputError(
                f"the cache cannot be written ({error.strerror or error})", where=str(path), way_out=way_out
            ) from error
    outlined = np.asarray([bool(mask) for mask in manifest.column("mask_path")], dtype=bool)
    masks = np.load(path.with_suffix(".masks.npy"), mmap_mode="r") if outlined.any() else None
    return Cache(np.load(path, mmap_mode="r"), masks, outlined, path)


def rows_identity(manifest: Manifest) -> str:
    """SHA-256 over what training reads of the rows; further columns may be filled in without touching a run."""
    names = ("source", "image_id", "sha256", "candidates", "pixel_aspect", "split")
    rows = sorted(zip(*(manifest.column(name) for name in names), strict=True))
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def _key(manifest: Manifest, size_px: int) -> str:
    rows = zip(manifest.column("sha256"), manifest.column("pixel_aspect"), manifest.column("path"), strict=True)
    masks = [bool(mask) for mask in manifest.column("mask_path")]
    identity = [[sha or path, aspect] for sha, aspect, path in rows]
    text = json.dumps([size_px, _MASK_PX, Preprocess(size_px).version, identity, masks])
    return hashlib.sha256(text.encode()).hexdigest()


def _fill(manifest: Manifest, path: Path, shape: tuple[int, ...], progress: Progress | None) -> None:
    pictures = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    preprocess = Preprocess(shape[1])
    paths, hashes, aspects = manifest.image_paths(), manifest.column("sha256"), manifest.column("pixel_aspect")

    def one(index: int) -> None:
        try:
            content = paths[index].read_bytes()
        except OSError as error:
            raise ManifestError(
                "missing_file",
                f"the picture cannot be read ({error.strerror})",
                where=str(paths[index]),
                way_out="Run 'dermaloop curate check'.",
            ) from error
        if hashes[index] and hashlib.sha256(content).hexdigest() != hashes[index]:
            raise ManifestError(
                "changed_file",
                "the picture differs from its hash in the manifest",
                where=str(paths[index]),
                way_out="Run 'dermaloop curate check'.",
            )
        try:
            decoded = decode(content, name=paths[index].name, least_side_px=shape[1])
        except ImageError as error:
            raise ManifestError(
                "unreadable_file", str(error), where=str(paths[index]), way_out="Exclude the row."
            ) from error
        pictures[index] = network_input(decoded.image, preprocess, pixel_aspect=aspects[index])

    task = progress.add_task("Decoding pictures", total=shape[0]) if progress else None
    with ThreadPoolExecutor() as pool:
        for _ in pool.map(one, range(shape[0])):
            if progress and task is not None:
                progress.advance(task)
    pictures.flush()


def _fill_masks(manifest: Manifest, path: Path) -> None:
    """Masks go through the pictures' geometry; a row without one gets zeros."""
    if not any(manifest.column("mask_path")):
        return
    masks = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(len(manifest), _MASK_PX, _MASK_PX))
    rows = zip(manifest.column("mask_path"), manifest.column("pixel_aspect"), strict=True)
    for index, (name, aspect) in enumerate(rows):
        if name:
            file = manifest.folder / name
            try:
                decoded = decode(file.read_bytes(), name=file.name)
            except (OSError, ImageError) as error:
                raise ManifestError(
                    "unreadable_mask",
                    f"the lesion mask cannot be read ({error})",
                    where=str(file),
                    way_out="Clear mask_path.",
                ) from error
            masks[index] = network_input(decoded.image, Preprocess(_MASK_PX), pixel_aspect=aspect)[..., 0]
    masks.flush()


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


def sampling_weights(labels: Targets, data: Data) -> NDArray[np.float64]:
    """Probability of each row to be drawn, (N,), sums to 1.

    A source gets its share; within it a label (a fine class or a coarse set) is drawn in proportion to its number of
    images to `class_power`; within a label all rows alike.

    Raises:
        ManifestError: No row has a positive share.
    """
    sources = np.asarray(labels.sources)
    sets = (
        np.packbits(labels.candidates, axis=1)[:, 0]
        if labels.candidates.shape[1] <= 8
        else np.unique(labels.candidates, axis=0, return_inverse=True)[1]
    )  # noqa: PLR2004
    present, counts = np.unique(sources, return_counts=True)
    share = _source_shares(dict(zip(present.tolist(), counts.tolist(), strict=True)), data.source_share)
    weights = np.zeros(len(sources))
    for source in present.tolist():
        inside = sources == source
        kinds, index, number = np.unique(sets[inside], return_inverse=True, return_counts=True)
        kind_share = number**data.class_power / (number**data.class_power).sum()
        weights[inside] = share[source] * (kind_share / number)[index]
        assert len(kinds)
    if not weights.sum() > 0:
        raise ManifestError(
            "nothing_to_train", "no row has a positive share", way_out="Look at data.source_share and data.leave_out."
        )
    normalised: NDArray[np.float64] = weights / weights.sum()
    return normalised


def _source_shares(counts: dict[str, int], given: dict[str, float]) -> dict[str, float]:
    left = max(0.0, 1 - sum(share for source, share in given.items() if source in counts))
    others = sum(count for source, count in counts.items() if source not in given)
    return {source: given.get(source, left * count / others if others else 0.0) for source, count in counts.items()}


class StepSampler(Sampler[list[int]]):
    """Draws the indices of each step's batch as a function of (seed, step, rank) alone."""

    def __init__(
        self,
        weights: NDArray[np.float64],
        batch: int,
        seed: int,
        steps_per_epoch: int,
        position: Callable[[], int],
        *,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        self._cumulative = np.cumsum(weights)
        self._batch, self._seed, self._steps_per_epoch, self._position = batch, seed, steps_per_epoch, position
        self._rank, self._ranks = rank, ranks

    def __len__(self) -> int:
        return self._steps_per_epoch

    def draw(self, step: int) -> list[int]:
        """Indices of the batch of one step."""
        generator = np.random.default_rng((self._seed, step, self._rank, self._ranks))
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
    """Batches from the cache: whole batches by index list, no collation of single items."""

    def __init__(self, cache: Cache, rows: NDArray[np.int64], labels: Targets) -> None:
        self._cache, self._rows, self._labels = cache, rows, labels

    def __len__(self) -> int:
        return len(self._rows)

    def __getitems__(self, indices: list[int]) -> Batch:
        rows = self._rows[indices]
        pictures = self._cache.pictures[rows]  # (B, S, S, 3)
        return {
            "picture": torch.from_numpy(np.ascontiguousarray(pictures)),
            "candidates": torch.from_numpy(self._labels.candidates[indices]),
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
