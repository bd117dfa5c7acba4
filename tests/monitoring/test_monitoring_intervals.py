"""Confidence sequences hold after every case at once; a fixed-time interval would not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta

from dermaloop.monitoring.intervals import mean_sequence, share_sequence


@given(st.integers(0, 300), st.integers(0, 300))
def test_a_share_lies_in_its_sequence_and_both_sides_mirror(successes, failures):
    low, high = share_sequence(successes, successes + failures)
    other_low, other_high = share_sequence(failures, successes + failures)
    assert 0 <= low <= high <= 1
    if successes + failures:
        assert low <= successes / (successes + failures) <= high
    assert (low, high) == pytest.approx((1 - other_high, 1 - other_low), abs=1e-6)


def test_without_a_case_nothing_is_known():
    assert share_sequence(0, 0) == (0.0, 1.0)
    assert mean_sequence(np.empty(0)) == (-1.0, 1.0)


def test_a_share_is_held_at_all_times_where_a_fixed_interval_is_not():
    """150 streams of 100 cases, looked at after every one."""
    rng = np.random.default_rng(8)
    truth, streams, looks = 0.9, 150, range(5, 101)
    lost = lost_fixed = 0
    bounds = {}
    for _ in range(streams):
        counts = np.cumsum(rng.random(100) < truth)
        outside = outside_fixed = False
        for count in looks:
            good = int(counts[count - 1])
            if (good, count) not in bounds:
                fixed = beta.ppf([0.025, 0.975], [good, good + 1], [count - good + 1, count - good])
                bounds[good, count] = (share_sequence(good, count), np.nan_to_num(fixed, nan=1.0))
            sequence, fixed = bounds[good, count]
            outside |= not sequence[0] <= truth <= sequence[1]
            outside_fixed |= not fixed[0] <= truth <= fixed[1]
        lost, lost_fixed = lost + outside, lost_fixed + outside_fixed
    assert lost / streams <= 0.05 + 3 * (0.05 * 0.95 / streams) ** 0.5
    assert lost_fixed > 2 * lost, "Clopper and Pearson's interval, looked at daily, is lost far more often"


def test_a_mean_is_held_and_narrows():
    rng = np.random.default_rng(9)
    lost = 0
    for _ in range(40):
        values = rng.choice([-0.3, 0.1, 0.5], 200)
        spans = [mean_sequence(values[:count]) for count in (10, 40, 100, 200)]
        lost += any(not low - 1e-9 <= 0.1 <= high + 1e-9 for low, high in spans)
        assert spans[-1][1] - spans[-1][0] < spans[0][1] - spans[0][0]
    assert lost <= 40 * 0.05 + 3 * (40 * 0.05 * 0.95) ** 0.5
