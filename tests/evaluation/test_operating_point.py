import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dermaloop.core.errors import ManifestError
from dermaloop.evaluation import operating_point


def scored(n=600, seed=0, prevalence=0.3):
    rng = np.random.default_rng(seed)
    y_malignant = rng.random(n) < prevalence
    y_malignant[:2] = [True, False]
    probability = 1 / (1 + np.exp(-(rng.normal(size=n) + 2.0 * y_malignant - 1)))
    return probability, y_malignant, [f"patient {i // 3}" for i in range(n)]


@given(st.integers(0, 10_000), st.sampled_from([0.5, 0.8, 0.9, 0.95, 1.0]), st.integers(5, 200))
@settings(max_examples=60, deadline=None)
def test_it_reaches_the_target_and_no_higher_threshold_does(seed, target, n):
    probability, y_malignant, groups = scored(n, seed)
    point = operating_point.choose("p", probability, y_malignant, groups, target, resamples=20)
    assert point.sensitivity >= target - 1e-12
    higher = np.unique(probability[probability > point.threshold])
    if len(higher) > 1:
        assert np.mean(probability[y_malignant] >= higher[1]) < target
    refer = probability >= point.threshold
    assert point.sensitivity == pytest.approx(refer[y_malignant].mean())
    assert point.specificity == pytest.approx((~refer)[~y_malignant].mean())


def test_nineteen_of_twenty_are_enough_for_95_percent():
    probability = np.concatenate([np.linspace(0.5, 0.9, 20), np.linspace(0.1, 0.4, 20)])
    y_malignant = np.arange(40) < 20
    point = operating_point.choose("p", probability, y_malignant, np.arange(40), 0.95)
    assert point.sensitivity == 0.95
    assert point.specificity == 1.0
    assert point.specificity_interval[0] == pytest.approx(0.8316, abs=1e-3)  # exact, 20 of 20


def test_the_threshold_lies_between_cases_so_that_rounding_changes_no_decision():
    probability, y_malignant, groups = scored()
    point = operating_point.choose("p", probability, y_malignant, groups)
    rounded = probability.astype(np.float32).astype(np.float64)
    assert ((rounded >= point.threshold) == (probability >= point.threshold)).all()
    assert np.abs(probability - point.threshold).min() > 0


def test_it_says_what_it_rests_on():
    probability, y_malignant, groups = scored()
    point = operating_point.choose("sensitive", probability, y_malignant, groups, 0.9, measured_on="drawn, calibration")
    assert (point.name, point.target, point.measured_on) == ("sensitive", "sensitivity >= 0.9", "drawn, calibration")
    assert (point.n_malignant, point.n_benign) == (y_malignant.sum(), (~y_malignant).sum())
    for value, (low, high) in (
        (point.sensitivity, point.sensitivity_interval),
        (point.specificity, point.specificity_interval),
    ):
        assert low < value < high


@pytest.mark.parametrize("kind", [True, False])
def test_one_class_only_is_refused(kind):
    with pytest.raises(ManifestError, match=r"there is no (malignant|benign) row"):
        operating_point.choose("p", np.array([0.2, 0.4]), np.array([kind, kind]), ["a", "b"])


@given(st.integers(0, 10_000), st.sampled_from([0.5, 0.8, 0.95]), st.sampled_from([0.3, 0.6, 0.8, 1.0]))
@settings(max_examples=60, deadline=None)
def test_the_band_is_around_the_threshold_and_moderate(seed, target, alpha):
    probability, y_malignant, groups = scored(200, seed)
    threshold = operating_point.choose("p", probability, y_malignant, groups, target, resamples=10).threshold
    band = operating_point.ambiguous_band(probability, y_malignant, threshold=threshold, alpha=alpha)
    assert 0 <= band.low <= threshold <= band.high <= 1
    assert band.share <= 0.15
    assert band.share == pytest.approx(np.mean((probability >= band.low) & (probability < band.high)))


def test_the_band_leaves_the_promised_share_of_errors_on_new_pictures():
    probability, y_malignant, groups = scored(40_000, seed=1)
    threshold = operating_point.choose("p", probability, y_malignant, groups, 0.9, resamples=10).threshold
    for alpha in (0.5, 0.8):
        band = operating_point.ambiguous_band(
            probability, y_malignant, threshold=threshold, alpha=alpha, largest_share=1.0
        )
        new, truth, _ = scored(40_000, seed=2)
        missed, missed_before = np.mean(new[truth] < band.low), np.mean(new[truth] < threshold)
        needless, needless_before = np.mean(new[~truth] >= band.high), np.mean(new[~truth] >= threshold)
        assert missed == pytest.approx(alpha * missed_before, rel=0.1)
        assert needless == pytest.approx(alpha * needless_before, rel=0.1)


def test_a_smaller_alpha_declines_more():
    probability, y_malignant, groups = scored(5000)
    threshold = operating_point.choose("p", probability, y_malignant, groups, 0.9, resamples=10).threshold
    shares = [
        operating_point.ambiguous_band(
            probability, y_malignant, threshold=threshold, alpha=alpha, largest_share=1.0
        ).share
        for alpha in (1.0, 0.8, 0.5, 0.2)
    ]
    assert shares == sorted(shares)
    assert shares[0] < 0.02
    assert shares[-1] > 0.2


def test_without_errors_nothing_is_ambiguous():
    probability = np.concatenate([np.full(30, 0.9), np.full(30, 0.1)])
    band = operating_point.ambiguous_band(probability, np.arange(60) < 30, threshold=0.5)
    assert band.share == 0


def test_a_model_that_refers_every_benign_picture_still_gets_a_band():
    """All benign cases are errors then, and the order statistic lies beyond the last of them."""
    probability = np.array([0.4] * 24 + [0.5] * 24)
    band = operating_point.ambiguous_band(probability, np.arange(48) < 24, threshold=0.2, largest_share=0.0)
    assert band.low == band.high == 0.2
