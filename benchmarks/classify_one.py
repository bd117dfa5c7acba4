"""One picture from bytes to calibrated decision with heatmap, against the plain way, in one run on one machine.

The plain way: Pillow, torchvision's transforms, the same network in eager PyTorch, and Grad-CAM from the `grad-cam`
package, whose own forward pass gives the probabilities. Ours also hashes the file, measures its quality, gates it and
looks up similar cases. Rounds alternate, so that what disturbs the machine disturbs both.

    python benchmarks/classify_one.py [--json classify_one.json]
"""

from __future__ import annotations

import argparse
import io
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from classify_common import MEAN, NETWORK, SIZE_PX, STD, bundle_of, network, ratio
from pictures import jpeg
from PIL import Image
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from record import Run
from torch import nn
from torchvision import transforms

from dermaloop.core.bundle import Bundle
from dermaloop.core.taxonomy import MALIGNANT, Diagnosis
from dermaloop.inference.classifier import Classifier
from dermaloop.inference.session import usable_cores

SIZES = ((600, 450), (4000, 3000))
"""Of the pictures, in pixels: as HAM10000's originals, and as a phone's."""
MALIGNANT_COLUMNS = [place for place, diagnosis in enumerate(Diagnosis) if diagnosis in MALIGNANT]


def plain_way(model: nn.Module) -> Callable[[bytes], tuple[float, np.ndarray]]:
    """Bytes to (malignant probability, heatmap), as a practitioner would write it."""
    prepare = transforms.Compose(
        [
            transforms.Resize(SIZE_PX),
            transforms.CenterCrop(SIZE_PX),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )
    cam = GradCAM(model=model, target_layers=[model.backbone.bn2])

    def run(content: bytes) -> tuple[float, np.ndarray]:
        batch = prepare(Image.open(io.BytesIO(content)).convert("RGB"))[None]
        heat = cam(input_tensor=batch, targets=[ClassifierOutputTarget(0)])[0]
        probability = torch.softmax(cam.outputs.detach(), dim=1)[0]
        return float(probability[MALIGNANT_COLUMNS].sum()), heat

    return run


def compare(
    model: nn.Module, classifier: Classifier, content: bytes, *, rounds: int, repeats: int
) -> tuple[list[float], list[float]]:
    """Seconds per picture by round: (plain, ours), each the median of `repeats`."""
    torch.set_num_threads(classifier.threads)
    plain = plain_way(model)
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for seconds, call in zip(times, (plain, classifier.classify), strict=True):
            call(content)
            measured = []
            for _ in range(repeats):
                start = time.perf_counter()
                call(content)
                measured.append(time.perf_counter() - start)
            seconds.append(statistics.median(measured))
    return times


def measure(
    model: nn.Module, bundle: Bundle, sizes: Sequence[tuple[int, int]] = SIZES, *, rounds: int = 7, repeats: int = 7
) -> list[dict[str, Any]]:
    """One row per size of the picture and number of threads: milliseconds of both ways, and how many times as fast."""
    rows = []
    for width_px, height_px in sizes:
        content = jpeg(1, width_px, height_px)
        for threads in dict.fromkeys((1, usable_cores())):
            classifier = Classifier(bundle, threads=threads)
            plain, ours = compare(model, classifier, content, rounds=rounds, repeats=repeats)
            found = ratio(plain, ours)
            rows.append(
                {
                    "width_px": width_px,
                    "height_px": height_px,
                    "bytes": len(content),
                    "threads": threads,
                    "plain_ms": 1000 * statistics.median(plain),
                    "ours_ms": 1000 * statistics.median(ours),
                    "ratio": asdict(found),
                }
            )
            print(
                f"{width_px:>6}x{height_px:<5} {threads:>8} {rows[-1]['plain_ms']:>9.1f} {rows[-1]['ours_ms']:>8.1f}  "
                f"{found}  ({len(content) / 1e6:.1f} MB)",
                flush=True,
            )
    return rows


def main() -> None:
    """Prints one line per size and number of threads."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", type=Path, help="file to write everything into")
    given = parser.parse_args()
    run = Run()
    print(run)
    model = network()
    with tempfile.TemporaryDirectory() as folder:
        bundle = bundle_of(model, Path(folder))
    print(f"{'picture':>12} {'threads':>8} {'plain ms':>9} {'ours ms':>8}  times as fast (range of rounds)")
    rows = measure(model, bundle, rounds=given.rounds, repeats=given.repeats)
    if given.json:
        how = {"network": NETWORK, "size_px": SIZE_PX, "rounds": given.rounds, "repeats": given.repeats}
        run.write(given.json, {**how, "rows": rows})


if __name__ == "__main__":
    main()
