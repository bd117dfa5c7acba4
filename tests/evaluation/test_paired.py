"""Differences of two models on the same pictures, against published numbers, definitions and simulations."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from dermaloop.evaluation import paired, ranking


def models(n=200, *, seed=1, better=0.0):
    rng = np.random.default_rng(seed)
    y_true = rng.random(n) < 0.3
    skill = rng.normal(size=n)
    first = skill + y_true + rng.normal(size=n)
    return y_true, first, skill + (1 + better) * y_true + rng.normal(size=n)


def test_tango_gives_the_published_interval():
    """Airway hyper-responsiveness before and after a transplantation, 1 and 7 discordant of 21: Fagerland et al. 2014,
    "Recommended tests and confidence intervals for paired binomial proportions", Statistics in Medicine 33, table IV:
    -0.517 to -0.026 for Tango's interval."""
    assert paired.tango_interval(7, 1, 21) == pytest.approx((-0.517, -0.026), abs=5e-4)
    assert paired.tango_interval(1, 7, 21) == pytest.approx((0.026, 0.517), abs=5e-4), "and its mirror image"


def test_tango_without_any_difference_still_has_a_width():
    """For no discordant pair the score interval is known in closed form: z² / (n + z²) on either side."""
    z2 = 1.959963984540054**2
    assert paired.tango_interval(0, 0, 50) == pytest.approx((-z2 / (50 + z2), z2 / (50 + z2)), abs=1e-6)


@given(st.integers(1, 60), st.data())
def test_tango_holds_the_estimate_and_stays_in_range(n, data):
    lost = data.draw(st.integers(0, n))
    gained = data.draw(st.integers(0, n - lost))
    low, high = paired.tango_interval(lost, gained, n)
    assert -1 <= low <= (gained - lost) / n <= high <= 1
    assert high > low
    assert paired.tango_interval(gained, lost, n) == pytest.approx((-high, -low), abs=1e-7)


def test_the_auc_difference_is_delongs_where_pictures_stand_alone():
    """By the definition: covariances of the placement values, computed pair by pair."""
    y_true, first, second = models()
    found = paired.auc_difference(y_true, first, second)
    kernels = []
    for value in (first, second):
        above = value[y_true][:, None] - value[~y_true][None, :]
        kernels.append((above > 0) + 0.5 * (above == 0))
    positive = np.cov(np.stack([kernel.mean(axis=1) for kernel in kernels]))
    negative = np.cov(np.stack([kernel.mean(axis=0) for kernel in kernels]))
    cov = positive / y_true.sum() + negative / (~y_true).sum()
    se = np.sqrt(cov[0, 0] + cov[1, 1] - 2 * cov[0, 1])
    assert found.value == pytest.approx(roc_auc_score(y_true, second) - roc_auc_score(y_true, first))
    assert (found.high - found.value) == pytest.approx(1.959963984540054 * se)
    assert (found.value - found.low) == pytest.approx(1.959963984540054 * se)


def test_the_auc_difference_agrees_with_the_bootstrap_by_patient():
    y_true, first, second = (np.repeat(values, 2) for values in models(150, seed=4))
    rng = np.random.default_rng(0)
    first, second = first + 0.2 * rng.normal(size=300), second + 0.2 * rng.normal(size=300)
    patients = np.repeat(np.arange(150), 2)
    exact = paired.auc_difference(y_true, first, second, patients)
    drawn = paired.metric_difference(
        lambda w: ranking.auc_score(y_true, first, w), lambda w: ranking.auc_score(y_true, second, w), patients
    )
    assert exact.value == pytest.approx(drawn.value)
    assert exact.high - exact.low == pytest.approx(drawn.high - drawn.low, rel=0.12)
    alone = paired.auc_difference(y_true, first, second)
    assert exact.high - exact.low > 1.2 * (alone.high - alone.low), "two pictures of a patient are not two witnesses"


def test_the_interval_covers_as_often_as_it_says():
    """Two equally good models, 400 times: no difference lies outside about 5 % of the intervals."""
    outside = 0
    for seed in range(400):
        found = paired.auc_difference(*models(120, seed=seed))
        outside += not found.low <= 0 <= found.high
    assert 6 <= outside <= 34, "5 % of 400 is 20; beyond these is less likely than one in a thousand"


def test_shares_take_the_wider_of_two_intervals():
    same = np.ones(40, dtype=bool)
    found = paired.share_difference(same, same, np.arange(40))
    assert found.value == 0
    assert (found.low, found.high) == pytest.approx(paired.tango_interval(0, 0, 40))
    clustered = paired.share_difference(
        np.repeat([True, False] * 10, 10), np.repeat([False, True] * 10, 10), np.repeat(np.arange(20), 10)
    )
    low, high = paired.tango_interval(100, 100, 200)
    assert clustered.low < 2 * low, "twenty patients, not two hundred"
    assert clustered.high > 2 * high


def test_what_cannot_be_said_is_nan():
    y_true, first, second = models(30)
    assert np.isnan(paired.auc_difference(np.ones(30, dtype=bool), first, second).value)
    assert np.isnan(paired.auc_difference(y_true, first, second, np.zeros(30, dtype=np.int64)).low)
    nothing = paired.share_difference(y_true[:0], y_true[:0], np.zeros(0, dtype=np.int64))
    assert nothing.n == 0
    assert np.isnan(nothing.value)


def test_a_better_model_is_seen():
    found = paired.auc_difference(*models(600, seed=2, better=1.0))
    assert found.low > 0
    assert found.second > found.first
