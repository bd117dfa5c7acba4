import numpy as np
import pytest
from sklearn import metrics as reference

from dermaloop.evaluation import decisions

RNG = np.random.default_rng(5)
Y_CLASS, SUGGESTED = RNG.integers(0, 5, 150), RNG.integers(0, 5, 150)
Y_TRUE, PROBABILITY = RNG.random(150) < 0.3, RNG.random(150)
WEIGHTS = RNG.integers(1, 4, (4, 150)).astype(float)


def each(function):
    return [function(weights) for weights in WEIGHTS]


def test_accuracies_agree_with_scikit_learn():
    np.testing.assert_allclose(
        decisions.accuracy_score(Y_CLASS, SUGGESTED, WEIGHTS),
        each(lambda w: reference.accuracy_score(Y_CLASS, SUGGESTED, sample_weight=w)),
    )
    np.testing.assert_allclose(
        decisions.balanced_accuracy_score(Y_CLASS, SUGGESTED, WEIGHTS),
        each(lambda w: reference.balanced_accuracy_score(Y_CLASS, SUGGESTED, sample_weight=w)),
    )


def test_confusion_agrees_with_scikit_learn():
    np.testing.assert_allclose(
        decisions.confusion_counts(Y_CLASS, SUGGESTED, 5, WEIGHTS),
        each(lambda w: reference.confusion_matrix(Y_CLASS, SUGGESTED, sample_weight=w)),
    )


def test_shares_at_a_threshold_agree_with_scikit_learn():
    refer = PROBABILITY >= 0.6
    for ours, theirs in (
        (decisions.sensitivity_score, lambda w: reference.recall_score(Y_TRUE, refer, sample_weight=w)),
        (decisions.specificity_score, lambda w: reference.recall_score(~Y_TRUE, ~refer, sample_weight=w)),
        (decisions.positive_predictive_score, lambda w: reference.precision_score(Y_TRUE, refer, sample_weight=w)),
        (decisions.negative_predictive_score, lambda w: reference.precision_score(~Y_TRUE, ~refer, sample_weight=w)),
    ):
        np.testing.assert_allclose(ours(Y_TRUE, refer, WEIGHTS), each(theirs))


def test_net_benefit_by_hand():
    # Two of three referred at 0.25; one cancer found, one needless: 1/3 - 1/3 * (1/4)/(3/4).
    y_true, probability = np.array([True, False, False]), np.array([0.9, 0.25, 0.1])
    found = decisions.net_benefit(y_true, probability, np.array([0.25]), np.ones((1, 3)))
    assert found[0, 0] == pytest.approx(1 / 3 - 1 / 9)


def test_referring_everybody_is_worth_nothing_at_the_prevalence():
    prevalence = np.array([Y_TRUE.mean()])
    found = decisions.net_benefit(Y_TRUE, np.ones(150), prevalence, np.ones((1, 150)))
    assert found[0, 0] == pytest.approx(0.0)


def test_risk_falls_to_zero_when_only_the_unsure_are_wrong():
    sureness = np.arange(100.0)
    wrong = sureness < 20
    risk = decisions.risk_coverage(wrong, sureness, np.array([0.5, 0.8, 1.0]), np.ones((1, 100)))[0]
    np.testing.assert_allclose(risk, [0.0, 0.0, 0.2])


def test_equally_sure_rows_share_their_error():
    wrong = np.array([True, False, True, False])
    risk = decisions.risk_coverage(wrong, np.ones(4), np.array([0.25, 0.5, 1.0]), np.ones((1, 4)))[0]
    np.testing.assert_allclose(risk, [0.5, 0.5, 0.5])


def test_risk_over_coverage_counts_a_weight_as_repetition():
    wrong, sureness = Y_CLASS != SUGGESTED, PROBABILITY
    counts = WEIGHTS[0].astype(int)
    repeated = decisions.risk_coverage_area(
        np.repeat(wrong, counts), np.repeat(sureness, counts), np.ones((1, counts.sum()))
    )
    np.testing.assert_allclose(decisions.risk_coverage_area(wrong, sureness, WEIGHTS)[0], repeated[0])


def test_nothing_referred_has_no_predictive_value():
    none = np.zeros(150, dtype=bool)
    assert np.isnan(decisions.positive_predictive_score(Y_TRUE, none, WEIGHTS)).all()
    assert decisions.sensitivity_score(Y_TRUE, none, WEIGHTS).tolist() == [0.0] * 4
