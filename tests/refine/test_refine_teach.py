"""The cases that teach most: uncertain ones, and not the same one many times over."""

import numpy as np

from dermaloop.refine.teach import margins, rank


def unit(rows):
    rows = np.asarray(rows, dtype=np.float64)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_the_margin_is_between_the_two_likeliest():
    found = margins(np.array([[0.5, 0.3, 0.2], [0.1, 0.8, 0.1], [0.4, 0.4, 0.2]]))
    assert np.allclose(found, [0.2, 0.7, 0.0])
    assert len(margins(np.zeros((0, 3)))) == 0


def test_the_certain_are_left_out_and_copies_are_not_asked_twice():
    features = unit([[1, 0, 0]] * 5 + [[0, 1, 0]] * 2 + [[0, 0, 1]])
    margin = np.array([0.01, 0.01, 0.01, 0.01, 0.01, 0.05, 0.06, 0.9])
    chosen = rank(margin, features, np.zeros((0, 3)), wanted=2)
    assert chosen == [0, 5], "the least certain, then the one that differs; never the certain one"


def test_what_is_known_already_teaches_less():
    features = unit([[1, 0, 0], [0, 1, 0]])
    known = unit([[1, 0, 0.01]])
    assert rank(np.array([0.0, 0.2]), features, known, wanted=1) == [1]


def test_no_more_than_there_are_and_the_same_each_time():
    rng = np.random.default_rng(0)
    features, margin = unit(rng.normal(size=(30, 4))), rng.random(30)
    chosen = rank(margin, features, np.zeros((0, 4)), wanted=50)
    assert sorted(chosen) == list(range(30))
    assert chosen == rank(margin, features, np.zeros((0, 4)), wanted=50)
    assert rank(margin[:0], features[:0], np.zeros((0, 4)), wanted=5) == []
    assert rank(margin, features, np.zeros((0, 4)), wanted=0) == []
