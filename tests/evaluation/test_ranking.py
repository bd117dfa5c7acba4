import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from dermaloop.evaluation import ranking


@st.composite
def cases(draw):
    """Both classes, tied values, several weight vectors of at least 1 (scikit-learn warns of zero weights)."""
    n = draw(st.integers(2, 40))
    y_true = np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    y_true[:2] = [True, False]
    value = np.array(draw(st.lists(st.integers(0, 9), min_size=n, max_size=n))) / 9.0
    weights = draw(st.lists(st.lists(st.integers(1, 5), min_size=n, max_size=n), min_size=1, max_size=3))
    return y_true, value, np.array(weights, dtype=float)


def official_isic_2024(y_true, value, weights, least=0.8):
    """The challenge's own recipe: reverse both, scikit-learn's scaled partial AUC, and the scaling undone."""
    limit = 1 - least
    scaled = reference.roc_auc_score(~y_true, -value, max_fpr=limit, sample_weight=weights)
    return 0.5 * limit**2 + (limit - 0.5 * limit**2) / 0.5 * (scaled - 0.5)


@settings(deadline=None)
@given(cases())
def test_auc_agrees_with_scikit_learn(case):
    y_true, value, weights = case
    expected = [reference.roc_auc_score(y_true, value, sample_weight=w) for w in weights]
    np.testing.assert_allclose(ranking.auc_score(y_true, value, weights), expected, atol=1e-10)


@settings(deadline=None)
@given(cases())
def test_average_precision_agrees_with_scikit_learn(case):
    y_true, value, weights = case
    expected = [reference.average_precision_score(y_true, value, sample_weight=w) for w in weights]
    np.testing.assert_allclose(ranking.average_precision_score(y_true, value, weights), expected, atol=1e-10)


@settings(deadline=None)
@given(cases())
def test_partial_auc_agrees_with_the_challenge(case):
    y_true, value, weights = case
    expected = [official_isic_2024(y_true, value, w) for w in weights]
    np.testing.assert_allclose(ranking.partial_auc_score(y_true, value, weights), expected, atol=1e-10)


@settings(deadline=None)
@given(cases(), st.data())
def test_a_weight_of_zero_leaves_the_row_out(case, data):
    y_true, value, weights = case
    keep = np.array(data.draw(st.lists(st.booleans(), min_size=len(value), max_size=len(value))))
    for score in (ranking.auc_score, ranking.average_precision_score, ranking.partial_auc_score):
        left_out = score(y_true[keep], value[keep], weights[:, keep])
        np.testing.assert_allclose(score(y_true, value, weights * keep), left_out, atol=1e-10, equal_nan=True)


def test_macro_auc_agrees_with_scikit_learn():
    rng = np.random.default_rng(3)
    y_class = rng.integers(0, 4, 200)
    probability = rng.dirichlet(np.ones(4), 200)
    weights = rng.integers(1, 4, (3, 200)).astype(float)
    expected = [
        reference.roc_auc_score(y_class, probability, multi_class="ovr", average="macro", sample_weight=w)
        for w in weights
    ]
    np.testing.assert_allclose(ranking.macro_auc_score(y_class, probability, weights), expected, atol=1e-10)


def test_macro_auc_is_over_the_classes_present():
    probability = np.random.default_rng(0).dirichlet(np.ones(5), 60)
    y_class = np.arange(60) % 2  # classes 2, 3 and 4 do not occur
    expected = [reference.roc_auc_score(y_class == k, probability[:, k]) for k in (0, 1)]
    assert ranking.macro_auc_score(y_class, probability, np.ones((1, 60)))[0] == pytest.approx(np.mean(expected))


@pytest.mark.parametrize("score", [ranking.auc_score, ranking.average_precision_score, ranking.partial_auc_score])
@pytest.mark.parametrize("y_true", [[True, True], [False, False], []])
def test_one_class_only_is_nan(score, y_true):
    y_true = np.array(y_true, dtype=bool)
    result = score(y_true, np.linspace(0, 1, len(y_true)), np.ones((2, len(y_true))))
    assert np.isnan(result).tolist() == [True, True]


def test_a_resample_that_lost_a_class_is_nan_and_the_others_are_not():
    weights = np.array([[1.0, 1, 1], [1, 1, 0]])
    result = ranking.auc_score(np.array([False, False, True]), np.array([0.1, 0.2, 0.3]), weights)
    assert result[0] == 1.0
    assert np.isnan(result[1])


def test_roc_points_reach_the_corners_and_agree_with_scikit_learn():
    rng = np.random.default_rng(1)
    y_true, value = rng.random(100) < 0.4, np.round(rng.random(100), 1)
    false_rate, true_rate, _ = reference.roc_curve(y_true, value, drop_intermediate=False)
    wanted = np.linspace(0, 1, 21)
    expected = [true_rate[false_rate <= rate + 1e-12].max() for rate in wanted]
    found = ranking.roc_points(y_true, value, np.ones((1, 100)), wanted)[0]
    np.testing.assert_allclose(found, expected)
    assert found[-1] == 1.0
