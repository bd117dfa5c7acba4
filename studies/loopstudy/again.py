"""How often the gates refuse a challenger that is no other model: the champion, calibrated again.

Owns one simulation: the same network, its temperature, thresholds and ambiguous band fitted to a resample of the
patients that it was calibrated on, judged against itself by the plan. What is refused then is refused by the luck of
the calibration split alone: the least that a turn has against it before anything was learnt.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dermaloop.core import calibrated
from dermaloop.core.bundle import Bundle
from dermaloop.core.manifest import Manifest, Split
from dermaloop.core.taxonomy import MALIGNANT, Diagnosis
from dermaloop.evaluation import calibration
from dermaloop.evaluation.bootstrap import group_index
from dermaloop.evaluation.operating_point import ambiguous_band, choose
from dermaloop.evaluation.rows import Rows
from dermaloop.inference.classifier import Item, Raw, raw_many
from dermaloop.inference.session import Session
from dermaloop.refine.plan import ReadPlan
from loopstudy.asides import performance_gates

CLASSES = tuple(Diagnosis)


def same_network(
    bundle: Bundle, base: Manifest, frozen: Manifest, said: Rows, plan: ReadPlan, *, draws: int, seed: int
) -> dict[str, Any]:
    """Judges a bundle against itself, calibrated again, so many times.

    Args:
        bundle: The champion.
        base: What it was calibrated on is the split of that name.
        frozen: The frozen set.
        said: What it says of that.
        plan: With the gates, and how a bundle is packaged.
        draws: How often.
        seed: Of the resamples.
    """
    rows = base.where(split=Split.CALIBRATION)
    fitted_on, judged_on = _raw(bundle, rows), _raw(bundle, frozen)
    candidates = np.array([[code in found for code in CLASSES] for found in rows.candidate_sets()])
    bad = np.asarray(candidates[:, [code in MALIGNANT for code in CLASSES]].any(axis=1))
    groups = group_index(rows.groups())
    members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    gate, rng = bundle.spec.gate, np.random.default_rng(seed)
    own = (said.malignant_probability >= gate.ambiguous_low) & (said.malignant_probability < gate.ambiguous_high)
    otherwise = ~said.assessed & ~own
    refused: Counter[str] = Counter()
    changes, sensitivity = [], []
    how = plan.recipe.package
    for _ in range(draws):
        drawn = _resampled(members, bad, rng)
        fitted = calibration.fit(fitted_on.logits[drawn], candidates[drawn])
        risk = calibrated.malignant_probability(calibrated.probabilities(fitted_on.logits[drawn], fitted), CLASSES)
        point = choose("again", risk, bad[drawn], groups[drawn], how.sensitivity[0], resamples=20)
        band = ambiguous_band(
            risk, bad[drawn], threshold=point.threshold, alpha=how.ambiguous_alpha, largest_share=how.ambiguous_share
        )
        probability = calibrated.probabilities(judged_on.logits, fitted)
        now = calibrated.malignant_probability(probability, CLASSES)
        assessed = ~otherwise & ~((now >= band.low) & (now < band.high))
        again = replace(
            said, probability=probability, malignant_probability=now, threshold=point.threshold, assessed=assessed
        )
        failed = [one["name"] for one in performance_gates(said, again, frozen, plan) if one["passed"] is not True]
        refused.update([*failed, *(["any"] if failed else [])])
        changes.append(float(said.assessed.mean() - assessed.mean()))
        sensitivity.append(float(again.refer[again.y_malignant].mean()))
    return {
        "draws": draws,
        "refused": dict(sorted(refused.items())),
        "declined_change_deviation": float(np.std(changes)),
        "sensitivity_range": [float(value) for value in np.quantile(sensitivity, [0.025, 0.975])],
        "calibrated_on": {"lesions": len(members), "malignant": int(bad.sum())},
    }


def _resampled(members: list[NDArray[np.int64]], bad: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.int64]:
    """Rows of as many patients, drawn with replacement; with malignant and benign ones among them."""
    while True:
        drawn = np.concatenate([members[k] for k in rng.integers(0, len(members), len(members))])
        if 0 < bad[drawn].sum() < len(drawn):
            return drawn


def _raw(bundle: Bundle, rows: Manifest) -> Raw:
    items = zip(rows.image_paths(), rows.column("pixel_aspect"), strict=True)
    return raw_many(Session(bundle, threads=1), (Item(path.name, path, aspect) for path, aspect in items), threads=1)
