"""From a finished training to a bundle: export, predict, calibrate, choose thresholds, fit the gate, write the card.

Owns the order of these steps and which split each may see: references and in-distribution statistics from `train`,
all that is fitted from `calibration`, nothing from `test`. Predictions come from the exported graph through the same
code that will classify, so that what is calibrated is what is deployed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dermaloop.core import bundle, calibrated
from dermaloop.core.errors import ManifestError
from dermaloop.core.manifest import Manifest, Split
from dermaloop.core.taxonomy import MALIGNANT, Diagnosis
from dermaloop.evaluation import calibration, operating_point
from dermaloop.inference import gate, similar
from dermaloop.inference.classifier import Item, Raw, raw_many
from dermaloop.inference.session import Session
from dermaloop.training.export import onnx_graph
from dermaloop.training.recipe import Package, Recipe
from dermaloop.training.run import Trained

CLASSES = tuple(Diagnosis)
_QUALITY_TAIL = 0.002
"""Share of validated pictures beyond each quality limit ..."""
_QUALITY_SLACK = 1.15
"""... which then is widened by this factor: the limit marks what was never seen, not what is rare."""
_MOST_REFERENCES = 8000


@dataclass(frozen=True, eq=False)
class _Predicted:
    """Labels and the graph's outputs for the readable rows of a split."""

    rows: Manifest
    raw: Raw
    candidates: NDArray[np.bool_]

    @property
    def fine(self) -> NDArray[np.int64]:
        """(N,), class index or -1."""
        single = self.candidates.sum(axis=1) == 1
        return np.where(single, self.candidates.argmax(axis=1), -1)


def package(
    trained: Trained,
    manifest: Manifest,
    out: Path,
    *,
    name: str | None = None,
    version: str = "1",
    licence: str,
    created: str | None = None,
    former: bundle.Bundle | None = None,
) -> bundle.Bundle:
    """Makes the bundle of a finished training.

    Args:
        trained: See `training.run`.
        manifest: The manifest it was trained on, with its calibration rows.
        out: Folder, or file ending in `.dermaloop`.
        name: The bundle's name; None for the recipe's.
        version: The bundle's version.
        licence: Terms of the model, which follow its data.
        created: ISO 8601, UTC; None for now. The same training at the same moment gives the same bytes.
        former: The bundle that it may follow: its operating points are kept where nothing speaks against them, see
            `evaluation.operating_point.keep`. None: they are chosen anew.

    Returns:
        The bundle as written, without an evaluation.

    Raises:
        ManifestError: The calibration split is empty or lacks a side.
    """
    recipe = trained.recipe
    size_px = recipe.run.evaluate_px
    check(recipe, manifest)
    graph = onnx_graph(trained.network, size_px)
    session = Session.of_model(graph, size_px, threads=1)
    seen = [source for source in trained.facts["training_images"] if source not in recipe.data.leave_out]
    train = _predict(session, manifest.where(split=Split.TRAIN, source=seen))
    held = _predict(session, _calibration_rows(manifest, recipe.package, recipe.data.leave_out))
    measured_on = f"calibration split ({_counts(held.rows)}; {len(set(held.rows.groups()))} lesions or patients)"

    fitted = calibration.fit(held.raw.logits, held.candidates, fitted_on=measured_on)
    probability = calibrated.probabilities(held.raw.logits, fitted)
    before = None if former is None else _Former(former, _risk(former, held.rows))
    points, band = _decide(probability, held, recipe.package, measured_on, before)
    distribution = gate.fit_distribution(train.raw.texture, train.fine, sources=train.rows.column("source"))
    distance = gate.distance(held.raw.texture, distribution)
    limits = bundle.Gate(
        ood_limit=float(np.quantile(distance, recipe.package.ood_accept)),
        ood_fitted_on=f"{measured_on}, of which {recipe.package.ood_accept:.1%} are accepted",
        ambiguous_low=band.low,
        ambiguous_high=band.high,
        ambiguous_fitted_on=measured_on,
        quality=_quality_limits([train.raw, held.raw]),
    )
    spec = bundle.Spec(
        name=name or recipe.name,
        version=version,
        created=created or datetime.now(UTC).isoformat(timespec="seconds"),
        classes=CLASSES,
        network=recipe.network.name,
        size_px=size_px,
        embedding_length=int(train.raw.embedding.shape[1]),
        calibration=fitted,
        operating_points=tuple(points),
        default_operating_point=points[0].name,
        gate=limits,
        top_diagnosis_log_weights=_log_weights(held.fine, recipe.package.top_diagnosis_tau),
        licence=licence,
        manifest_sha256=manifest.identity(),
        recipe_sha256=recipe.identity(),
        code_sha256=trained.facts["code_sha256"],
        sources=trained.facts["training_images"],
        training={"recipe": recipe.plain(), "validation": trained.facts["validation"], "steps": trained.facts["steps"]},
    )
    parts = {
        bundle.MODEL: graph,
        bundle.DISTRIBUTION: bundle.array_part(**distribution),
        bundle.REFERENCES: bundle.array_part(**_references(train, recipe.seed)),
        bundle.HISTORY: bundle.json_part(
            [{"event": "packaged", "date": spec.created, "manifest_sha256": spec.manifest_sha256}]
        ),
        bundle.CARD: _first_card(spec).encode(),
    }
    return bundle.write(out, spec, parts)


