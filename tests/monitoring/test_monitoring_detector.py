"""Bets are fair, and a detector that is looked at after every case keeps its rate of false alarms."""

import numpy as np
import pytest
from scipy.integrate import quad

from dermaloop.monitoring.detector import detect, mean_bets, rank_bets, stakes
from dermaloop.monitoring.ranks import conformal_p


def test_every_bet_on_ranks_is_fair_and_none_can_go_below_zero():
    for expert in range(rank_bets(np.asarray([0.5])).shape[-1]):
        value, _ = quad(lambda p, which=expert: float(rank_bets(np.asarray([p]))[0, which]), 0, 1, limit=200)
        assert value == pytest.approx(1, abs=2e-3)
        assert value <= 1 + 1e-6, "cutting off the extremes may only take away"
    assert (rank_bets(np.linspace(0, 1, 101)) >= 0).all()


@pytest.mark.parametrize("most", [0.02, 0.1, 0.5, 0.95])
def test_every_bet_on_a_mean_is_fair_at_the_limit_and_loses_below_it(most):
    both = mean_bets(np.asarray([0.0, 1.0]), most)
    assert (both >= 0).all()
    for mean in (most, most / 2, 0.0):
        expected = (1 - mean) * both[0] + mean * both[1]
        assert (expected <= 1 + 1e-12).all()
    np.testing.assert_allclose((1 - most) * both[0] + most * both[1], 1)


def test_what_is_unknown_bets_nothing():
    assert (rank_bets(np.asarray([np.nan])) == 1).all()
    assert (mean_bets(np.asarray([np.nan]), 0.1) == 1).all()


def test_a_year_lays_one_however_many_cases_it_has():
    assert stakes(np.linspace(0, 1, 11), 0).sum() == pytest.approx(1)
    assert stakes(np.linspace(0, 1, 1001), 0).sum() == pytest.approx(1)
    assert stakes(np.linspace(0, 1, 11), 5)[:5].sum() == 0


def test_the_sum_is_the_one_of_the_definition():
    """Shiryaev-Roberts: the sum over all starting points of the product of the factors since then."""
    rng = np.random.default_rng(4)
    factors, laid = rng.uniform(0.5, 1.6, (60, 3)), rng.uniform(0, 0.1, 60)
    direct = sum(laid[start] * factors[start:].prod(axis=0) for start in range(60)).mean()
    assert detect(factors, laid, 7.0).evidence[-1] == pytest.approx(direct / 7)


def test_the_rate_of_false_alarms_is_kept_when_it_is_looked_at_after_every_case():
    """150 unchanged years of 300 cases at a limit that allows 20 %: no more, beyond what chance can do."""
    rng = np.random.default_rng(5)
    allowed, years, alarms = 0.2, 150, 0
    at = np.linspace(0, 1, 301)[1:]
    for _ in range(years):
        values = rng.normal(size=300)
        trace = detect(rank_bets(conformal_p(values, rng.random(300))), stakes(at, 50), 1 / allowed)
        alarms += trace.alarm is not None
    spread = (allowed * (1 - allowed) / years) ** 0.5
    assert alarms / years <= allowed + 3 * spread
    assert alarms > 0, "a test that never alarms would show nothing"


def test_a_change_is_found_and_its_beginning_told():
    rng = np.random.default_rng(6)
    values = np.concatenate([rng.normal(size=300), rng.normal(1.5, size=200)])
    trace = detect(rank_bets(conformal_p(values, rng.random(500))), stakes(np.arange(500) / 1000, 100), 340.0)
    assert trace.alarm is not None
    assert 300 <= trace.alarm < 360
    assert trace.began == pytest.approx(300, abs=15)
    assert trace.evidence[299] < 1


def test_a_share_above_its_limit_is_found_and_one_below_is_not():
    rng = np.random.default_rng(7)
    at = np.arange(1000) / 1000
    high = detect(mean_bets((rng.random(1000) < 0.35).astype(float), 0.15), stakes(at, 0), 340.0)
    low = detect(mean_bets((rng.random(1000) < 0.05).astype(float), 0.15), stakes(at, 0), 340.0)
    assert high.alarm is not None
    assert high.alarm < 150
    assert low.alarm is None
    assert low.began is None


def test_evidence_does_not_overflow():
    trace = detect(np.full((5000, 2), 2.0), np.full(5000, 0.001), 340.0)
    assert np.isfinite(trace.evidence).all()
