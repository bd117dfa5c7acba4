import numpy as np
import pytest
from sklearn import metrics as reference
from sklearn.calibration import calibration_curve

from dermaloop.evaluation import reliability

RNG = np.random.default_rng(8)
PROBABILITY = RNG.random(400)
OUTCOME = RNG.random(400) < PROBABILITY
WEIGHTS = RNG.integers(1, 4, (3, 400)).astype(float)
ONES = np.ones((1, 400))


def test_brier_agrees_with_scikit_learn():
    expected = [reference.brier_score_loss(OUTCOME, PROBABILITY, sample_weight=w) for w in WEIGHTS]
    np.testing.assert_allclose(reliability.brier_error(OUTCOME, PROBABILITY, WEIGHTS), expected)


def test_multiclass_brier_of_two_classes_is_twice_the_binary_one():
    both = np.stack([1 - PROBABILITY, PROBABILITY], axis=1)
    np.testing.assert_allclose(
        reliability.multiclass_brier_error(OUTCOME.astype(np.int64), both, WEIGHTS),
        2 * reliability.brier_error(OUTCOME, PROBABILITY, WEIGHTS),
    )


@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
def test_bins_agree_with_scikit_learn(strategy):
    bins = (
        reliability.equal_width_bins(PROBABILITY, 10)
        if strategy == "uniform"
        else reliability.equal_count_bins(PROBABILITY, 10)
    )
    _, predicted, observed = reliability.by_bin(OUTCOME, PROBABILITY, bins, ONES)
    expected_observed, expected_predicted = calibration_curve(OUTCOME, PROBABILITY, n_bins=10, strategy=strategy)
    np.testing.assert_allclose(observed[0], expected_observed)
    np.testing.assert_allclose(predicted[0], expected_predicted)


def test_calibration_error_by_hand():
    # Bin one: predicted 0.1, none true: off by 0.1; bin two: predicted 0.8, half true: off by 0.3.
    probability, outcome = np.array([0.1, 0.1, 0.8, 0.8]), np.array([False, False, True, False])
    bins = reliability.equal_width_bins(probability, 2)
    error = reliability.expected_calibration_error(outcome, probability, bins, np.ones((1, 4)))
    assert error[0] == pytest.approx(0.2)


def test_a_calibrated_model_has_a_small_error_and_an_overconfident_one_a_large_one():
    rng = np.random.default_rng(1)
    probability = rng.random(20_000)
    outcome = rng.random(20_000) < probability
    weights = np.ones((1, 20_000))

    def error(said):
        return reliability.expected_calibration_error(outcome, said, reliability.equal_count_bins(said), weights)[0]

    assert error(probability) < 0.015
    assert error(np.clip(2 * probability - 0.5, 0, 1)) > 0.08


def test_equal_probabilities_share_a_bin():
    bins = reliability.equal_count_bins(np.array([0.2] * 50 + [0.7] * 3))
    assert len(set(bins[:50])) == 1
    assert bins[-1] != bins[0]


def test_the_ends_of_the_scale_are_in_the_outer_bins():
    assert reliability.equal_width_bins(np.array([0.0, 1.0]), 15).tolist() == [0, 14]