def check(recipe: Recipe, manifest: Manifest) -> None:
    """Refuses a manifest that packaging could not use, before hours of training.

    Raises:
        ManifestError: `empty_split` or `one_class_only`: the calibration split is empty or lacks a side.
    """
    rows = _calibration_rows(manifest, recipe.package, recipe.data.leave_out)
    for side, present in (("malignant", True), ("benign", False)):
        if present not in rows.malignant():
            what = f"the calibration split has no {side} row to choose a threshold on"
            raise ManifestError("one_class_only", what, way_out="Split again with a larger share for calibration.")


def _calibration_rows(manifest: Manifest, how: Package, left_out: Sequence[str]) -> Manifest:
    rows = manifest.where(split=Split.CALIBRATION)
    sources = set(how.calibration_sources or rows.column("source")) - set(left_out)
    rows = rows.where(source=sorted(sources))
    if not len(rows):
        what = "no row of the sources to calibrate on has the split 'calibration'"
        raise ManifestError("empty_split", what, way_out="Run 'dermaloop curate split' first.")
    return rows


def _predict(session: Session, rows: Manifest) -> _Predicted:
    aspects = rows.column("pixel_aspect")
    items = (Item(str(path), path, aspect) for path, aspect in zip(rows.image_paths(), aspects, strict=True))
    raw = raw_many(session, items)
    if raw.unreadable:
        index, reason = next(iter(raw.unreadable.items()))
        raise ManifestError(
            "unreadable_file", reason.text, where=str(rows.image_path(index)), way_out="Run 'dermaloop curate check'."
        )
    candidates = np.zeros((len(rows), len(CLASSES)), dtype=bool)
    for row, found in enumerate(rows.candidate_sets()):
        candidates[row, [CLASSES.index(diagnosis) for diagnosis in found]] = True
    return _Predicted(rows, raw, candidates)


@dataclass(frozen=True, eq=False)
class _Former:
    """A bundle and its malignant probability of the rows to calibrate on, float64 (N,)."""

    bundle: bundle.Bundle
    risk: NDArray[np.float64]


def _risk(former: bundle.Bundle, rows: Manifest) -> NDArray[np.float64]:
    logits = _predict(Session(former, threads=1), rows).raw.logits
    return calibrated.malignant_probability(
        calibrated.probabilities(logits, former.spec.calibration), former.spec.classes
    )


