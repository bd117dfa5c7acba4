"""What curating costs: looking at pictures per second, and near-duplicates against comparing all pairs.

    python benchmarks/curation.py FOLDER_OF_PICTURES [--most 10000] [--workers 2]

Without a folder, 600 lesions are drawn. The search for duplicates is timed on a quarter, a half and all of the
pictures: candidates from buckets beside the plain way in the same run (the distance of every hash to every other in
all eight orientations), and the whole search with its second check.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from dermaloop.core.manifest import ManifestRow, from_rows
from dermaloop.core.synthetic import draw_lesion
from dermaloop.curation import buckets, duplicates
from dermaloop.curation.examine import examine
from dermaloop.curation.sources.reading import files_below, is_image


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def all_pairs(hashes: np.ndarray) -> int:
    """The plain way: how many pairs are near in any orientation, by comparing each with each."""
    near = 0
    for start in range(0, len(hashes), 256):
        for orientation in range(8):
            distance = np.bitwise_count(hashes[start : start + 256, orientation, None] ^ hashes[None, :, 0])
            near += int((distance <= buckets.MAX_DISTANCE).sum())
    return near


def drawn(folder: Path, count: int) -> Path:
    """A folder of drawn lesions."""
    for seed in range(count):
        draw_lesion(seed, size_px=256, malignant=seed % 4 == 0).save(folder / f"{seed}.jpg")
    return folder


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--most", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = (options.folder or drawn(Path(scratch), 600)).absolute()
        paths = [path for path in files_below(folder) if is_image(path)][: options.most]
        rows = (ManifestRow(image_id=str(index), source="b", path=str(path)) for index, path in enumerate(paths))
        table = from_rows(rows, folder)
        start = time.perf_counter()
        _, views = examine(table, Path(scratch), workers=options.workers)
        took = time.perf_counter() - start
        print(f"{len(table)} pictures, {options.workers} processes, load average {os.getloadavg()[0]:.1f}")
        print(
            f"looking at all: {took:.1f} s, {len(table) / took:.0f} pictures/s, {1000 * took / len(table):.1f} ms each"
        )
        print(f"{'pictures':>10} {'buckets':>9} {'all pairs':>10} {'ratio':>6} {'with the check':>15}")
        for share in (4, 2, 1):
            mine = np.asarray(views[: len(table) // share, 0])
            hashes = buckets.perceptual_hashes(mine)
            ours = seconds(lambda hashes=hashes: list(buckets.candidates(hashes)))
            plain = seconds(lambda hashes=hashes: all_pairs(hashes))
            whole = seconds(lambda mine=mine: duplicates.find(mine))
            print(f"{len(mine):>10} {ours:>7.2f} s {plain:>8.2f} s {plain / ours:>6.2f} {whole:>13.2f} s")
        print(f"peak memory of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
