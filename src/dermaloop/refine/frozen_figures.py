"""What champion and challenger measure on the frozen set, each as an evaluation: for the eyes of whoever decides.

Owns the two files of the evidence, in the form of a bundle's own `evaluation.json`, so that the page of models shows
both on the same pictures with intervals and curves. Refuses to judge: the gates do, on paired answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dermaloop import __version__
from dermaloop.core.bundle import Bundle
from dermaloop.core.manifest import Manifest
from dermaloop.evaluation import bootstrap
from dermaloop.evaluation.rows import Rows
from dermaloop.evaluation.section import measure_section
from dermaloop.refine.compared import Compared
from dermaloop.refine.feedback_report import write_json

CHAMPION, CHALLENGER = "evaluation-champion.json", "evaluation-challenger.json"


def write(folder: Path, both: Compared, bundles: Sequence[Bundle], frozen: Manifest, *, resamples: int) -> None:
    """Writes both files.

    Args:
        folder: Of the evidence.
        both: Champion and challenger on the frozen set.
        bundles: Theirs, in that order.
        frozen: The frozen set.
        resamples: Of patients or lesions, for the intervals.
    """
    sides = zip((CHAMPION, CHALLENGER), bundles, (both.champion, both.challenger), strict=True)
    for name, bundle, rows in sides:
        write_json(folder / name, _evaluation(bundle, rows, both.attributes, frozen, resamples))


def _evaluation(
    bundle: Bundle, rows: Rows, attributes: Mapping[str, Sequence[str]], frozen: Manifest, resamples: int
) -> dict[str, Any]:
    spec = bundle.spec
    readable = np.isfinite(rows.malignant_probability)
    kept = rows.select(readable)
    groups = {
        name: [v for v, keep in zip(values, readable, strict=True) if keep] for name, values in attributes.items()
    }
    section = measure_section(
        kept,
        spec.operating_points,
        [()] * len(kept),
        groups,
        default_point=spec.default_operating_point,
        unreadable=int((~readable).sum()),
        resamples=resamples,
    )
    return {
        "schema": 1,
        "kind": "dermaloop evaluation",
        "dermaloop": __version__,
        "bundle": {"identity": bundle.identity, "default_operating_point": spec.default_operating_point},
        "manifest": {"sha256": frozen.identity(), "rows": len(frozen)},
        "resamples": resamples,
        "interval": f"{100 * bootstrap.LEVEL:.0f} % bootstrap, resampled by patient, else lesion",
        "sections": [{"split": "frozen", "source": None, **section}],
    }
