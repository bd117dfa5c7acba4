"""What both classification benchmarks share: the same network twice, and how two times are compared.

The network is the reference recipe's, timm's `mobilenetv2_100` with lesion attention at 224 px, its weights drawn at
random (speed does not depend on them). It is used as it is in PyTorch, and exported to a bundle as training does.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from dermaloop.core import bundle as bundles
from dermaloop.core.bundle import Bundle, Calibration, Gate, OperatingPoint, Spec
from dermaloop.core.taxonomy import Diagnosis
from dermaloop.inference import gate, similar
from dermaloop.inference.session import Session, usable_cores
from dermaloop.training.export import onnx_graph
from dermaloop.training.network import build
from dermaloop.training.recipe import Network

NETWORK = "mobilenetv2_100"
SIZE_PX = 224
REFERENCES = 8000
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def network() -> nn.Module:
    """The network in PyTorch, evaluation mode, with batch-norm statistics that keep its features alive."""
    torch.manual_seed(0)
    made: nn.Module = build(Network(name=NETWORK, lesion_attention=True), start=False).eval()
    nn.init.normal_(made.backbone.get_classifier().weight, std=0.05)  # training starts it from zeros
    return made


def bundle_of(model: nn.Module, folder: Path) -> Bundle:
    """A bundle of the network, with as many references as a real one; its answers mean nothing."""
    graph = onnx_graph(model, SIZE_PX)
    rng = np.random.default_rng(0)
    session = Session.of_model(graph, SIZE_PX, threads=usable_cores())
    squares = rng.integers(0, 256, (32, SIZE_PX, SIZE_PX, 3), dtype=np.uint8)
    out = session.run(squares)
    with torch.inference_mode():
        normalised = (torch.from_numpy(squares).permute(0, 3, 1, 2) / 255 - _column(MEAN)) / _column(STD)
        gap = float((model(normalised) - torch.from_numpy(out.logits)).abs().max())
    if gap > 1e-3 * max(1.0, float(np.abs(out.logits).max())):
        raise SystemExit(f"PyTorch and ONNX differ by {gap}: these are not the same network")
    spread = out.embedding.std() + 1e-3
    embeddings = out.embedding[rng.integers(0, 32, REFERENCES)] + spread * rng.normal(
        size=(REFERENCES, out.embedding.shape[1])
    )
    textures = out.texture[rng.integers(0, 32, 2000)] + 0.01 * rng.normal(size=(2000, out.texture.shape[1]))
    labels = rng.integers(0, len(Diagnosis), REFERENCES)
    names = [str(list(Diagnosis)[label]) for label in labels]
    parts = {
        bundles.MODEL: graph,
        bundles.CARD: b"# benchmark\n",
        bundles.DISTRIBUTION: bundles.array_part(
            **gate.fit_distribution(textures.astype(np.float32), labels[:2000].astype(np.int64))
        ),
        bundles.REFERENCES: bundles.array_part(
            **similar.build_references(
                embeddings.astype(np.float32),
                [f"ISIC_{place:07d}" for place in range(REFERENCES)],
                ["benchmark"] * REFERENCES,
                names,
                [""] * REFERENCES,
            )
        ),
    }
    point = OperatingPoint(
        name="benchmark",
        target="none",
        threshold=0.5,
        sensitivity=0.5,
        specificity=0.5,
        sensitivity_interval=(0, 1),
        specificity_interval=(0, 1),
        n_malignant=0,
        n_benign=0,
        measured_on="nothing",
    )
    spec = Spec(
        name="benchmark",
        version="1",
        created="2026-01-01T00:00:00Z",
        classes=tuple(Diagnosis),
        network=NETWORK,
        size_px=SIZE_PX,
        embedding_length=int(out.embedding.shape[1]),
        calibration=Calibration(temperature=1.0, bias=(0.0,) * len(Diagnosis), fitted_on="nothing"),
        operating_points=(point,),
        default_operating_point="benchmark",
        gate=Gate(
            ood_limit=1e9,
            ood_fitted_on="nothing",
            ambiguous_low=0.5,
            ambiguous_high=0.5,
            ambiguous_fitted_on="nothing",
            quality={"blur": (None, 1.0)},
        ),
        top_diagnosis_log_weights=(0.0,) * len(Diagnosis),
        licence="none",
        manifest_sha256="0" * 64,
        recipe_sha256="0" * 64,
        code_sha256="0" * 64,
        sources={"benchmark": REFERENCES},
    )
    return bundles.write(folder / "benchmark", spec, parts)


def _column(values: tuple[float, ...]) -> torch.Tensor:
    return torch.tensor(values).view(1, 3, 1, 1)


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times faster, over the rounds: the middle, and the least and greatest round."""

    middle: float
    least: float
    greatest: float

    def __str__(self) -> str:
        return f"{self.middle:.2f}x ({self.least:.2f} to {self.greatest:.2f})"


def ratio(slower: Sequence[float], faster: Sequence[float]) -> Ratio:
    """Of times measured in the same rounds, pairwise: what disturbs the machine disturbs both sides of a round."""
    each = [a / b for a, b in zip(slower, faster, strict=True)]
    return Ratio(statistics.median(each), min(each), max(each))
