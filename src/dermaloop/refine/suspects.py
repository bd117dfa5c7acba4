"""The checks on what was gathered, by a bundle's eyes: what they find becomes flags on confirmations.

Owns how pictures become features, how doubts about pictures become doubts about confirmations, and the sentences that a
lead reads. Refuses to hold back and to decide: flags do (`cases.flags`), and leads.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dermaloop.cases.flags import Suspicion
from dermaloop.cases.words import FlagKind
from dermaloop.core import calibrated
from dermaloop.core.bundle import REFERENCES, Bundle
from dermaloop.core.manifest import Manifest
from dermaloop.core.taxonomy import ENTRIES, Diagnosis
from dermaloop.evaluation.bootstrap import group_index
from dermaloop.inference.classifier import Item, raw_many
from dermaloop.inference.session import Session
from dermaloop.inference.similar import References
from dermaloop.refine.checks import OutOfLine, check_contributors, find_label_errors, same_pictures
from dermaloop.refine.plan import Checks

CLASSES = tuple(Diagnosis)
_TINY = 1e-12
Judged = Mapping[str, Any]
"""A row of `gather.ROWS`: what a picture's label rests on."""


@dataclass(frozen=True, eq=False)
class Features:
    """Pictures and trusted examples in one space: directions, each of length 1.

    Attributes:
        new: float64 (N, D); zeros where a picture cannot be read.
        probability: float64 (N, K), what the bundle says, calibrated; NaN where a picture cannot be read.
        reference: float64 (M, D), the bundle's own examples.
        reference_labels: int64 (M,), index into the taxonomy.
    """

    new: NDArray[np.float64]
    probability: NDArray[np.float64]
    reference: NDArray[np.float64]
    reference_labels: NDArray[np.int64]


def features_of(bundle: Bundle, pictures: Iterable[Path | bytes], *, threads: int | None = None) -> Features:
    """What pictures look like to a bundle, beside its own examples.

    Args:
        bundle: Whose eyes.
        pictures: Files or their bytes.
        threads: Cores.
    """
    arrays = bundle.arrays(REFERENCES)
    vectors = np.asarray(arrays["vectors"], dtype=np.float64)
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    known = np.array([CLASSES.index(Diagnosis(str(code))) for code in arrays["diagnoses"]], dtype=np.int64)
    raw = raw_many(Session(bundle, threads=1), (Item("", picture) for picture in pictures), threads=threads)
    seen: NDArray[np.bool_] = np.asarray(np.isfinite(raw.logits).all(axis=1))
    new, probability = np.zeros((len(seen), vectors.shape[1])), np.full((len(seen), len(CLASSES)), np.nan)
    if seen.any():
        new[seen] = References(arrays).project(raw.embedding[seen], vectors.shape[1])
        columns = [CLASSES.index(code) for code in bundle.spec.classes]
        said = np.zeros((int(seen.sum()), len(CLASSES)))
        said[:, columns] = calibrated.probabilities(raw.logits[seen], bundle.spec.calibration)
        probability[seen] = said
    return Features(
        new, probability, vectors / np.maximum(length, _TINY), known[np.asarray(arrays["diagnosis_index"], np.int64)]
    )


@dataclass(frozen=True, eq=False)
class Found:
    """What the checks found.

    Attributes:
        suspicions: To be flagged.
        report: Counts and numbers, as JSON types.
    """

    suspicions: tuple[Suspicion, ...]
    report: dict[str, Any]


