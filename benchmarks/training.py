"""Training throughput of `dermaloop train` against a plain loop, on the same cores, pictures, network, side and batch.

The plain loop is what one writes first: a DataLoader that decodes each JPEG with Pillow and changes it with
torchvision's transforms, fp32, NCHW. Ours is Lightning with the pre-decoded cache, changes by the batch, bf16 where the
processor has it, channels last, clipping and averaged weights. Rounds of both alternate in one run, so that whatever
else the machine does meets both; the ratio is taken within each pair of rounds. Each has a process of its own, since
ours tells the C library how to keep memory.

    python benchmarks/training.py --threads 1 --images DATA/ham10000/images

Without `--images`, JPEGs of 600 x 450 are drawn, the size of HAM10000's originals.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import timm
import torch
from lightning.pytorch.callbacks import Callback, EMAWeightAveraging
from pictures import photographs
from PIL import Image
from record import Run
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from dermaloop.core.manifest import Manifest, ManifestRow, Split, from_rows
from dermaloop.core.synthetic import draw_lesion
from dermaloop.core.taxonomy import Diagnosis
from dermaloop.training import dataset, fit, recipe
from dermaloop.training.cache import open_cache
from dermaloop.training.cpu import keep_memory
from dermaloop.training.module import Module
from dermaloop.training.network import build

NETWORK = "mobilenetv2_100"
CLASSES = list(Diagnosis)
WARM_UP_STEPS = 2


class Files(Dataset[tuple[torch.Tensor, int]]):
    """The plain way: a file is opened, decoded and changed for each draw."""

    def __init__(self, paths: list[Path], labels: list[int], size_px: int) -> None:
        """Takes the transforms that come nearest to what `training.augment` does."""
        self.paths, self.labels = paths, labels
        self.transform = v2.Compose(
            [
                v2.RandomResizedCrop(size_px, scale=(0.42, 1.0)),
                v2.RandomHorizontalFlip(),
                v2.RandomVerticalFlip(),
                v2.RandomRotation(180),
                v2.ColorJitter(0.25, 0.25, 0.3, 0.05),
                v2.RandomApply([v2.GaussianBlur(7, (0.4, 1.6))], p=0.15),
                v2.ToImage(),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
                v2.RandomErasing(0.1),
            ]
        )

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        """One changed picture and its class."""
        with Image.open(self.paths[index]) as picture:
            changed: torch.Tensor = self.transform(picture.convert("RGB"))
        return changed, self.labels[index]


class Plain:
    """The plain loop, kept between rounds; its loader ends with each round, so that it disturbs no other."""

    def __init__(self, paths: list[Path], size_px: int, batch: int, workers: int) -> None:
        """Builds network and optimiser."""
        labels = [index % len(CLASSES) for index in range(len(paths))]
        self.files, self.batch, self.workers = Files(paths, labels, size_px), batch, workers
        self.network = timm.create_model(NETWORK, num_classes=len(CLASSES)).train()
        self.optimiser = torch.optim.AdamW(self.network.parameters(), 1e-3)

    def round(self, steps: int) -> tuple[float, float]:
        """Pictures per second over some steps, and the share of their time that was spent waiting for pictures."""
        loader = DataLoader(self.files, self.batch, shuffle=True, num_workers=self.workers, drop_last=True)
        batches = _endless(loader)
        for number in range(WARM_UP_STEPS + steps):
            if number in (0, WARM_UP_STEPS):
                begun, waited = time.perf_counter(), 0.0
            asked = time.perf_counter()
            pictures, labels = next(batches)
            waited += time.perf_counter() - asked
            loss = torch.nn.functional.cross_entropy(self.network(pictures), labels)
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()
        seconds = time.perf_counter() - begun
        return steps * self.batch / seconds, waited / seconds


def _serve_plain(line: Connection, threads: int, paths: list[Path], size_px: int, batch: int) -> None:
    """The plain loop's process: a number of steps comes in, what `Plain.round` gives goes out; None ends it."""
    with warnings.catch_warnings(), _cores(threads):
        warnings.simplefilter("ignore")
        torch.manual_seed(1)
        plain = Plain(paths, size_px, batch, threads if threads > 1 else 0)
        while (steps := line.recv()) is not None:
            line.send(plain.round(steps))


