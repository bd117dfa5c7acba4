"""Validation figures: against scikit-learn, by source, and silent where nothing can be said."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from dermaloop.core.taxonomy import BENIGN, MALIGNANT, Diagnosis
from dermaloop.training.dataset import Targets
from dermaloop.training.validation import validation_scores

ORDER = list(Diagnosis)
BAD = np.array([diagnosis in MALIGNANT for diagnosis in ORDER])


def made(number=200, seed=0):
    rng = np.random.default_rng(seed)
    fine = rng.integers(0, 4, number)
    logits = rng.normal(size=(number, len(ORDER))) + 1.5 * np.eye(len(ORDER))[fine]
    probability = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    candidates = np.eye(len(ORDER), dtype=bool)[fine]
    sources = ["big" if i % 4 else "small" for i in range(number)]
    return probability.astype(np.float32), Targets(candidates, fine, sources), np.arange(number)


def test_the_figures_are_scikit_learns():
    probability, labels, index = made()
    found = validation_scores(probability, labels, index)
    sources = np.array(labels.sources)
    for source in ("big", "small"):
        of = sources == source
        risk, truth = probability[of][:, BAD].sum(axis=1), BAD[labels.fine[of]]
        assert found[f"malignant_auc/{source}"] == pytest.approx(roc_auc_score(truth, risk))
        melanoma = labels.fine[of] == ORDER.index("MEL")
        assert found[f"melanoma_auc/{source}"] == pytest.approx(roc_auc_score(melanoma, probability[of][:, 0]))
    big = sources == "big"
    each = [roc_auc_score(labels.fine[big] == k, probability[big][:, k]) for k in range(4)]
    assert found["macro_auc"] == pytest.approx(np.mean(each))
    chosen = probability[big].argmax(axis=1)
    with np.errstate(all="ignore"):
        recalls = [(chosen[labels.fine[big] == k] == k).mean() for k in range(4)]
    assert found["balanced_accuracy"] == pytest.approx(np.mean(recalls))
    seen = np.isin(chosen, range(4))
    assert balanced_accuracy_score(labels.fine[big][seen], chosen[seen]) >= found["balanced_accuracy"]
    parts = [found["malignant_auc/big"], found["malignant_auc/small"], found["macro_auc"]]
    assert found["validation_score"] == pytest.approx(np.mean(parts))


def test_order_does_not_matter():
    probability, labels, index = made()
    shuffled = np.random.default_rng(1).permutation(len(index))
    again = validation_scores(probability[shuffled], labels, index[shuffled])
    assert again == pytest.approx(validation_scores(probability, labels, index))


def test_coarse_labels_count_for_malignancy_and_mixed_ones_for_nothing():
    probability, _, index = made(60)
    truth = np.arange(60) % 2 == 0
    candidates = np.where(truth[:, None], BAD, ~BAD)
    coarse = Targets(candidates, np.full(60, -1), ["only"] * 60)
    found = validation_scores(probability, coarse, index)
    risk = probability[:, BAD].sum(axis=1)
    assert found == pytest.approx(
        {"malignant_auc/only": roc_auc_score(truth, risk), "validation_score": roc_auc_score(truth, risk)}
    )
    mixed = Targets(np.ones((60, len(ORDER)), dtype=bool), np.full(60, -1), ["only"] * 60)
    assert validation_scores(probability, mixed, index) == {"validation_score": 0.5}
    assert len(BENIGN) + len(MALIGNANT) == len(ORDER)


def test_too_few_of_a_side_say_nothing():
    probability, labels, index = made(12)
    few = Targets(labels.candidates, np.array([0] * 4 + [1] * 8), ["only"] * 12)
    few = Targets(np.eye(len(ORDER), dtype=bool)[few.fine], few.fine, few.sources)
    found = validation_scores(probability, few, index)
    assert "malignant_auc/only" not in found
    assert "melanoma_auc/only" not in found
    assert "macro_auc" in found
