"""Validation figures: what a model is chosen by.

Owns figures that no threshold and no calibration changes (AUCs) and the score made of them. Refuses to know operating
points, intervals and the test split: those are the evaluation's.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from torch import nn
from torch.nn import functional

from dermaloop.core.taxonomy import MALIGNANT, Diagnosis
from dermaloop.training.augment import plain
from dermaloop.training.dataset import Pictures, Targets, loader

_LEAST = 5  # fewer cases of a side than this say nothing of an AUC


@torch.inference_mode()
def validate(module: nn.Module, pictures: Pictures, size_px: int, *, batch: int) -> dict[str, float]:
    """The figures of finished weights, in full precision: see `validation_scores`.

    Args:
        module: float (N, 3, S, S) in [0, 1] → logits (N, K); left in evaluation mode.
        pictures: All validation pictures.
        size_px: Side S.
        batch: Pictures per pass.
    """
    module.eval()
    device = next(module.parameters()).device
    parts = [
        functional.softmax(module(plain(part["picture"].to(device), size_px)).float(), dim=1).cpu()
        for part in loader(pictures, None, batch=batch, workers=0)
    ]
    return validation_scores(torch.cat(parts).numpy(), pictures.labels, np.arange(len(pictures)))


def validation_scores(probability: NDArray[np.float32], labels: Targets, index: NDArray[np.int64]) -> dict[str, float]:
    """Figures to choose a model by: AUCs, which no threshold or calibration changes.

    Args:
        probability: float (M, K).
        labels: Labels of all validation rows.
        index: (M,), the row of each prediction.

    Returns:
        By name: malignant and melanoma AUC by source, macro AUC over the fine labels of the largest source, and
        `validation_score`, the mean of the macro AUC and of each source's malignant AUC; 0.5 where nothing can be said.
    """
    classes = list(Diagnosis)
    candidates, fine = labels.candidates[index], labels.fine[index]
    sources = np.asarray(labels.sources)[index]
    bad = np.array([diagnosis in MALIGNANT for diagnosis in classes])
    is_bad, is_good = ~(candidates & ~bad).any(axis=1), ~(candidates & bad).any(axis=1)
    found: dict[str, float] = {}
    parts = []
    for source in sorted(set(sources.tolist())):
        known = (sources == source) & (is_bad | is_good)
        if min(is_bad[known].sum(), is_good[known].sum()) >= _LEAST:
            found[f"malignant_auc/{source}"] = float(
                roc_auc_score(is_bad[known], probability[known][:, bad].sum(axis=1))
            )
            parts.append(found[f"malignant_auc/{source}"])
        single = (sources == source) & (fine >= 0)
        melanoma = fine[single] == classes.index(Diagnosis.MEL)
        if min(melanoma.sum(), (~melanoma).sum()) >= _LEAST:
            found[f"melanoma_auc/{source}"] = float(
                roc_auc_score(melanoma, probability[single][:, classes.index(Diagnosis.MEL)])
            )
    if len(sources):
        names, counts = np.unique(sources, return_counts=True)
        largest = (sources == names[counts.argmax()]) & (fine >= 0)
        each = [
            roc_auc_score(fine[largest] == k, probability[largest][:, k])
            for k in range(len(classes))
            if 0 < (fine[largest] == k).sum() < largest.sum()
        ]
        if each:
            found["macro_auc"] = float(np.mean(each))
            parts.append(found["macro_auc"])
            chosen = probability[largest].argmax(axis=1)
            present = np.unique(fine[largest])
            found["balanced_accuracy"] = float(np.mean([(chosen[fine[largest] == k] == k).mean() for k in present]))
    found["validation_score"] = float(np.mean(parts)) if parts else 0.5
    return found
