"""Conformal p-values: uniform while nothing changes, by definition and by simulation."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest

from dermaloop.monitoring.ranks import conformal_p, word_p


def by_definition(values, ties):
    """One at a time, as the textbook says."""
    found = []
    for place, value in enumerate(values):
        if np.isnan(value):
            found.append(np.nan)
            continue
        past = [one for one in values[: place + 1] if not np.isnan(one)]
        below, equal = sum(one < value for one in past), sum(one == value for one in past)
        found.append((below + ties[place] * equal) / len(past))
    return np.asarray(found)


@given(st.lists(st.one_of(st.integers(0, 4).map(float), st.just(np.nan)), max_size=40), st.integers(0, 9))
def test_the_ranks_are_those_of_the_definition_ties_and_gaps_included(values, seed):
    ties = np.random.default_rng(seed).random(len(values))
    np.testing.assert_allclose(conformal_p(np.asarray(values), ties), by_definition(values, ties))


def test_blocks_do_not_change_the_ranks():
    rng = np.random.default_rng(1)
    values, ties = rng.integers(0, 50, 700).astype(float), rng.random(700)
    np.testing.assert_allclose(conformal_p(values, ties), by_definition(values, ties))


def test_they_are_uniform_and_independent_whatever_the_distribution():
    rng = np.random.default_rng(2)
    for values in (rng.lognormal(size=4000), rng.integers(0, 2, 4000).astype(float)):
        p = conformal_p(values, rng.random(4000))
        assert kstest(p, "uniform").pvalue > 0.01
        assert abs(np.corrcoef(p[:-1], p[1:])[0, 1]) < 0.05


def test_a_new_word_is_rare_and_the_usual_one_is_not():
    words = np.asarray([0] * 50 + [1] * 5)
    p = word_p(words, np.full(55, 0.5))
    assert (p[50:] < 0.1).all()
    assert (p[1:50] == 0.5).all()


def test_words_are_uniform_too():
    rng = np.random.default_rng(3)
    p = word_p(rng.choice(4, 4000, p=[0.6, 0.3, 0.08, 0.02]), rng.random(4000))
    assert kstest(p, "uniform").pvalue > 0.01
