"""Two models at one specificity: thresholds fall out, and what is left is the networks."""

import numpy as np
import pytest
from sklearn.metrics import roc_curve

from dermaloop.evaluation.matched import Curve, sensitivity_difference


def two_models(n=600, *, noise=0.0, seed=0, lesions=2):
    """(truth, the first model's values, the second's: the first's blurred by noise, groups)."""
    rng = np.random.default_rng(seed)
    groups = np.arange(n) // lesions
    y_true = (rng.random(n) < 0.3)[groups * lesions]
    first = rng.normal(size=n) + 1.8 * y_true
    return y_true, first, first + noise * rng.normal(size=n), groups


def test_a_model_against_itself_differs_by_nothing_wherever_it_works():
    y_true, first, _, groups = two_models()
    for threshold in (-9.0, -0.5, 0.3, 1.7, 9.0):
        found = sensitivity_difference(y_true, first, first, groups, threshold=threshold, resamples=200)
        assert (found.value, found.low, found.high) == (0.0, 0.0, 0.0)


def test_the_scale_of_the_second_model_and_so_its_threshold_make_no_difference():
    y_true, first, second, groups = two_models(noise=0.5)
    one = sensitivity_difference(y_true, first, second, groups, threshold=0.3, resamples=200)
    other = sensitivity_difference(y_true, first, np.exp(3 * second) - 7, groups, threshold=0.3, resamples=200)
    assert one == other
    assert one.value < 0


@pytest.mark.parametrize("decimals", [9, 0], ids=["no ties", "ties"])
def test_it_is_read_off_the_roc_curve(decimals):
    y_true, first, second, _ = two_models(noise=0.4)
    second = second.round(decimals)
    for threshold in (-0.5, 0.3, 1.7):
        referred = first >= threshold
        rate, sensitivity, _ = roc_curve(y_true, second, drop_intermediate=False)
        wanted = referred[~y_true].mean()
        at = np.flatnonzero(rate <= wanted + 1e-12)[-1]  # the upper end where it rises straight up
        share = (wanted - rate[at]) / (rate[at + 1] - rate[at]) if rate[at] < wanted - 1e-12 else 0.0
        expected = sensitivity[at] + share * (sensitivity[min(at + 1, len(rate) - 1)] - sensitivity[at])
        found = Curve(y_true, second, referred).at(np.ones((1, len(y_true))))[0]
        assert found == pytest.approx(expected, abs=1e-9)


def test_weights_are_repeated_rows():
    y_true, first, second, _ = two_models(200, noise=0.4)
    drawn = np.random.default_rng(3).integers(0, 200, 200)
    weights = np.bincount(drawn, minlength=200)[None].astype(float)
    repeated = Curve(y_true[drawn], second[drawn], (first >= 0.3)[drawn]).at(np.ones((1, 200)))
    assert Curve(y_true, second, first >= 0.3).at(weights) == pytest.approx(repeated, abs=0.02)


def test_nothing_is_said_of_one_class_alone():
    _, first, second, groups = two_models(60)
    for some in (np.zeros(60, dtype=bool), np.ones(60, dtype=bool)):
        assert np.isnan(sensitivity_difference(some, first, second, groups, threshold=0.3, resamples=100).low)


def test_the_interval_holds_the_truth_as_often_as_it_says():
    """Over drawn cohorts; the truth is that of a cohort of a hundred thousand."""
    y_true, first, second, groups = two_models(100_000, noise=0.6, seed=1)
    truth = sensitivity_difference(y_true, first, second, groups, threshold=0.6, resamples=2).value
    assert truth < -0.02
    held = 0
    for seed in range(60):
        cohort = two_models(400, noise=0.6, seed=100 + seed)
        found = sensitivity_difference(*cohort, threshold=0.6, resamples=200, seed=seed)
        held += found.low <= truth <= found.high
    assert held >= 52, "57 are expected"
