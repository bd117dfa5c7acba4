"""Whether confirmations can be believed: labels that fit no picture, contributors out of line, pictures used twice.

Owns the three checks; each is a pure function of arrays and ids. What they find is held back until a lead has looked:
they may be wrong, and so they never delete and never relabel. Refuses to know records.

The label check is confident learning on cross-validated logistic regression over a bundle's embeddings: see
docs/adr/0038. The trade-off: the embeddings come from the model that is to be corrected, so a mistake that it shares
with the label is not seen.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

_LEAST_OF_A_CLASS = 3
"""A class with fewer examples has no look that a label could be held against."""
_MAJORITY = 0.5
"""A class likelier than all others together is believed, also where its own examples usually get more: else half the
wrong labels of a class that is easily told would fall below its mean."""
_ENOUGH_NEW = 10
"""From so many new examples on, they alone say how likely a class usually is: trusted examples have often been trained
on, and look more like themselves than new ones can."""


@dataclass(frozen=True, eq=False)
class LabelCheck:
    """What the label check found, by new row (N).

    Attributes:
        probability: float64 (N, K), what each picture looks like, by examples other than itself and its patient.
        likelier: int64 (N,), the class that confident learning would expect in place of the given one; else -1.
        suspect: bool (N,), those of them that are likelier by enough to hold the row back.
    """

    probability: Floats
    likelier: Ints
    suspect: Bools


def out_of_sample(
    features: Floats,
    labels: Ints,
    groups: Ints,
    reference: Floats,
    reference_labels: Ints,
    *,
    classes: int,
    folds: int,
    seed: int = 0,
    silent: Bools | None = None,
) -> tuple[Floats, Floats]:
    """What each picture looks like when it and its patient are left out.

    Args:
        features: float64 (N, D), of the new pictures.
        labels: int64 (N,), in [0, classes).
        groups: int64 (N,), patients; a patient's pictures are left out together.
        reference: float64 (M, D), examples whose labels are trusted, e.g. a bundle's; may be empty.
        reference_labels: int64 (M,).
        classes: K.
        folds: Parts that the groups are dealt into.
        seed: Of the dealing.
        silent: bool (N,), rows that are asked about but teach nothing; None: every row teaches.

    Returns:
        Probabilities of the new pictures (N, K) and of the reference (M, K); rows sum to 1. A class without an example
        has 0.
    """
    rng = np.random.default_rng(seed)
    unique, inverse = np.unique(groups, return_inverse=True)
    fold_of_group = rng.permutation(len(unique)) % folds
    fold = fold_of_group[inverse.reshape(-1)] if len(unique) else np.zeros(0, dtype=np.int64)
    reference_fold = rng.permutation(len(reference)) % folds
    found, of_reference = np.zeros((len(features), classes)), np.zeros((len(reference), classes))
    teaches = np.ones(len(features), dtype=bool) if silent is None else ~silent
    for number in range(folds):
        mine, theirs = fold != number, reference_fold != number
        x = np.concatenate([features[mine & teaches], reference[theirs]])
        y = np.concatenate([labels[mine & teaches], reference_labels[theirs]])
        if len(np.unique(y)) < 2:  # noqa: PLR2004 - nothing to tell apart
            continue
        scaler = StandardScaler().fit(x)
        model = LogisticRegression(C=0.1, max_iter=300)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # close enough for a question to a lead
            model.fit(scaler.transform(x), y)
        for target, rows, chosen in ((found, features, ~mine), (of_reference, reference, ~theirs)):
            if chosen.any():
                target[np.ix_(chosen, model.classes_)] = model.predict_proba(scaler.transform(rows[chosen]))
    return found, of_reference


def check_labels(
    probability: Floats,
    labels: Ints,
    reference: Floats,
    reference_labels: Ints,
    *,
    least_gap: float,
    doubted_before: Bools | None = None,
) -> LabelCheck:
    """Confident learning: a label is doubted where another class is as likely as that class usually is.

    A class's threshold is the mean probability that its own examples get for it, at most a half. A picture belongs,
    with confidence, to the likeliest class whose threshold it reaches; where that is not the given one, the label is
    doubted. It is suspect only where that class is also likelier than the given one by `least_gap`.

    Args:
        probability: float64 (N, K), from `out_of_sample`.
        labels: int64 (N,), as confirmed.
        reference: float64 (M, K), of trusted examples, for the thresholds.
        reference_labels: int64 (M,).
        least_gap: In [0, 1].
        doubted_before: bool (N,), rows that say nothing of how likely their class usually is; None: none.

    Source: Northcutt, Jiang & Chuang 2021, "Confident learning: estimating uncertainty in dataset labels",
    doi:10.1613/jair.1.12125, equations 1 and 2.
    """
    n, k = probability.shape
    threshold = np.full(k, np.inf)
    counts = np.ones(n, dtype=bool) if doubted_before is None else ~doubted_before
    for code in range(k):
        own = probability[(labels == code) & counts, code]
        if len(own) < _ENOUGH_NEW:
            own = np.concatenate([own, reference[reference_labels == code, code]])
        if len(own) >= _LEAST_OF_A_CLASS:
            threshold[code] = min(_MAJORITY, own.mean())
    confident = np.where(probability >= threshold, probability, -1.0)
    likeliest = confident.argmax(axis=1) if n else np.zeros(0, dtype=np.int64)
    doubted = (confident.max(axis=1, initial=-1.0) > 0) & (likeliest != labels)
    gap = probability[np.arange(n), likeliest] - probability[np.arange(n), labels]
    return LabelCheck(probability, np.where(doubted, likeliest, -1), doubted & (gap >= least_gap))


def find_label_errors(
    features: Floats,
    labels: Ints,
    groups: Ints,
    reference: Floats,
    reference_labels: Ints,
    *,
    classes: int,
    folds: int,
    least_gap: float,
    seed: int = 0,
    rejected: Bools | None = None,
) -> LabelCheck:
    """Labels that do not fit their pictures, in two rounds: in the second, what the first doubted teaches nothing.

    Arguments as for `out_of_sample` and `check_labels`; rows `rejected` by a lead, bool (N,), teach nothing in either.
    The second round is what cleanlab calls pruning and learning
    anew: wrong labels make the first one's probabilities timid, and a fifth of wrong ones would hide a quarter of
    themselves.
    """
    silent = np.zeros(len(labels), dtype=bool) if rejected is None else rejected
    checked = LabelCheck(np.zeros((0, classes)), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=bool))
    for _ in range(2):
        probability, of_reference = out_of_sample(
            features, labels, groups, reference, reference_labels,
            classes=classes, folds=folds, seed=seed, silent=silent,
        )  # fmt: skip
        checked = check_labels(
            probability, labels, of_reference, reference_labels, least_gap=least_gap, doubted_before=silent
        )
        silent = silent | (checked.likelier >= 0)
    return checked


@dataclass(frozen=True, slots=True)
class OutOfLine:
    """A contributor whose confirmations are doubted more often than the others'.

    Attributes:
        contributor: Who, by id.
        doubted: Of theirs.
        of: How many they made.
        doubted_others: Of the others'.
        of_others: How many the others made.
        p: Of Fisher's exact test, one-sided, corrected for the number of contributors.
    """

    contributor: str
    doubted: int
    of: int
    doubted_others: int
    of_others: int
    p: float


def check_contributors(
    contributors: Sequence[str], doubted: Sequence[bool], *, alpha: float, least: int
) -> list[OutOfLine]:
    """Who is out of line with the rest.

    Args:
        contributors: By confirmation (N).
        doubted: Whether each confirmation is doubted (N).
        alpha: Level of the whole test, whoever is looked at.
        least: Contributors with fewer confirmations are not looked at.

    Returns:
        Those out of line, the worst first. With one contributor there is no rest, and nothing is said.

    Source: Fisher's exact test; Holm 1979, "A simple sequentially rejective multiple test procedure".
    """
    made: dict[str, int] = defaultdict(int)
    bad: dict[str, int] = defaultdict(int)
    for who, is_doubted in zip(contributors, doubted, strict=True):
        made[who] += 1
        bad[who] += bool(is_doubted)
    total, all_bad = sum(made.values()), sum(bad.values())
    looked_at = []
    for who, count in made.items():
        others, others_bad = total - count, all_bad - bad[who]
        if count >= least and others >= least:
            table = [[bad[who], count - bad[who]], [others_bad, others - others_bad]]
            p = float(stats.fisher_exact(table, alternative="greater").pvalue)
            looked_at.append(OutOfLine(who, bad[who], count, others_bad, others, p))
    looked_at.sort(key=lambda one: (one.p, one.contributor))
    found: list[OutOfLine] = []
    highest = 0.0
    for place, one in enumerate(looked_at):
        highest = max(highest, min(1.0, one.p * (len(looked_at) - place)))
        if highest > alpha:
            break
        found.append(OutOfLine(one.contributor, one.doubted, one.of, one.doubted_others, one.of_others, highest))
    return found


def same_pictures(pairs: Sequence[tuple[int, int]], lesions: Sequence[str]) -> dict[int, frozenset[int]]:
    """Rows whose picture belongs to another lesion too, with the rows that it is shared with.

    Args:
        pairs: Rows that show the same.
        lesions: By row (N).
    """
    found: dict[int, set[int]] = defaultdict(set)
    for first, second in pairs:
        if lesions[first] != lesions[second]:
            found[first].add(second)
            found[second].add(first)
    return {row: frozenset(others) for row, others in sorted(found.items())}
