"""How often the gates refuse a challenger that is no other model, and how often one that is truly worse.

Owns two simulations. One network is given its temperature, thresholds and ambiguous band twice, from two draws of
lesions that it was not trained on, and the one is judged against the other by the plan. What is refused then is refused
by the luck of the calibration alone: what any turn has against it before anything was learnt. By the number of lesions
it says how many a calibration needs before the gates mean what they say. And the same with noise added to the second
one's logits, on all pictures: it ranks lesions worse by a known cause, and a gate that lets it pass has no power. A
margin is fit to be agreed on where it refuses few of the first and most of the second.

Thresholds are chosen anew or kept as the plan says (`training.operating_points`).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dermaloop.core import calibrated
from dermaloop.core.bundle import Bundle, Calibration, OperatingPoint
from dermaloop.core.manifest import Manifest
from dermaloop.core.taxonomy import MALIGNANT, Diagnosis
from dermaloop.evaluation import calibration
from dermaloop.evaluation.bootstrap import group_index
from dermaloop.evaluation.operating_point import ambiguous_band, choose, keep
from dermaloop.evaluation.rows import Rows
from dermaloop.inference.classifier import Item, Raw, raw_many
from dermaloop.inference.session import Session
from dermaloop.refine.plan import ReadPlan
from loopstudy.asides import performance_gates

CLASSES = tuple(Diagnosis)
NOISE = 1.0
"""Standard deviation of the noise that makes a network worse: in the study a loss of 0.04 in AUC."""


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

    Returns:
        For each number of lesions what refused an equal network, and under `worse` what refused one made worse.
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
    keeps = plan.plan.training.operating_points == "keep"

    def calibrated_on(drawn: NDArray[np.int64], outputs: Outputs, former: tuple[Fitted, Outputs] | None) -> Fitted:
        fitted = calibration.fit(outputs.unseen[drawn], candidates[drawn])
        risk = _risk(outputs.unseen[drawn], fitted)
        point = choose("again", risk, bad[drawn], groups[drawn], how.sensitivity[0], resamples=100)
        if former is not None and keeps:
            before = _risk(former[1].unseen[drawn], former[0].fitted)
            point = keep(
                former[0].point, before, point, risk, bad[drawn], groups[drawn], how.sensitivity[0], resamples=200
            )
        band = ambiguous_band(
            risk, bad[drawn], threshold=point.threshold, alpha=how.ambiguous_alpha, largest_share=how.ambiguous_share
        )
        probability = calibrated.probabilities(outputs.judged, fitted)
        now = calibrated.malignant_probability(probability, CLASSES)
        assessed = ~otherwise & ~((now >= band.low) & (now < band.high))
        rows = replace(
            said, probability=probability, malignant_probability=now, threshold=point.threshold, assessed=assessed
        )
        return Fitted(fitted, point, rows)

    def judged(size: int, noise: float) -> dict[str, Any]:
        refused: Counter[str] = Counter()
        malignant, declined, sensitivity, lost = [], [], [], []
        for _ in range(draws):
            drawn = [_drawn(members, bad, size, rng) for _ in range(2)]
            plain = Outputs(fitted_on.logits, judged_on.logits)
            other = Outputs(*(_noisy(logits, noise, rng) for logits in plain)) if noise else plain
            first = calibrated_on(drawn[0], plain, None)
            second = calibrated_on(drawn[1], other, (first, plain))
            gates = performance_gates(first.rows, second.rows, frozen, plan)
            failed = [one["name"] for one in gates if one["passed"] is not True]
            refused.update([*failed, *(["any"] if failed else [])])
            malignant += [int(bad[rows].sum()) for rows in drawn]
            declined += [float(1 - one.rows.assessed.mean()) for one in (first, second)]
            sensitivity += [float(one.rows.refer[said.y_malignant].mean()) for one in (first, second)]
            lost += [one["measured"] for one in gates if one["name"] == "auc" and one["measured"] is not None]
        return {
            "lesions": size, "malignant_pictures": round(float(np.mean(malignant))), "draws": draws,
            "refused": dict(sorted(refused.items())), "declined_deviation": float(np.std(declined)),
            "sensitivity_deviation": float(np.std(sensitivity)), "sensitivity": float(np.mean(sensitivity)),
            "auc_change": float(np.mean(lost)) if lost else None,
        }  # fmt: skip

    return [{**judged(size, 0.0), "worse": judged(size, NOISE)} for size in sizes]


class Outputs(NamedTuple):
    """A network's logits, float32 (N, K): of the pictures to calibrate on, and of the frozen set."""

    unseen: NDArray[np.float32]
    judged: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Fitted:
    """A network as it was calibrated once, and what it then says of the frozen set."""

    fitted: Calibration
    point: OperatingPoint
    rows: Rows


def _risk(logits: NDArray[np.float32], fitted: Calibration) -> NDArray[np.float64]:
    return calibrated.malignant_probability(calibrated.probabilities(logits, fitted), CLASSES)


def _noisy(logits: NDArray[np.float32], noise: float, rng: np.random.Generator) -> NDArray[np.float32]:
    return logits + rng.normal(0.0, noise, logits.shape).astype(np.float32)


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