def find_suspects(
    bundle: Bundle,
    manifest: Manifest,
    rows: Sequence[Judged],
    pairs: Sequence[Sequence[int]],
    rules: Checks,
    *,
    seed: int = 0,
    threads: int | None = None,
) -> Found:
    """Looks for mistakes and poison among gathered rows.

    Args:
        bundle: The champion.
        manifest: The gathered rows (N), held-back ones among them.
        rows: What each row rests on (N).
        pairs: Rows that show the same picture.
        rules: Of the plan.
        seed: Of the cross-validation.
        threads: Cores.
    """
    features = features_of(bundle, manifest.image_paths(), threads=threads)
    labels = np.array([CLASSES.index(Diagnosis(code)) for code in manifest.column("diagnosis")], dtype=np.int64)
    checked = find_label_errors(
        features.new,
        labels,
        group_index(manifest.groups()),
        features.reference,
        features.reference_labels,
        classes=len(CLASSES),
        folds=rules.folds,
        least_gap=rules.least_gap,
        seed=seed,
        rejected=np.array([row["reason"] == "rejected" for row in rows], dtype=bool),
    )
    rows_of: dict[str, list[int]] = defaultdict(list)
    for number, row in enumerate(rows):
        rows_of[row["confirmation_id"]].append(number)
    found = [
        _label_suspicion(rows[number], checked.probability[number], int(labels[number]), int(checked.likelier[number]))
        for number in np.flatnonzero(checked.suspect).tolist()
    ]
    # A confirmation counts once, however many pictures it has: the doubted ones among them are no independent doubts.
    ids = list(rows_of)
    doubted = [any(checked.likelier[number] >= 0 for number in rows_of[each]) for each in ids]
    contributors = [rows[rows_of[each][0]]["contributor"] for each in ids]
    out = check_contributors(contributors, doubted, alpha=rules.contributor_alpha, least=rules.contributor_least)
    for one in out:
        theirs = [each for each, who in zip(ids, contributors, strict=True) if who == one.contributor]
        found += [_contributor_suspicion(each, one) for each in theirs]
    shared = same_pictures([(first, second) for first, second in pairs], [row["lesion_id"] for row in rows])
    found += [_same_suspicion(rows, labels, number, others) for number, others in shared.items()]
    report = {
        "rows": len(rows),
        "confirmations": len(ids),
        "doubted_confirmations": sum(doubted),
        "suspect_pictures": int(checked.suspect.sum()),
        "contributors": len(set(contributors)),
        "out_of_line": [
            {"doubted": one.doubted, "of": one.of, "others": one.doubted_others, "of_others": one.of_others,
             "p": float(f"{one.p:.3g}")}
            for one in out
        ],
        "shared_pictures": len(shared),
        "trusted_examples": len(features.reference),
        "bundle": bundle.identity,
    }  # fmt: skip
    return Found(tuple(found), report)


def _name(code: int) -> str:
    return ENTRIES[CLASSES[code]].name


def _label_suspicion(row: Judged, probability: NDArray[np.float64], given: int, likelier: int) -> Suspicion:
    return Suspicion(
        row["confirmation_id"],
        FlagKind.LABEL,
        row["image_id"],
        f"Confirmed as {_name(given)}, but the picture looks like {_name(likelier)}"
        f" ({probability[likelier]:.0%} against {probability[given]:.0%}, judged by other patients' pictures).",
        {
            "given": str(CLASSES[given]),
            "likelier": str(CLASSES[likelier]),
            "probability_given": round(float(probability[given]), 4),
            "probability_likelier": round(float(probability[likelier]), 4),
        },
    )


def _contributor_suspicion(confirmation_id: str, one: OutOfLine) -> Suspicion:
    return Suspicion(
        confirmation_id,
        FlagKind.CONTRIBUTOR,
        str(one.of),
        f"{one.doubted} of {one.of} confirmations written down by this person do not fit their pictures; of the"
        f" others' {one.doubted_others} of {one.of_others}. That is more than chance (p = {one.p:.2g}).",
        {"doubted": one.doubted, "of": one.of, "others": one.doubted_others, "of_others": one.of_others, "p": one.p},
    )


def _same_suspicion(
    rows: Sequence[Judged], labels: NDArray[np.int64], number: int, others: frozenset[int]
) -> Suspicion:
    rivals = [int(labels[other]) for other in sorted(others) if labels[other] != labels[number]]
    differ = f", and there it is confirmed as {_name(rivals[0])}" if rivals else ""
    return Suspicion(
        rows[number]["confirmation_id"],
        FlagKind.SAME_PICTURE,
        rows[number]["image_id"],
        f"The same picture belongs to another lesion too{differ}.",
        {"images": sorted(rows[other]["image_id"] for other in others)},
    )
