"""How often the gates refuse a challenger that is no other model: one network, calibrated twice.

Owns one simulation: the same network is given its temperature, thresholds and ambiguous band twice, from two draws of
lesions that it was not trained on, and the one is judged against the other by the plan. What is refused then is refused
by the luck of the calibration alone: what any turn has against it before anything was learnt. By the number of lesions
it says how many a calibration needs before the gates mean what they say.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dermaloop.core import calibrated
from dermaloop.core.bundle import Bundle
from dermaloop.core.manifest import Manifest
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
    bundle: Bundle, unseen: Manifest, frozen: Manifest, said: Rows, plan: ReadPlan, *, sizes: tuple[int, ...],
    draws: int, seed: int,
) -> list[dict[str, Any]]:  # fmt: skip
    """Judges a network against itself, so many times for each number of lesions to calibrate on.

    Args:
        bundle: Whose network.
        unseen: Pictures that it was not trained on, from which the lesions are drawn with replacement.
        frozen: The frozen set.
        said: What the bundle says of that; what it declines for other reasons than doubt is declined here too.
        plan: With the gates, and how a bundle is packaged.
        sizes: Numbers of lesions.
        draws: How often, for each.
        seed: Of the draws.
    """
    fitted_on, judged_on = _raw(bundle, unseen), _raw(bundle, frozen)
    candidates = np.array([[code in found for code in CLASSES] for found in unseen.candidate_sets()])
    bad = np.asarray(candidates[:, [code in MALIGNANT for code in CLASSES]].any(axis=1))
    groups = group_index(unseen.groups())
    members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    gate, rng = bundle.spec.gate, np.random.default_rng(seed)
    doubted = (said.malignant_probability >= gate.ambiguous_low) & (said.malignant_probability < gate.ambiguous_high)
    otherwise = ~said.assessed & ~doubted
    how = plan.recipe.package

    def calibrated_on(drawn: NDArray[np.int64]) -> Rows:
        fitted = calibration.fit(fitted_on.logits[drawn], candidates[drawn])
        risk = calibrated.malignant_probability(calibrated.probabilities(fitted_on.logits[drawn], fitted), CLASSES)
        point = choose("again", risk, bad[drawn], groups[drawn], how.sensitivity[0], resamples=20)
        band = ambiguous_band(
            risk, bad[drawn], threshold=point.threshold, alpha=how.ambiguous_alpha, largest_share=how.ambiguous_share
        )
        probability = calibrated.probabilities(judged_on.logits, fitted)
        now = calibrated.malignant_probability(probability, CLASSES)
        assessed = ~otherwise & ~((now >= band.low) & (now < band.high))
        return replace(
            said, probability=probability, malignant_probability=now, threshold=point.threshold, assessed=assessed
        )

    found = []
    for size in sizes:
        refused: Counter[str] = Counter()
        malignant, declined, sensitivity = [], [], []
        for _ in range(draws):
            drawn = [_drawn(members, bad, size, rng) for _ in range(2)]
            first, second = both = [calibrated_on(rows) for rows in drawn]
            gates = performance_gates(first, second, frozen, plan)
            failed = [one["name"] for one in gates if one["passed"] is not True]
            refused.update([*failed, *(["any"] if failed else [])])
            malignant += [int(bad[rows].sum()) for rows in drawn]
            declined += [float(1 - rows.assessed.mean()) for rows in both]
            sensitivity += [float(rows.refer[rows.y_malignant].mean()) for rows in both]
        found.append({
            "lesions": size, "malignant_pictures": round(float(np.mean(malignant))), "draws": draws,
            "refused": dict(sorted(refused.items())), "declined_deviation": float(np.std(declined)),
            "sensitivity_deviation": float(np.std(sensitivity)), "sensitivity": float(np.mean(sensitivity)),
        })  # fmt: skip
    return found


def _drawn(
    members: list[NDArray[np.int64]], bad: NDArray[np.bool_], size: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Rows of so many lesions, with malignant and benign ones among them."""
    while True:
        rows = np.concatenate([members[k] for k in rng.integers(0, len(members), size)])
        if 0 < bad[rows].sum() < len(rows):
            return rows


def _raw(bundle: Bundle, rows: Manifest) -> Raw:
    items = zip(rows.image_paths(), rows.column("pixel_aspect"), strict=True)
    return raw_many(Session(bundle, threads=1), (Item(path.name, path, aspect) for path, aspect in items), threads=1)
