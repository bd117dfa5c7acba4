import numpy as np
import pytest
from scipy import stats

from dermaloop.evaluation import bootstrap, ranking


def drawn(groups, resamples=200, seed=0):
    return np.concatenate(list(bootstrap.resampled_weights(bootstrap.group_index(groups), resamples, seed)))


def test_whole_groups_are_drawn():
    groups = np.repeat(np.arange(30), 4)
    weights = drawn(groups)
    by_group = weights.reshape(200, 30, 4)
    assert (by_group == by_group[:, :, :1]).all()
    assert (weights.sum(axis=1) == 120).all()
    assert weights.std() > 0.5  # they do differ


def test_same_seed_same_resamples_whatever_the_chunking(monkeypatch):
    groups = np.arange(50)
    whole = drawn(groups)
    monkeypatch.setattr(bootstrap, "_CHUNK_NUMBERS", 50 * 7)
    np.testing.assert_array_equal(whole, drawn(groups))
    assert not np.array_equal(whole, drawn(groups, seed=1))


def test_grouping_widens_the_interval():
    rng = np.random.default_rng(0)
    lesion = rng.normal(size=60)
    value = np.repeat(lesion, 5)  # five equal pictures of each lesion say no more than one
    y_true = np.repeat(rng.random(60) < 0.5 + 0.2 * np.sign(lesion), 5)

    def width(groups):
        estimate, resampled = bootstrap.replicates(
            bootstrap.group_index(groups), {"auc": lambda w: ranking.auc_score(y_true, value, w)}, 500
        )["auc"]
        low, high = bootstrap.interval(float(estimate), resampled)
        return high - low

    assert width(np.repeat(np.arange(60), 5)) > 1.7 * width(np.arange(300))


def test_the_interval_agrees_with_scipy():
    values = np.random.default_rng(0).gamma(2.0, size=150)
    mean = {"mean": lambda w: w @ values / w.sum(axis=1)}
    estimate, resampled = bootstrap.replicates(np.arange(150), mean, 4000)["mean"]
    for kind in ("percentile", "basic"):
        expected = stats.bootstrap((values,), np.mean, n_resamples=4000, method=kind, rng=1).confidence_interval
        np.testing.assert_allclose(bootstrap.interval(float(estimate), resampled, kind), expected, atol=0.03)


def test_the_two_kinds_lean_to_opposite_sides():
    replicates = np.linspace(0.2, 0.4, 1001)  # all at or above an estimate of 0.2, as of a calibration error
    assert bootstrap.interval(0.2, replicates, "percentile") == pytest.approx((0.205, 0.395))
    assert bootstrap.interval(0.2, replicates, "basic") == pytest.approx((0.005, 0.195))
    assert bootstrap.interval(0.2, replicates + 0.2, "basic", lowest=0.0)[0] == 0.0


def test_it_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(7)
    hits = 0
    for trial in range(150):
        truth = rng.random(120) < 0.4
        value = rng.normal(size=120) + 1.2 * truth
        auc = {"auc": lambda w, t=truth, v=value: ranking.auc_score(t, v, w)}
        estimate, resampled = bootstrap.replicates(np.arange(120), auc, 200, seed=trial)["auc"]
        low, high = bootstrap.interval(float(estimate), resampled)
        hits += low <= stats.norm.cdf(1.2 / np.sqrt(2)) <= high
    assert 0.88 <= hits / 150 <= 0.99


@pytest.mark.parametrize(("share", "low", "high"), [(1.0, 0.6915, 1.0), (0.0, 0.0, 0.3085)])
def test_a_share_of_all_or_none_gets_the_exact_interval(share, low, high):
    found = bootstrap.interval(share, np.full(100, share), cases=10)
    assert found == pytest.approx((low, high), abs=1e-4)
    exact = stats.binomtest(int(10 * share), 10).proportion_ci(0.95, method="exact")
    assert found == pytest.approx((exact.low, exact.high))


def test_no_interval_where_most_resamples_lack_a_class():
    replicates = np.full(100, np.nan)
    replicates[:40] = 0.5
    assert np.isnan(bootstrap.interval(0.5, replicates)).all()
    replicates[:60] = 0.5
    assert bootstrap.interval(0.5, replicates) == (0.5, 0.5)
