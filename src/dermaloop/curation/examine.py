"""Looks at every picture once: hash of the bytes, size, perceptual hash, quality, and the thumbnail for duplicates.

Owns the one pass over the files: each is read and decoded once and everything is taken from that. Many pictures are
dealt to processes in bounded portions (the quality measures hold the interpreter's lock, so threads would wait for each
other), and thumbnails go to a memory-mapped file: memory does not grow with the number of pictures. A picture that is
missing or refused becomes a row with the reason.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dermaloop.core import quality
from dermaloop.core.errors import ImageError
from dermaloop.core.image import decode, read_bytes
from dermaloop.core.manifest import Manifest
from dermaloop.curation import buckets, duplicates
from dermaloop.curation.progress import Step, silent

BLANK = "blank"
"""`reject_reason` of a picture of one even grey."""
_PORTION = 256
_CHUNK = 16
_WORTH_PROCESSES = 400
"""Pictures from which starting processes (about a second each) pays."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What one picture showed; `reason` is empty where it could be decoded."""

    reason: str
    sha256: str = ""
    size_bytes: int | None = None
    width_px: int | None = None
    height_px: int | None = None
    quality: dict[str, float] | None = None
    views: NDArray[np.uint8] | None = None


def look(path: Path, pixel_aspect: float) -> Seen:
    """Reads, hashes, decodes and measures one picture; never raises for a bad one."""
    content = b""
    try:
        content = read_bytes(path)
        decoded = decode(content, name=str(path), least_side_px=quality.SIDE_PX)
    except ImageError as error:
        return Seen(error.reason, hashlib.sha256(content).hexdigest() if content else "", len(content) or None)
    views = duplicates.views(decoded.image, pixel_aspect=pixel_aspect)
    return Seen(
        BLANK if views[1].std() < duplicates.FLAT else "",
        hashlib.sha256(content).hexdigest(),
        len(content),
        *decoded.full_size,
        quality.measure(decoded.image, pixel_aspect=pixel_aspect),
        views,
    )


def examine(
    manifest: Manifest, scratch: Path, *, limits: quality.Limits | None = None, workers: int = 1, step: Step = silent
) -> tuple[Manifest, NDArray[np.uint8]]:
    """Looks at every picture of a manifest.

    Args:
        manifest: Rows, examined before or not.
        scratch: Existing folder for the memory-mapped thumbnails; they live as long as it does.
        limits: Accepted range by quality measure; a row outside is rejected with the name of its problem.
        workers: Processes; with 1, or for few pictures, all runs here. More need a main module that can be imported.
        step: Progress.

    Returns:
        The manifest with sha256, sizes, perceptual hash, quality and reject reasons filled, and the views of each
        picture, uint8 (N, 2, 64, 64), all zero where there is none. A reason that a row has already stays.
    """
    total = len(manifest)
    thumbnails = np.lib.format.open_memmap(
        scratch / "thumbnails.npy",
        mode="w+",
        dtype=np.uint8,
        shape=(max(total, 1), 2, buckets.SIDE_PX, buckets.SIDE_PX),
    )[:total]
    names = [name for name in manifest.table.column_names if name.startswith("quality_")]
    columns: dict[str, list[Any]] = {
        name: []
        for name in ("sha256", "size_bytes", "width_px", "height_px", "perceptual_hash", "reject_reason", *names)
    }
    reasons = manifest.column("reject_reason")
    done = 0
    many = workers > 1 and total >= _WORTH_PROCESSES
    processes = ProcessPoolExecutor(workers, get_context("spawn")) if many else nullcontext()
    with processes as pool, step("Looking at pictures", total) as advance:
        for portion in _portions(pool, manifest):
            for offset, seen in enumerate(portion):
                if seen.views is not None:
                    thumbnails[done + offset] = seen.views
                _append(columns, seen, reasons[done + offset], limits or {})
            block = np.asarray(thumbnails[done : done + len(portion), 0])
            hashes = buckets.perceptual_hashes(block)[:, 0]
            columns["perceptual_hash"] += [
                f"{value:016x}" if seen.views is not None else ""
                for value, seen in zip(hashes.tolist(), portion, strict=True)
            ]
            done += len(portion)
            advance(len(portion))
    return manifest.with_columns(**columns), thumbnails


def _portions(pool: ProcessPoolExecutor | None, manifest: Manifest) -> Iterator[list[Seen]]:
    """What the pictures showed, in row order, a bounded portion at a time and the next already under way."""
    jobs = iter(zip(manifest.image_paths(), manifest.column("pixel_aspect"), strict=True))
    running = _start(pool, list(islice(jobs, _PORTION)))
    while True:
        following = list(islice(jobs, _PORTION))
        started = _start(pool, following)
        yield list(running)
        if not following:
            return
        running = started


def _start(pool: ProcessPoolExecutor | None, jobs: list[tuple[Path, float]]) -> Iterable[Seen]:
    paths, aspects = [path for path, _ in jobs], [aspect for _, aspect in jobs]
    return pool.map(look, paths, aspects, chunksize=_CHUNK) if pool else map(look, paths, aspects)


def _append(columns: dict[str, list[Any]], seen: Seen, reason: str, limits: quality.Limits) -> None:
    for name in ("sha256", "size_bytes", "width_px", "height_px"):
        columns[name].append(getattr(seen, name))
    measured = seen.quality or {}
    for name, values in columns.items():
        if name.startswith("quality_"):
            values.append(measured.get(name.removeprefix("quality_")))
    problems = quality.problems(measured, limits)
    columns["reject_reason"].append(reason or seen.reason or (problems[0].code if problems else ""))
