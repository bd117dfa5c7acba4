"""One picture from bytes to calibrated decision with heatmap, against the plain way, in one run on one machine.

The plain way: Pillow, torchvision's transforms, the same network in eager PyTorch, and Grad-CAM from the `grad-cam`
package, whose own forward pass gives the probabilities. Ours also hashes the file, measures its quality, gates it and
looks up similar cases. Rounds alternate, so that what disturbs the machine disturbs both.

    python benchmarks/classify_one.py
"""

from __future__ import annotations

import argparse
import io
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from classify_common import MEAN, SIZE_PX, STD, bundle_of, machine, network, ratio
from pictures import jpeg
from PIL import Image
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import nn
from torchvision import transforms

from dermaloop.core.taxonomy import MALIGNANT, Diagnosis
from dermaloop.inference.classifier import Classifier
from dermaloop.inference.session import usable_cores

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


def main() -> None:
    """Prints one line per size and number of threads."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--repeats", type=int, default=7)
    given = parser.parse_args()
    print(machine())
    model = network()
    with tempfile.TemporaryDirectory() as folder:
        bundle = bundle_of(model, Path(folder))
    print(f"{'picture':>12} {'threads':>8} {'plain ms':>9} {'ours ms':>8}  times as fast (range of rounds)")
    for width_px, height_px in ((600, 450), (4000, 3000)):
        content = jpeg(1, width_px, height_px)
        for threads in dict.fromkeys((1, usable_cores())):
            classifier = Classifier(bundle, threads=threads)
            plain, ours = compare(model, classifier, content, rounds=given.rounds, repeats=given.repeats)
            print(
                f"{width_px:>6}x{height_px:<5} {threads:>8} {1000 * statistics.median(plain):>9.1f} "
                f"{1000 * statistics.median(ours):>8.1f}  {ratio(plain, ours)}  ({len(content) / 1e6:.1f} MB)",
                flush=True,
            )


if __name__ == "__main__":
    main()
