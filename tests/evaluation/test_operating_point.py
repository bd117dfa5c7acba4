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


def following(n=900, *, seed=0, shift=0.0):
    """A model before with its point, and one after it that ranks nearly alike, on another scale."""
    former, y_malignant, groups = scored(n, seed)
    logit = np.log(former / (1 - former))
    after = 1 / (1 + np.exp(-(0.7 * logit + shift + 0.2 * np.random.default_rng(seed + 1).normal(size=n))))
    point = operating_point.choose("p", former, y_malignant, groups, 0.95, resamples=100)
    return point, former, after, y_malignant, groups


def test_a_point_is_kept_at_the_specificity_of_the_model_before():
    point, former, after, y_malignant, groups = following()
    anew = operating_point.choose("p", after, y_malignant, groups, 0.95, resamples=100)
    kept = operating_point.keep(point, former, anew, after, y_malignant, groups, 0.95, resamples=100)
    assert kept.target == "sensitivity >= 0.95, kept from the model before"
    assert kept.specificity == pytest.approx(point.specificity, abs=1.5 / 600)
    assert kept.specificity == pytest.approx(np.mean(after[~y_malignant] < kept.threshold))
    assert kept.sensitivity == pytest.approx(np.mean(after[y_malignant] >= kept.threshold))
    assert (kept.name, kept.n_malignant) == (anew.name, anew.n_malignant)


@pytest.mark.parametrize("target", [0.7, 0.995])
def test_a_point_is_chosen_anew_where_the_cases_speak_against_the_one_before(target):
    point, former, after, y_malignant, groups = following()
    anew = operating_point.choose("p", after, y_malignant, groups, target, resamples=100)
    assert operating_point.keep(point, former, anew, after, y_malignant, groups, target, resamples=100) is anew


def test_a_kept_point_moves_less_than_one_chosen_anew():
    """A network that did not change, on fresh calibration cases: how far its sensitivity moves from what it was."""
    everybody, truth, _ = scored(20_000, 99)
    moved = {"kept": 0.0, "anew": 0.0}
    for seed in range(30):
        former, y_former, groups = scored(300, 100 + seed)
        point = operating_point.choose("p", former, y_former, groups, 0.95, resamples=20)
        probability, y_malignant, groups = scored(300, 200 + seed)
        anew = operating_point.choose("p", probability, y_malignant, groups, 0.95, resamples=100)
        kept = operating_point.keep(point, probability, anew, probability, y_malignant, groups, 0.95, resamples=100)
        was = np.mean(everybody[truth] >= point.threshold)
        for name, one in (("kept", kept), ("anew", anew)):
            moved[name] += abs(np.mean(everybody[truth] >= one.threshold) - was)
    assert moved["kept"] < 0.7 * moved["anew"]


@pytest.mark.parametrize("specificity", [0.0, 0.5, 0.9, 1.0])
def test_a_matched_threshold_has_at_least_that_specificity_and_the_next_lower_has_not(specificity):
    probability, y_malignant, _ = scored(200)
    threshold = operating_point.matched_threshold(probability, y_malignant, specificity)
    assert np.mean(probability[~y_malignant] < threshold) >= specificity
    benign = probability[~y_malignant & (probability < threshold)]
    if len(benign):
        assert np.mean(probability[~y_malignant] < benign.max()) < specificity or specificity == 0.0
