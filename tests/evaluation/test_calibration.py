import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dermaloop.core.calibrated import probabilities
from dermaloop.core.errors import ManifestError
from dermaloop.evaluation import calibration

CLASSES = 8


def distorted(n=6000, seed=0):
    """Labels drawn from known probabilities, and logits that are those distorted by temperature and bias."""
    rng = np.random.default_rng(seed)
    true_logits = rng.normal(scale=1.5, size=(n, CLASSES))
    probability = np.exp(true_logits) / np.exp(true_logits).sum(axis=1, keepdims=True)
    labels = (probability.cumsum(axis=1) > rng.random((n, 1))).argmax(axis=1)
    bias = np.linspace(-1, 1, CLASSES)
    return ((true_logits - bias) * 2.5).astype(np.float32), np.eye(CLASSES, dtype=bool)[labels], probability, bias


def negative_log_likelihood(fitted, logits, candidates):
    return -np.log((probabilities(logits, fitted) * candidates).sum(axis=1)).mean()


def test_it_finds_the_temperature_and_the_bias():
    logits, candidates, probability, bias = distorted()
    fitted = calibration.fit(logits, candidates, fitted_on="drawn")
    assert fitted.temperature == pytest.approx(2.5, rel=0.06)
    np.testing.assert_allclose(fitted.bias, bias - bias.mean(), atol=0.15)
    assert np.abs(probabilities(logits, fitted) - probability).mean() < 0.01
    assert fitted.fitted_on == "drawn"


def test_the_bias_has_mean_zero():
    logits, candidates, _, _ = distorted(500)
    assert sum(calibration.fit(logits, candidates).bias) == pytest.approx(0, abs=1e-9)


def test_it_is_the_best_nearby():
    logits, candidates, _, _ = distorted(3000, seed=1)
    fitted = calibration.fit(logits, candidates)
    best = negative_log_likelihood(fitted, logits, candidates)
    rng = np.random.default_rng(0)
    for _ in range(20):
        nearby = fitted.model_copy(
            update={"bias": tuple(np.asarray(fitted.bias) + rng.normal(scale=0.1, size=CLASSES))}
        )
        assert negative_log_likelihood(nearby, logits, candidates) > best - 1e-3


def test_coarse_labels_alone_calibrate_what_they_say():
    logits, candidates, _, _ = distorted(seed=2)
    coarse = np.where(candidates[:, :1], np.eye(1, CLASSES, dtype=bool), ~np.eye(1, CLASSES, dtype=bool))
    fitted = calibration.fit(logits, coarse)
    probability = probabilities(logits, fitted)[:, 0]
    truth = candidates[:, 0]
    for low, high in ((0, 0.1), (0.1, 0.3), (0.3, 0.6), (0.6, 1)):
        inside = (probability >= low) & (probability < high)
        assert truth[inside].mean() == pytest.approx(probability[inside].mean(), abs=0.05)


def test_labels_that_say_nothing_change_nothing():
    logits, candidates, _, _ = distorted(600)
    said = candidates.copy()
    extra = np.concatenate([np.ones((50, CLASSES), dtype=bool), np.zeros((50, CLASSES), dtype=bool)])
    with_silent = calibration.fit(np.concatenate([logits, logits[:100]]), np.concatenate([said, extra]))
    assert with_silent.temperature == pytest.approx(calibration.fit(logits, said).temperature)


def test_a_class_of_few_cases_keeps_its_bias():
    logits, candidates, _, _ = distorted(2000, seed=3)
    rare = np.flatnonzero(candidates[:, 5])[3:]
    keep = np.ones(2000, dtype=bool)
    keep[rare] = False  # three cases left of a class that the model expects often
    assert abs(calibration.fit(logits[keep], candidates[keep]).bias[5]) < 3.0


@given(st.integers(0, 1000))
@settings(max_examples=10, deadline=None)
def test_a_weight_of_zero_leaves_the_row_out(seed):
    logits, candidates, _, _ = distorted(400, seed=seed)
    keep = np.random.default_rng(seed).random(400) < 0.7
    weighted = calibration.fit(logits, candidates, keep.astype(float) * 3)
    assert weighted.temperature > 0
    # The prior counts as one case, so the two differ by no more than it can move.
    alone = calibration.fit(logits[keep], candidates[keep])
    assert weighted.temperature == pytest.approx(alone.temperature, rel=0.02)


def test_it_never_worsens_the_likelihood_it_is_fitted_on():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(300, CLASSES)).astype(np.float32)  # a model without any skill
    candidates = np.eye(CLASSES, dtype=bool)[rng.integers(0, CLASSES, 300)]
    untouched = calibration.Calibration(temperature=1.0, bias=(0.0,) * CLASSES, fitted_on="")
    fitted = calibration.fit(logits, candidates)
    assert negative_log_likelihood(fitted, logits, candidates) < negative_log_likelihood(untouched, logits, candidates)
    assert fitted.temperature > 3  # it learned to say little


def test_without_labels_it_says_so():
    with pytest.raises(ManifestError, match="no row has a label to calibrate on"):
        calibration.fit(np.zeros((3, CLASSES), np.float32), np.ones((3, CLASSES), dtype=bool))