def _decide(
    probability: NDArray[np.float64], held: _Predicted, how: Package, measured_on: str, before: _Former | None
) -> tuple[list[bundle.OperatingPoint], operating_point.Band]:
    """Operating points, and the ambiguous band around the first, on the rows known to be malignant or benign."""
    bad = np.array([diagnosis in MALIGNANT for diagnosis in CLASSES])
    known = held.candidates.any(axis=1) & ~((held.candidates & bad).any(axis=1) & (held.candidates & ~bad).any(axis=1))
    is_malignant = (held.candidates & bad).any(axis=1)[known]
    risk = calibrated.malignant_probability(probability, CLASSES)[known]
    groups = np.asarray(held.rows.groups())[known]
    points = [
        operating_point.choose(
            f"sensitivity-{round(100 * target)}", risk, is_malignant, groups, target, measured_on=measured_on
        )
        for target in how.sensitivity
    ]
    if before is not None:
        named = {point.name: point for point in before.bundle.spec.operating_points}
        points = [
            operating_point.keep(named[point.name], before.risk[known], point, risk, is_malignant, groups, target)
            if point.name in named
            else point
            for point, target in zip(points, how.sensitivity, strict=True)
        ]
    band = operating_point.ambiguous_band(
        risk, is_malignant, threshold=points[0].threshold, alpha=how.ambiguous_alpha, largest_share=how.ambiguous_share
    )
    return points, band


def _log_weights(fine: NDArray[np.int64], tau: float) -> tuple[float, ...]:
    """-tau log of each class's share, add-one smoothed: the suggestion leans to rare diagnoses by tau."""
    counts = np.array([(fine == index).sum() for index in range(len(CLASSES))], dtype=np.float64) + 1
    weights = -tau * np.log(counts / counts.sum())
    return tuple((weights - weights.min()).tolist())


def _quality_limits(raws: Sequence[Raw]) -> dict[str, tuple[float | None, float | None]]:
    limits: dict[str, tuple[float | None, float | None]] = {}
    for measure in raws[0].quality:
        values = np.concatenate([raw.quality[measure] for raw in raws])
        low, high = np.quantile(values, [_QUALITY_TAIL, 1 - _QUALITY_TAIL])
        limits[measure] = (
            float(low / _QUALITY_SLACK) if measure == "brightness" else None,
            float(min(1.0, high * _QUALITY_SLACK)),
        )
    return limits


def _references(train: _Predicted, seed: int) -> dict[str, NDArray[Any]]:
    """Training images with one diagnosis and a public id; where too many, the rare diagnoses are kept whole."""
    known = np.flatnonzero((train.fine >= 0) & np.asarray(train.rows.column("lesion_id"), dtype=bool))
    order = np.random.default_rng(seed).permutation(known)
    counts = np.bincount(train.fine[known], minlength=len(CLASSES))
    rank = {index: place for place, index in enumerate(order.tolist())}
    chosen = sorted(known.tolist(), key=lambda index: (counts[train.fine[index]], rank[index]))[:_MOST_REFERENCES]
    rows = train.rows.select(np.isin(np.arange(len(train.rows)), chosen))
    index = np.sort(np.asarray(chosen, dtype=np.int64))
    return similar.build_references(
        train.raw.embedding[index],
        rows.column("image_id"),
        rows.column("source"),
        rows.column("diagnosis"),
        rows.column("confirmation"),
    )


def _counts(rows: Manifest) -> str:
    names, counts = np.unique(rows.column("source"), return_counts=True)
    return ", ".join(f"{name} {count}" for name, count in zip(names.tolist(), counts.tolist(), strict=True))


def _first_card(spec: bundle.Spec) -> str:
    return (
        f"# {spec.name}\n\nNot evaluated yet: run 'dermaloop evaluate'.\n\nLicence: {spec.licence}\n\n"
        "Decision support for research use. Not a medical device.\n"
    )
