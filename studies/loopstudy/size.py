"""How large the study is: one record for the study itself and one for its test, and nothing else differs.

Owns the numbers of pictures and steps. The network, its pictures and the number of steps are as small as one processor
core asks for; every margin and every rule is that of `recipes/plan.toml`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Size:
    """The sizes of a study.

    Attributes:
        seed: Of the division, the flips and the trainings.
        nevi: Share of the naevi that take part.
        most_lesions: At most so many lesions of each diagnosis; 0: all.
        frozen: Share of the lesions that are held out, of common and of rare diagnoses.
        base: Share of the others that the first champion is made of, of common and of rare diagnoses.
        months: Months of nothing but the clinic's own cases; the poisoned one and the one with another source follow.
        last_month: Weight of the last month's own cases against another month's.
        foreign: Cases of the other source in the last month.
        foreign_test: Pictures of the other source that are held out.
        network: Of all trainings.
        start: What the first champion and the ceiling start from.
        champion_steps: Of the first champion.
        ceiling_steps: Of the training on everything at once.
        turn_steps: Of a challenger.
        batch: Pictures of a step.
        train_px: Side of the training pictures.
        cache_px: Side of the stored training pictures.
        evaluate_px: Side of the bundle's input.
        resamples: Of the bootstraps of the study's own figures.
        draws: How often one network is calibrated twice and judged against itself, for each number of lesions.
        calibrated_on: Those numbers; the first is the first champion's own.
        required_gates: Instead of the plan's own; empty: those.
        plan: What the plan has otherwise than `recipes/plan.toml`, by table and key.
    """

    seed: int = 5
    nevi: float = 0.5
    most_lesions: int = 0
    frozen: tuple[float, float] = (0.25, 0.3)
    base: tuple[float, float] = (0.5, 0.1)
    months: int = 6
    last_month: float = 1.4
    foreign: int = 250
    foreign_test: int = 500
    network: str = "mobilenetv2_100"
    start: str = "mobilenetv2_100.safetensors"
    champion_steps: int = 800
    ceiling_steps: int = 1000
    turn_steps: int = 120
    batch: int = 32
    train_px: int = 128
    cache_px: int = 160
    evaluate_px: int = 160
    resamples: int = 2000
    draws: int = 40
    calibrated_on: tuple[int, ...] = (267, 800, 2400)
    required_gates: tuple[str, ...] = ()
    plan: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def poisoned(self) -> int:
        """Number of the poisoned month."""
        return self.months + 1

    @property
    def last(self) -> int:
        """Number of the month in which the other source comes."""
        return self.months + 2


FULL = Size()

SMOKE = Size(
    nevi=1.0,
    most_lesions=14,
    frozen=(0.25, 0.25),
    base=(0.55, 0.4),
    months=1,
    foreign=6,
    foreign_test=8,
    network="test_efficientnet",
    start="",
    champion_steps=2,
    ceiling_steps=2,
    turn_steps=2,
    batch=4,
    train_px=32,
    cache_px=40,
    evaluate_px=32,
    resamples=100,
    draws=2,
    calibrated_on=(8,),
    required_gates=("frozen_set", "auc", "sensitivity", "specificity", "brier", "declined"),
    plan={
        "feedback": {"least_lesions": 2, "train": 0.6, "validation": 0.2, "calibration": 0.1, "test": 0.1},
        "gates": {
            "least_malignant": 2, "least_benign": 2, "auc_margin": 0.9, "sensitivity_margin": 0.9,
            "specificity_margin": 0.9, "brier_margin": 0.9, "calibration_error": 0.9, "subgroup_least": 1,
            "subgroup_margin": 0.9, "stress_pictures": 0, "declined_margin": 0.9, "latency_ratio": 50.0,
            "size_ratio": 3.0, "resamples": 100, "new_cases_least": 1,
        },
    },
)  # fmt: skip
"""For the test: a few dozen pictures, two steps a training. Its figures mean nothing."""
