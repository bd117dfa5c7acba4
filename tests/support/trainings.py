"""Small trainings on drawn lesions: a manifest, a recipe, and what a step of it costs is milliseconds."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dermaloop.core.manifest import Manifest, ManifestRow, Split, from_rows
from dermaloop.core.synthetic import draw_lesion
from dermaloop.core.taxonomy import BENIGN, MALIGNANT, Diagnosis, format_candidates

NETWORK = "test_efficientnet"  # timm's own, made for tests: 0.4 MB
FINE = (Diagnosis.MEL, Diagnosis.NV, Diagnosis.BCC, Diagnosis.BKL)
PER_SPLIT = {Split.TRAIN: 24, Split.VALIDATION: 16, Split.CALIBRATION: 24, Split.TEST: 8}


def lesion_manifest(
    folder: Path,
    *,
    sources: tuple[str, ...] = ("alpha", "beta"),
    per_split: dict[Split, int] | None = None,
    coarse: bool = False,
    size_px: int = 72,
) -> Manifest:
    """Draws lesions below `folder` and returns their manifest, with files, hashes, labels and splits.

    Args:
        folder: Where to write.
        sources: Names; each gets `per_split` images.
        per_split: Images by split and source.
        coarse: Labels say malignant or benign only.
        size_px: Side of the pictures.
    """
    rows = []
    for number, source in enumerate(sources):
        for place, (split, count) in enumerate((per_split or PER_SPLIT).items()):
            for index in range(count):
                diagnosis = FINE[index % len(FINE)]
                bad = diagnosis in MALIGNANT
                path = folder / source / f"{split}-{index:03d}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                drawn = draw_lesion(10_000 * number + 1000 * place + index, size_px=size_px, malignant=bad)
                tint = np.array([1.0, 1.0, 1.0]) + 0.12 * np.eye(4, 3)[FINE.index(diagnosis)]
                Image.fromarray(np.clip(np.asarray(drawn) * tint, 0, 255).astype(np.uint8)).save(path)
                candidates = (MALIGNANT if bad else BENIGN) if coarse else {diagnosis}
                rows.append(
                    ManifestRow(
                        image_id=f"{source}-{split}-{index:03d}",
                        source=source,
                        path=str(path),
                        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
                        lesion_id="" if coarse else f"{source}/{split}-{index:03d}",
                        diagnosis=None if coarse else diagnosis,
                        candidates=format_candidates(candidates),
                        split=split,
                    )
                )
    return from_rows(rows, folder)


def small(**tables: dict[str, Any]) -> dict[str, Any]:
    """The values of a recipe that trains in seconds; tables given replace single keys."""
    values: dict[str, Any] = {
        "name": "small",
        "seed": 3,
        "data": {"cache_px": 48},
        "network": {"name": NETWORK, "drop_rate": 0.1},
        "augment": {},
        "optimiser": {"rate": 2e-3, "ema_decay": 0.8},
        "run": {
            "steps": 12,
            "steps_per_epoch": 4,
            "batch": 8,
            "train_px": [[0.0, 32], [0.5, 40]],
            "evaluate_px": 48,
            "precision": "32-true",
        },
    }
    for name, table in tables.items():
        values[name] = {**values.get(name, {}), **table}
    return values


def write_toml(values: dict[str, Any], path: Path) -> Path:
    """The values as a TOML file; JSON's notation of plain values is TOML's."""
    plain = {key: value for key, value in values.items() if not isinstance(value, dict)}
    lines = [f"{key} = {json.dumps(value)}" for key, value in plain.items()]
    for name, table in values.items():
        if isinstance(table, dict):
            lines += [f"[{name}]", *(f"{key} = {_toml(value)}" for key, value in table.items())]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {_toml(item)}" for key, item in value.items()) + " }"
    return json.dumps(value)


def run_python(code: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Starts Python on some code, with the package as this process has it and one thread."""
    own = {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path), **environment}
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, **own},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