def _endless(loader: DataLoader[Any]) -> Iterator[Any]:
    while True:
        yield from loader


class Clock(Callback):
    """Where the time of each step goes: waiting for pictures (fetch, changes) or the step itself."""

    def __init__(self) -> None:
        """Starts with nothing."""
        self.ends: list[float] = []
        self.fetched: list[float] = []
        self.starts: list[float] = []

    def on_train_batch_start(self, *_: Any) -> None:
        """The pictures are there, changed."""
        self.starts.append(time.perf_counter())

    def on_train_batch_end(self, *_: Any) -> None:
        """The weights are updated."""
        self.ends.append(time.perf_counter())


class Timed(Module):
    """Says when the stored pictures were there, before they are changed."""

    clock: Clock

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Notes the time."""
        del dataloader_idx
        self.clock.fetched.append(time.perf_counter())
        return batch


class Ours:
    """`dermaloop train`'s loop, through its own trainer."""

    def __init__(self, manifest: Manifest, how: recipe.Recipe, folder: Path) -> None:
        """Makes the cache and builds the network."""
        self.how, self.folder = how, folder
        cache = open_cache(manifest, folder / "cache", how.data.cache_px)
        labels = dataset.targets(manifest)
        self.pictures = dataset.Pictures(cache, np.arange(len(manifest)), labels)
        self.weights = dataset.sampling_weights(labels, how.data)
        self.module = Timed(build(how.network), how, np.full(len(CLASSES), 1 / len(CLASSES)), labels)
        self.module.network.to(memory_format=torch.channels_last)
        self.shares: list[tuple[float, float, float]] = []

    def round(self, steps: int) -> float:
        """Pictures per second over some steps; the shares of fetching, changing and stepping are kept."""
        clock = Clock()
        self.module.clock = clock
        hooks: list[Callback] = [EMAWeightAveraging(decay=0.995), clock]
        number = steps + WARM_UP_STEPS
        short = replace(self.how, run=replace(self.how.run, steps=number, steps_per_epoch=number))
        with fit.quiet():
            trainer = fit.make_trainer(short, self.folder, hooks, show_progress=False)
            sampler = dataset.StepSampler(self.weights, self.how.run.batch, 1, number, lambda: trainer.global_step)
            loader = dataset.loader(self.pictures, sampler, batch=self.how.run.batch, workers=0)
            trainer.fit(self.module, loader)
        ends, kept = np.asarray(clock.ends), slice(WARM_UP_STEPS, None)
        before, starts, fetched = (
            ends[WARM_UP_STEPS - 1 : -1],
            np.asarray(clock.starts)[kept],
            np.asarray(clock.fetched)[kept],
        )
        whole = ends[-1] - ends[WARM_UP_STEPS - 1]
        parts = ((fetched - before).sum(), (starts - fetched).sum(), (ends[kept] - starts).sum())
        self.shares.append(tuple(float(part / whole) for part in parts))  # type: ignore[arg-type]
        return float(steps * self.how.run.batch / whole)


def drawn(folder: Path, count: int) -> list[Path]:
    """JPEGs of drawn lesions, 600 x 450."""
    folder.mkdir(parents=True)
    paths = []
    for index in range(count):
        path = folder / f"{index:04d}.jpg"
        picture = draw_lesion(index, size_px=600, malignant=bool(index % 2)).crop((0, 75, 600, 525))
        picture.save(path, quality=92)
        paths.append(path)
    return paths


def rows(paths: list[Path], folder: Path) -> Manifest:
    """A manifest that gives the pictures classes in turn: what is learned does not matter here."""
    return from_rows(
        [
            ManifestRow(
                image_id=path.stem,
                source="pictures",
                path=str(path.absolute()),
                diagnosis=CLASSES[index % len(CLASSES)],
                candidates=CLASSES[index % len(CLASSES)],
                split=Split.TRAIN,
            )
            for index, path in enumerate(paths)
        ],
        folder,
    )


