"""Label errors, contributors out of line, shared pictures: found where planted, silent where there is nothing."""

import numpy as np
import pytest

from dermaloop.refine.checks import check_contributors, find_label_errors, same_pictures

K = 4


def cloud(n, *, flip=0.0, seed=0, spread=0.4):
    """Points around four corners with their labels, a share of them flipped: (features, truth, labels, groups)."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(K, size=n)
    features = 1.5 * np.eye(K)[truth] + spread * rng.normal(size=(n, K))
    wrong = rng.random(n) < flip
    labels = np.where(wrong, (truth + rng.integers(1, K, size=n)) % K, truth)
    return features, truth, labels, np.arange(n)


def run(features, labels, groups, *, gap=0.3, reference=None):
    ref, ref_labels = reference or (np.zeros((0, K)), np.zeros(0, dtype=np.int64))
    return find_label_errors(features, labels, groups, ref, ref_labels, classes=K, folds=5, least_gap=gap)


def test_planted_label_errors_are_found_and_right_ones_left_in_peace():
    features, truth, labels, groups = cloud(600, flip=0.2)
    suspect = run(features, labels, groups).suspect
    wrong = labels != truth
    assert suspect[wrong].mean() > 0.8
    assert suspect[~wrong].mean() < 0.05


def test_without_errors_few_are_suspect():
    features, _, labels, groups = cloud(600)
    assert run(features, labels, groups).suspect.mean() < 0.05


def test_trusted_examples_say_what_few_new_ones_cannot():
    features, truth, labels, groups = cloud(20, flip=0.3, seed=3)
    trusted, _, right, _ = cloud(400, seed=4)
    suspect = run(features, labels, groups, reference=(trusted, right)).suspect
    assert suspect[labels != truth].mean() >= 0.6
    assert suspect[labels == truth].mean() <= 0.15


def test_a_patients_other_pictures_do_not_vouch_for_a_label():
    """Sixty pictures of one mislabelled lesion: left out together, none can learn from another's mistake."""
    features, _, labels, groups = cloud(300, seed=1)
    features[:60], labels[:60], groups[:60] = 1.5 * np.eye(K)[0], 1, 0
    apart = run(features, labels, np.arange(300)).suspect[:60].mean()
    together = run(features, labels, groups).suspect[:60].mean()
    assert together == 1.0
    assert apart < together


def test_the_same_seed_gives_the_same_answer_and_little_data_is_no_error():
    features, _, labels, groups = cloud(80, flip=0.2)
    first, second = run(features, labels, groups), run(features, labels, groups)
    assert (first.probability == second.probability).all()
    assert not run(features[:1], labels[:1], groups[:1]).suspect.any()
    assert len(run(features[:0], labels[:0], groups[:0]).suspect) == 0
    assert not run(features[:9], np.zeros(9, dtype=np.int64), groups[:9]).suspect.any(), "one class only"


def test_a_contributor_out_of_line_is_found_and_the_others_are_not():
    who = ["ada"] * 100 + ["bob"] * 100 + ["eve"] * 40
    doubted = [n % 12 == 0 for n in range(200)] + [n % 3 == 0 for n in range(40)]
    (found,) = check_contributors(who, doubted, alpha=0.01, least=10)
    assert (found.contributor, found.doubted, found.of) == ("eve", 14, 40)
    assert (found.doubted_others, found.of_others) == (17, 200)
    assert found.p < 0.01


def test_the_correction_is_holms_on_fishers_exact_test():
    from scipy import stats  # noqa: PLC0415

    who = ["a"] * 20 + ["b"] * 20 + ["c"] * 60
    doubted = [n < 8 for n in range(20)] + [n < 6 for n in range(20)] + [n < 3 for n in range(60)]
    found = {one.contributor: one.p for one in check_contributors(who, doubted, alpha=0.99, least=10)}
    plain = {
        "a": stats.fisher_exact([[8, 12], [9, 71]], alternative="greater").pvalue,
        "b": stats.fisher_exact([[6, 14], [11, 69]], alternative="greater").pvalue,
    }
    assert found["a"] == pytest.approx(3 * plain["a"])
    assert found["b"] == pytest.approx(2 * plain["b"])


def test_equal_contributors_are_accused_as_rarely_as_the_level_says():
    rng = np.random.default_rng(0)
    accused = sum(
        bool(
            check_contributors(
                [str(n % 5) for n in range(300)], (rng.random(300) < 0.15).tolist(), alpha=0.05, least=10
            )
        )
        for _ in range(300)
    )
    assert accused <= 27, "5 % of 300 is 15; more is less likely than one in five hundred"


def test_one_contributor_alone_and_few_confirmations_say_nothing():
    assert check_contributors(["ada"] * 50, [True] * 50, alpha=0.01, least=10) == []
    assert check_contributors(["ada"] * 50 + ["eve"] * 9, [False] * 50 + [True] * 9, alpha=0.01, least=10) == []
    assert check_contributors([], [], alpha=0.01, least=10) == []


def test_shared_pictures_are_those_of_two_lesions():
    found = same_pictures([(0, 1), (1, 2), (3, 4)], ["a", "b", "b", "c", "c"])
    assert found == {0: frozenset({1}), 1: frozenset({0})}
