"""Made-up predictions with labels, for tests of metrics."""

from __future__ import annotations

from typing import Any

import numpy as np

from dermaloop.core.taxonomy import Diagnosis
from dermaloop.evaluation.bootstrap import group_index
from dermaloop.evaluation.rows import Rows, from_labels

ANY_BUT_MELANOMA = frozenset(Diagnosis) - {Diagnosis.MEL}


def cohort(n: int = 300, *, seed: int = 0, skill: float = 1.5, coarse: int = 0, **overrides: Any) -> Rows:
    """Rows of a model of some skill; the first `coarse` labels say only melanoma or not. Two pictures per lesion.

    With `skill` of 1 and more its probabilities are the true ones (calibrated); below, it is overconfident.
    """
    rng = np.random.default_rng(seed)
    prevalence = np.array([0.15, 0.45, 0.1, 0.08, 0.12, 0.03, 0.03, 0.04])
    truth = rng.choice(len(Diagnosis), n, p=prevalence)
    logits = rng.normal(size=(n, len(Diagnosis))) + skill * np.eye(len(Diagnosis))[truth]
    if skill >= 1:  # the log-likelihood ratio of the shifted noise, and the prior
        logits = skill * logits + np.log(prevalence)
    probability = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = [frozenset({list(Diagnosis)[k]}) for k in truth]
    labels[:coarse] = [label if label == {Diagnosis.MEL} else ANY_BUT_MELANOMA for label in labels[:coarse]]
    groups = group_index([f"lesion {i // 2}" for i in range(n)])
    return from_labels(tuple(Diagnosis), probability, labels, groups, **{"threshold": 0.3, **overrides})