@contextmanager
def _cores(threads: int) -> Iterator[None]:
    """Keeps this process and its children on so many cores."""
    usable = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if usable:
        os.sched_setaffinity(0, usable[-threads:])
    torch.set_num_threads(threads)
    yield
    if usable:
        os.sched_setaffinity(0, usable)


def main() -> None:
    """Runs the rounds and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="cores to use; default all")
    parser.add_argument("--images", type=Path, help="folder of JPEGs; default: drawn ones of 600 x 450")
    parser.add_argument("--count", type=int, default=512, help="pictures to draw from")
    parser.add_argument("--size", type=int, default=192, help="side of the training pictures, in pixels")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=6, help="timed steps per round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the figures here too")
    chosen = parser.parse_args()
    run = Run()
    with tempfile.TemporaryDirectory() as name, _cores(chosen.threads):
        folder = Path(name)
        if chosen.images:
            paths, chosen.what = photographs(chosen.images, chosen.count)
        else:
            paths, chosen.what = drawn(folder / "drawn", chosen.count), f"{chosen.count} drawn pictures of 600x450"
        manifest = rows(paths, folder)
        how = recipe.parse(
            {
                "name": "benchmark",
                "data": {"cache_px": 224},
                "network": {"name": NETWORK, "drop_rate": 0.0},
                "run": {
                    "steps": 10**6,
                    "steps_per_epoch": 10**6,
                    "batch": chosen.batch,
                    "train_px": [[0.0, chosen.size]],
                },
            }
        )
        lightning.seed_everything(1, verbose=False)
        context = get_context("spawn")
        line, far_end = context.Pipe()
        files = manifest.image_paths()
        arguments = (far_end, chosen.threads, files, chosen.size, chosen.batch)
        plain = context.Process(target=_serve_plain, args=arguments)
        plain.start()
        keep_memory()  # as dermaloop train does
        ours = Ours(manifest, how, folder)
        pairs, waits = [], []
        for number in range(chosen.rounds):
            line.send(chosen.steps)
            per_s, wait = line.recv()
            waits.append(wait)
            pairs.append((per_s, ours.round(chosen.steps)))
            print(f"round {number + 1}: plain {pairs[-1][0]:6.1f}/s   ours {pairs[-1][1]:6.1f}/s", file=sys.stderr)
        line.send(None)
        plain.join()
        report(chosen, how, pairs, waits=waits, shares=ours.shares, run=run)


def report(
    chosen: argparse.Namespace,
    how: recipe.Recipe,
    pairs: list[tuple[float, float]],
    *,
    waits: list[float],
    shares: list[tuple[float, float, float]],
    run: Run,
) -> None:
    """Prints medians over the rounds, with the smallest and the largest beside them, and writes them where asked."""
    ratios = [ours / plain for plain, ours in pairs]
    columns = {"plain": [plain for plain, _ in pairs], "ours": [ours for _, ours in pairs], "ratio": ratios}
    print(f"{NETWORK}, {chosen.size} px, batch {chosen.batch}, {chosen.threads} threads")
    print(f"{chosen.what}; precision of ours: {fit.precision(how.run.precision)}")
    print(f"median (least, most) of {len(pairs)} rounds of {chosen.steps} steps")
    for name, values in columns.items():
        unit = "" if name == "ratio" else " pictures/s"
        print(f"{name:6s} {statistics.median(values):7.2f} ({min(values):.2f}, {max(values):.2f}){unit}")
    parts = dict(zip(("fetch", "change", "step"), np.median(np.asarray(shares), axis=0).tolist(), strict=True))
    print("share of our step: " + ", ".join(f"{name} {100 * share:.1f} %" for name, share in parts.items()))
    print(f"share of the plain step: fetch {100 * statistics.median(waits):.1f} %")
    if chosen.json:
        figures = {
            "network": NETWORK,
            "size_px": chosen.size,
            "batch": chosen.batch,
            "threads": chosen.threads,
            "precision": str(fit.precision(how.run.precision)),
            "pictures": chosen.what,
            "rounds": len(pairs),
            "steps": chosen.steps,
            **columns,
            "shares": parts,
            "plain_fetch_share": statistics.median(waits),
        }
        run.write(chosen.json, figures)


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the libraries, on a terminal that shows a table
        main()
