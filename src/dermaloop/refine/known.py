"""Pictures that are known already: of the original data and of test sets, to find copies of them among new ones.

Owns the thumbnails of a manifest's pictures, kept in a cache by the manifest's identity, and the comparison. Refuses to
decide what a copy means. A copy is the same bytes, or what `curation.duplicates` confirms as the same picture.

The trade-off: every picture of the original data is decoded once, minutes for ten thousands, so that each turn costs
only what is new.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dermaloop.core.files import replacing
from dermaloop.core.manifest import Manifest, Split
from dermaloop.curation.duplicates import find_in_views
from dermaloop.curation.examine import examine

HELD_OUT = frozenset({Split.TEST, Split.EXTERNAL})


@dataclass(frozen=True, eq=False)
class Known:
    """What is known of a manifest's pictures.

    Attributes:
        sha256: Of each file, empty where it cannot be read.
        views: uint8 (N, 2, 64, 64), memory-mapped; zeros where there is none.
        held_out: bool (N,), whether each picture must never train.
    """

    sha256: Sequence[str]
    views: NDArray[np.uint8]
    held_out: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Copies:
    """What new pictures are copies of.

    Attributes:
        held_out: Rows that show what is held out.
        training: Rows that show what is in the original training data.
        pairs: Pairs of new rows that show the same, first < second.
    """

    held_out: frozenset[int]
    training: frozenset[int]
    pairs: tuple[tuple[int, int], ...]


def know(manifest: Manifest, cache: Path, *, all_held_out: bool = False, workers: int = 1) -> Known:
    """Looks at every picture of a manifest, or opens what was seen before.

    Args:
        manifest: Its rows; those excluded count as training data: they were seen.
        cache: Folder of the thumbnails.
        all_held_out: Whether every row is held out, as in a frozen test set of its own.
        workers: Processes.

    Raises:
        OSError: The cache cannot be written.
    """
    path = cache / f"known-{manifest.identity()[:16]}.npy"
    listing = path.with_suffix(".json")
    if not listing.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix=".known.") as scratch:
            seen, views = examine(manifest, Path(scratch), workers=workers)
            with replacing(path) as temporary, temporary.open("wb") as stream:
                np.save(stream, np.asarray(views))
        with replacing(listing) as temporary:  # written last: it means that the other is complete
            temporary.write_text(json.dumps([value or "" for value in seen.column("sha256")]), encoding="utf-8")
    sha256 = json.loads(listing.read_text(encoding="utf-8"))
    splits = [Split(value) if value else None for value in manifest.column("split")]
    held_out = np.array([all_held_out or split in HELD_OUT for split in splits], dtype=bool)
    return Known(sha256, np.load(path, mmap_mode="r"), held_out)


def find_copies(known: Sequence[Known], hashes: Sequence[frozenset[str]], views: NDArray[np.uint8]) -> Copies:
    """Which new pictures are copies of known ones, and of each other.

    Args:
        known: What to compare with.
        hashes: Every hash under which each new picture goes (M): as stored, and as it came.
        views: uint8 (M, 2, 64, 64), of the new pictures.
    """
    held = {sha for one in known for sha, out in zip(one.sha256, one.held_out, strict=True) if sha and out}
    trained = {sha for one in known for sha, out in zip(one.sha256, one.held_out, strict=True) if sha and not out}
    in_held = {row for row, own in enumerate(hashes) if own & held}
    in_training = {row for row, own in enumerate(hashes) if own & trained}
    first = sum(len(one.views) for one in known)
    together = np.concatenate([*(one.views for one in known), views])
    out = np.concatenate([*(one.held_out for one in known), np.zeros(len(views), dtype=bool)])
    pairs = {(a, b) for a in range(len(hashes)) for b in range(a + 1, len(hashes)) if hashes[a] & hashes[b]}
    for pair in find_in_views(together, new_from=first):
        if pair.first >= first:
            pairs.add((pair.first - first, pair.second - first))
        else:
            (in_held if out[pair.first] else in_training).add(pair.second - first)
    return Copies(frozenset(in_held), frozenset(in_training), tuple(sorted(pairs)))
