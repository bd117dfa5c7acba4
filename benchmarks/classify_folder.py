"""A folder of thousands of JPEGs, against a DataLoader with an eager PyTorch loop, and against the ONNX graph alone.

Ours gives decisions, heatmaps, quality, gate and similar cases; the plain loop only probabilities. The ceiling is the
graph alone on random input that lies in memory, in two ways: batches over all cores, as ONNX Runtime is usually called,
and one picture per core at a time, as the classifier calls it.
Rounds alternate over shares of the folder, so that what disturbs the machine disturbs all.

Two folders are measured: drawn pictures of 600x450 with the grain of photographs, and, where `--images` names them,
photographs as they are. Decoding takes a larger share of the first.

    python benchmarks/classify_folder.py
    python benchmarks/classify_folder.py --images DATA_FOLDER/ham10000/images --json classify_folder.json
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from classify_common import MEAN, NETWORK, SIZE_PX, STD, bundle_of, network, ratio
from pictures import jpeg, photographs
from PIL import Image
from record import Run
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from dermaloop.core.bundle import Bundle
from dermaloop.inference.classifier import Classifier, Item
from dermaloop.inference.session import Session, usable_cores

DISTINCT = 100
BATCH = 32


class Pictures(Dataset[torch.Tensor]):
    """Files as normalised tensors, as torchvision's tutorials read them."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = paths
        self.prepare = transforms.Compose(
            [
                transforms.Resize(SIZE_PX),
                transforms.CenterCrop(SIZE_PX),
                transforms.ToTensor(),
                transforms.Normalize(MEAN, STD),
            ]
        )

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, place: int) -> torch.Tensor:
        tensor: torch.Tensor = self.prepare(Image.open(self.paths[place]).convert("RGB"))
        return tensor


def plain(model: nn.Module, paths: Sequence[Path]) -> int:
    """The plain loop: as many workers as cores, eager forward passes."""
    count = 0
    with torch.inference_mode():
        for batch in DataLoader(Pictures(paths), batch_size=BATCH, num_workers=usable_cores()):
            count += len(torch.softmax(model(batch), dim=1))
    return count


def ours(classifier: Classifier, paths: Sequence[Path]) -> int:
    """All that `dermaloop classify` computes."""
    statuses = [one.status for one in classifier.classify_many(Item(str(path), path) for path in paths)]
    return sum(status != "unreadable" for status in statuses)


def ceilings(bundle: Bundle) -> dict[str, Callable[[int], None]]:
    """Ways to run the graph alone on so many pictures, by name."""
    cores = usable_cores()
    whole, single = Session(bundle, threads=cores), Session(bundle, threads=1)
    batch = np.random.default_rng(0).integers(0, 256, (BATCH, SIZE_PX, SIZE_PX, 3), dtype=np.uint8)

    def over_all_cores(count: int) -> None:
        for _ in range(count // BATCH):
            whole.run(batch)

    def one_per_core(count: int) -> None:
        with ThreadPoolExecutor(cores) as pool:
            list(pool.map(lambda _: single.run(batch[:1]), range(count)))

    return {"all cores, batch 32": over_all_cores, "one per core, batch 1": one_per_core}


def timed(call: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def measure(model: nn.Module, bundle: Bundle, paths: Sequence[Path], *, rounds: int, what: str) -> dict[str, Any]:
    """Pictures per second of each way, and the ratios, over rounds that alternate.

    Args:
        model: The network in PyTorch.
        bundle: The same network's.
        paths: The pictures; as many as fill all rounds with whole batches are used.
        rounds: How many.
        what: What the pictures are.
    """
    torch.set_num_threads(usable_cores())
    classifier, alone = Classifier(bundle), ceilings(bundle)
    ours(classifier, paths[:16])
    plain(model, paths[:16])
    seconds: dict[str, list[float]] = {key: [] for key in ("plain", "ours", *alone)}
    size = len(paths) // rounds // BATCH * BATCH
    for place in range(rounds):
        share = paths[place * size : (place + 1) * size]
        seconds["ours"].append(timed(lambda share=share: ours(classifier, share)))
        for key, call in alone.items():
            seconds[key].append(timed(lambda call=call: call(size)))
        seconds["plain"].append(timed(lambda share=share: plain(model, share)))
    per_s = {key: size / statistics.median(values) for key, values in seconds.items()}
    over_plain = ratio(seconds["plain"], seconds["ours"])
    over_alone = {key: ratio(seconds[key], seconds["ours"]) for key in alone}
    print(f"{what}: {rounds} rounds of {size} pictures, {usable_cores()} cores")
    for key, value in per_s.items():
        print(f"{key:>24}: {value:8.1f} pictures a second")
    print(f"ours over plain: {over_plain}")
    for key, found in over_alone.items():
        print(f"ours over the graph alone ({key}): {found}", flush=True)
    return {
        "pictures": what,
        "bytes": statistics.mean(path.stat().st_size for path in paths),
        "rounds": rounds,
        "pictures_a_round": size,
        "per_s": per_s,
        "over_plain": asdict(over_plain),
        "over_alone": {key: asdict(found) for key, found in over_alone.items()},
    }


def main() -> None:
    """Prints pictures per second and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=2048, help="pictures of each folder")
    parser.add_argument("--images", type=Path, help="folder of photographs to measure too")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--json", type=Path, help="file to write everything into")
    given = parser.parse_args()
    run = Run()
    print(run)
    model = network()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundle = bundle_of(model, folder)
        drawn = _folder(folder, given.pictures)
        folders = [measure(model, bundle, drawn, rounds=given.rounds, what="drawn pictures of 600x450")]
    if given.images:
        paths, what = photographs(given.images, given.pictures)
        folders.append(measure(model, bundle, paths, rounds=given.rounds, what=what))
    if given.json:
        run.write(given.json, {"network": NETWORK, "size_px": SIZE_PX, "batch": BATCH, "folders": folders})


def _folder(folder: Path, count: int) -> list[Path]:
    distinct = [jpeg(seed, 600, 450) for seed in range(min(DISTINCT, count))]
    paths = [folder / f"{place:05d}.jpg" for place in range(count)]
    for place, path in enumerate(paths):
        if place < len(distinct):
            path.write_bytes(distinct[place])
        else:
            os.link(paths[place % len(distinct)], path)
    return paths


if __name__ == "__main__":
    main()
