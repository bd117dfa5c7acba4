"""Champion and challenger on the same pictures: everything that the gates judge, measured as it would serve.

Owns how pictures reach both bundles. Both go the whole way from bytes to decision, gate and all. Refuses to judge.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dermaloop.core.bundle import Bundle
from dermaloop.core.manifest import Manifest
from dermaloop.core.prediction import Prediction
from dermaloop.evaluation import stress, subgroups
from dermaloop.evaluation.bootstrap import group_index
from dermaloop.evaluation.rows import Rows
from dermaloop.inference.classifier import Classifier, Item
from dermaloop.pipeline.evaluate import rows_of
from dermaloop.pipeline.evaluate_checks import perturbed
from dermaloop.refine.compared import Compared, Flips

_ATTRIBUTES = ("age_years", "sex", "site", "skin_type", "source", "image_type", "confirmation", "diagnosis")
_TIMED = 15
"""Pictures timed; each by both, in turn, so that a busy machine is busy for both."""

_BANDS = ((0.1, 0.4), (0.1, 0.25), (0.2, 0.25), (0.6, 0.1))
"""Bands of pictures by how near a threshold they lie: share of the pictures, share of the draws."""

Progress = Callable[[str, int, int], None]


def predict(classifier: Classifier, manifest: Manifest, progress: Progress, what: str) -> list[Prediction]:
    """What a bundle says of every row, without heatmaps."""
    names = manifest.column("image_id")
    items = (
        Item(name, path, aspect)
        for name, path, aspect in zip(names, manifest.image_paths(), manifest.column("pixel_aspect"), strict=True)
    )
    found = []
    for row, prediction in enumerate(classifier.classify_many(items)):
        found.append(prediction)
        progress(what, row + 1, len(names))
    return found


def compare(champion: Classifier, challenger: Classifier, manifest: Manifest, progress: Progress) -> Compared:
    """Both on a manifest's rows."""
    rows: list[Rows] = []
    for name, classifier in (("champion", champion), ("challenger", challenger)):
        predictions = predict(classifier, manifest, progress, f"Classifying ({name})")
        rows.append(rows_of(classifier.bundle, manifest, predictions))
    return Compared(rows[0], rows[1], subgroups.attributes({name: manifest.column(name) for name in _ATTRIBUTES}))


def flips(
    champion: Classifier, challenger: Classifier, manifest: Manifest, both: Compared, *, most: int, seed: int,
    progress: Progress,
) -> Flips | None:  # fmt: skip
    """The share of perturbations that flip each picture's decision, by both bundles, on a drawn sample.

    Args:
        champion: One.
        challenger: The other.
        manifest: Rows to draw from.
        both: What both say of these rows.
        most: At most so many pictures; 0 for none.
        seed: Of the draw.
        progress: Told how far it is.

    Returns:
        What flips; None where nothing is drawn.
    """
    drawn, weights = draw_near(both, most, seed)
    if not len(drawn):
        return None
    chosen = manifest.select(np.isin(np.arange(len(manifest)), drawn))
    shares = []
    for name, classifier in (("champion", champion), ("challenger", challenger)):
        flipped = np.zeros((len(chosen), len(stress.PERTURBATIONS)))
        before = _refers(classifier, chosen, lambda image, _: image)
        for number, one in enumerate(stress.PERTURBATIONS.values()):
            flipped[:, number] = _refers(classifier, chosen, one.apply) != before
            progress(f"Perturbing ({name})", number + 1, len(stress.PERTURBATIONS))
        shares.append(flipped.mean(axis=1))
    return Flips(shares[0], shares[1], group_index(chosen.groups()), weights)


def draw_near(both: Compared, most: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Draws pictures to perturb, most of them near either model's threshold, where decisions flip.

    Args:
        both: Of N pictures.
        most: At most so many.
        seed: Of the draw.

    Returns:
        int64 (n,), their rows in order, and float64 (n,), how many pictures each stands for; they sum to N.

    Source: stratified sampling with an allocation after Neyman 1934, doi:10.2307/2342192; bands and shares are those
    that nine challengers of the study ask for: two fifths of the draws among the tenth nearest to a threshold
    (docs/adr/0048).
    """
    distance = np.full(len(both.champion), np.inf)
    for rows in (both.champion, both.challenger):
        away = np.abs(_logit(rows.malignant_probability) - _logit(np.array(rows.threshold)))
        distance = np.minimum(distance, np.where(np.isfinite(away), away, np.inf))
    order, rng = np.argsort(distance, kind="stable"), np.random.default_rng(seed)
    edges = np.round(np.cumsum((0.0, *(size for size, _ in _BANDS))) * len(order)).astype(int)
    drawn, weights, left, shares_left = [], [], most, 1.0
    for (_, share), low, high in zip(_BANDS, edges[:-1], edges[1:], strict=True):
        band = order[low:high]
        count = min(len(band), round(left * share / shares_left))
        left, shares_left = left - count, shares_left - share
        drawn.append(rng.permutation(band)[:count])
        weights.append(np.full(count, len(band) / max(count, 1)))
    rows_drawn = np.concatenate(drawn)
    back = np.argsort(rows_drawn, kind="stable")
    return rows_drawn[back], np.concatenate(weights)[back]


def _logit(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    inner = np.clip(probability, 1e-6, 1 - 1e-6)
    return np.asarray(np.log(inner / (1 - inner)))


def _refers(classifier: Classifier, manifest: Manifest, apply: stress.Apply) -> NDArray[np.bool_]:
    threshold = classifier.operating_point.threshold
    said = classifier.classify_many(perturbed(manifest, classifier.bundle.spec.size_px, apply))
    return np.array([(one.malignant_probability or 0.0) >= threshold for one in said], dtype=bool)


def latency_s(bundles: Sequence[Bundle], manifest: Manifest) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Seconds for one picture on one core, by each of two bundles in turn; the first round warms up."""
    first, second = (Classifier(bundle, threads=1, similar=1) for bundle in bundles)
    pictures = [path.read_bytes() for path in manifest.image_paths()[:_TIMED]]
    times: list[tuple[float, float]] = []
    for content in [*pictures[:1], *pictures]:
        taken = []
        for classifier in (first, second):
            begun = time.perf_counter()
            classifier.classify(content)
            taken.append(time.perf_counter() - begun)
        times.append((taken[0], taken[1]))
    found = np.array(times[1:]).reshape(-1, 2)
    return found[:, 0], found[:, 1]


def size_bytes(path: Path) -> int:
    """Of a bundle, file or folder."""
    return sum(file.stat().st_size for file in path.iterdir()) if path.is_dir() else path.stat().st_size


def changed_decisions(both: Compared, names: Sequence[str]) -> list[dict[str, Any]]:
    """The pictures whose decision changes, for the eyes of whoever promotes: id, probabilities, label."""
    one, other = both.champion, both.challenger
    differ = np.flatnonzero((one.refer & one.assessed) != (other.refer & other.assessed))
    return [
        {
            "image_id": names[row],
            "champion": _rounded(one.malignant_probability[row]),
            "challenger": _rounded(other.malignant_probability[row]),
            "champion_refers": bool(one.refer[row]),
            "challenger_refers": bool(other.refer[row]),
            "champion_declines": not bool(one.assessed[row]),
            "challenger_declines": not bool(other.assessed[row]),
            "malignant": {1: True, 0: False}.get(int(one.malignant[row])),
        }
        for row in differ.tolist()
    ]


def _rounded(value: float) -> float | None:
    return round(float(value), 4) if np.isfinite(value) else None
