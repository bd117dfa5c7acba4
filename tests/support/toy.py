"""A small but valid bundle for tests: a real ONNX graph, fitted in milliseconds on drawn lesions, without torch.

What it says is worth nothing; that different pictures get different, repeatable answers is all that tests need.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dermaloop.core import bundle as bundles
from dermaloop.core.preprocess import Preprocess, network_input
from dermaloop.core.synthetic import draw_lesion
from dermaloop.core.taxonomy import Diagnosis

SIZE_PX = 64
LENGTH = 24
PATCH = 8
_PER_CLASS = 12


def toy_bundle(folder: Path, *, packed: bool = False, **overrides: Any) -> Path:
    """Writes the toy bundle below `folder` and returns its path.

    Args:
        folder: Where to write.
        packed: One `.dermaloop` file instead of a folder.
        overrides: Fields of `core.bundle.Spec` to replace; `parts` maps part names to bytes that replace or, as None,
            remove a part.
    """
    path = Path(folder) / ("toy.dermaloop" if packed else "toy")
    parts = dict(_parts())
    for name, content in overrides.pop("parts", {}).items():
        if content is None:
            parts.pop(name, None)
        else:
            parts[name] = content
    bundles.write(path, toy_spec(**overrides), parts)
    return path


def toy_spec(**overrides: Any) -> bundles.Spec:
    """The specification of the toy bundle, some fields replaced."""
    classes = tuple(Diagnosis)
    fields: dict[str, Any] = {
        "name": "toy",
        "version": "1",
        "created": "2026-01-01T00:00:00Z",
        "classes": classes,
        "network": "toy",
        "size_px": SIZE_PX,
        "embedding_length": LENGTH,
        "calibration": bundles.Calibration(temperature=1.5, bias=(0.0,) * len(classes), fitted_on="drawn lesions"),
        "operating_points": (
            bundles.OperatingPoint(
                name="sensitivity-95", target="sensitivity >= 0.95", threshold=0.5, sensitivity=0.96, specificity=0.7,
                sensitivity_interval=(0.9, 0.99), specificity_interval=(0.6, 0.8), n_malignant=48, n_benign=48,
                measured_on="drawn lesions",
            ),
            bundles.OperatingPoint(
                name="sensitivity-90", target="sensitivity >= 0.90", threshold=0.6, sensitivity=0.91, specificity=0.85,
                sensitivity_interval=(0.8, 0.96), specificity_interval=(0.75, 0.92), n_malignant=48, n_benign=48,
                measured_on="drawn lesions",
            ),
        ),
        "default_operating_point": "sensitivity-95",
        "gate": bundles.Gate(
            ood_limit=1e9, ood_fitted_on="never", ambiguous_low=0.5, ambiguous_high=0.5, ambiguous_fitted_on="never",
            quality={"blur": (None, 0.99)},
        ),
        "top_diagnosis_log_weights": (0.0,) * len(classes),
        "licence": "Apache-2.0",
        "manifest_sha256": "0" * 64,
        "recipe_sha256": "1" * 64,
        "code_sha256": "2" * 64,
        "sources": {"drawn": _PER_CLASS * len(classes)},
    }  # fmt: skip
    return bundles.Spec(**{**fields, **overrides})


@functools.cache
def _parts() -> dict[str, bytes]:
    rng = np.random.default_rng(7)
    kernel = rng.normal(0, 0.12, (LENGTH, 3, PATCH, PATCH)).astype(np.float32)
    kernel[:3] = np.eye(3, dtype=np.float32)[:, :, None, None] / PATCH**2  # the mean colours, so that colour counts
    labels = np.repeat(np.arange(len(Diagnosis)), _PER_CLASS)
    pictures = [_example(Diagnosis(list(Diagnosis)[k]), i) for i, k in enumerate(labels)]
    batch = np.stack([network_input(picture, Preprocess(SIZE_PX)) for picture in pictures])
    embeddings = toy_embeddings(batch, kernel)
    centred = embeddings - embeddings.mean(axis=0)
    target = np.eye(len(Diagnosis))[labels] - 1 / len(Diagnosis)
    weight = np.linalg.solve(centred.T @ centred + 0.002 * np.eye(LENGTH), centred.T @ target * 10).T  # (8, D)
    bias = -weight @ embeddings.mean(axis=0)
    return {
        bundles.MODEL: toy_graph(kernel, weight.astype(np.float32), bias.astype(np.float32)),
        bundles.CARD: b"# toy\n\nFitted on drawn lesions; worth nothing. Not a medical device.\n",
        bundles.DISTRIBUTION: bundles.array_part(**_distribution(embeddings, labels)),
        bundles.REFERENCES: bundles.array_part(**_references(embeddings, labels)),
    }


def _example(diagnosis: Diagnosis, seed: int) -> Image.Image:
    """A drawn lesion with a tint by class, so that eight classes can be told apart at all."""
    tint = np.random.default_rng(list(diagnosis.encode())).uniform(0.92, 1.08, 3)
    drawn = draw_lesion(seed, size_px=96, malignant=diagnosis in ("MEL", "BCC", "AKIEC", "SCC"))
    return Image.fromarray(np.clip(np.asarray(drawn) * tint, 0, 255).astype(np.uint8))


def toy_embeddings(batch: NDArray[np.uint8], kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    """What the graph computes, in NumPy: uint8 (N, S, S, 3) → float32 (N, D)."""
    count, side = batch.shape[0], batch.shape[1] // PATCH
    patches = (batch.astype(np.float32) / 255).reshape(count, side, PATCH, side, PATCH, 3)
    features = np.maximum(np.einsum("nhawbc,dcab->ndhw", patches, kernel, optimize=True), 0)
    return features.mean(axis=(2, 3)).astype(np.float32)


def toy_graph(kernel: NDArray[np.float32], weight: NDArray[np.float32], bias: NDArray[np.float32]) -> bytes:
    """An ONNX graph of the bundle's contract: `image` uint8 (N, S, S, 3) → logits, embedding, activation."""
    import onnx  # noqa: PLC0415 - only the tests that build a graph need it installed
    from onnx import TensorProto, helper, numpy_helper  # noqa: PLC0415

    nodes = [
        helper.make_node("Cast", ["image"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["real", "full"], ["unit"]),
        helper.make_node("Transpose", ["unit"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node(
            "Conv", ["planes", "kernel"], ["convolved"], kernel_shape=[PATCH, PATCH], strides=[PATCH, PATCH]
        ),
        helper.make_node("Relu", ["convolved"], ["features"]),
        helper.make_node("GlobalAveragePool", ["features"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["embedding"], axis=1),
        helper.make_node("Gemm", ["embedding", "weight", "bias"], ["logits"], transB=1),
        helper.make_node("Conv", ["features", "weight_map"], ["activation"], kernel_shape=[1, 1]),
    ]
    constants = {
        "full": np.float32(255).reshape(()),
        "kernel": kernel,
        "weight": weight,
        "bias": bias,
        "weight_map": weight[:, :, None, None],
    }
    side, classes = SIZE_PX // PATCH, weight.shape[0]
    graph = helper.make_graph(
        nodes,
        "toy",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", SIZE_PX, SIZE_PX, 3])],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", classes]),
            helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["N", LENGTH]),
            helper.make_tensor_value_info("activation", TensorProto.FLOAT, ["N", classes, side, side]),
        ],
        [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _distribution(embeddings: NDArray[np.float32], labels: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    try:
        from dermaloop.inference.gate import fit_distribution  # noqa: PLC0415
    except ImportError:
        return {"mean": embeddings.mean(axis=0)}
    return dict(fit_distribution(embeddings, labels))


def _references(embeddings: NDArray[np.float32], labels: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    names = [str(list(Diagnosis)[k]) for k in labels]
    image_ids = [f"DRAWN_{i:04d}" for i in range(len(labels))]
    try:
        from dermaloop.inference.similar import build_references  # noqa: PLC0415
    except ImportError:
        return {"embedding": embeddings, "image_id": np.asarray(image_ids)}
    sources, confirmations = ["drawn"] * len(labels), ["histopathology"] * len(labels)
    return dict(build_references(embeddings, image_ids, sources, names, confirmations))
