"""A bundle measured on a manifest: runs the classifier, hands arrays to `evaluation`, writes what came out.

Owns the order of the steps, which rows belong to which section, the result's schema and the files. Refuses to know any
formula. The trade-off: the classifier is run exactly as it serves (decoding, gate and all), not a faster shortcut, so
that the figures are of what people get.

Opening the test split is logged in the bundle before a result is shown.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dermaloop import __version__
from dermaloop.core import bundle as bundles
from dermaloop.core import manifest as manifests
from dermaloop.core.errors import ManifestError, OutputError
from dermaloop.core.manifest import Manifest, Split
from dermaloop.core.prediction import Prediction, Status
from dermaloop.evaluation import bootstrap, report, section, subgroups
from dermaloop.evaluation.metrics import METRICS
from dermaloop.evaluation.rows import Rows, from_labels
from dermaloop.inference.classifier import Classifier, Item
from dermaloop.pipeline import card, evaluate_checks, evaluate_files

SCHEMA = 1
DISCLAIMER = "Decision support for research use. Not a medical device."
HEADLINE = ("balanced_accuracy", "macro_auc", "malignant_auc", "melanoma_auc")
_ATTRIBUTE_COLUMNS = ("age_years", "sex", "site", "skin_type", "source", "image_type", "confirmation", "diagnosis")

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many are done and how many there are."""


@dataclass(frozen=True)
class Options:
    """What to measure.

    Attributes:
        splits: Names; each is measured by itself.
        resamples: Bootstrap resamples.
        seed: Of the resamples and of the pictures drawn for the stress test.
        stress: Whether to perturb pictures.
        stress_pictures: At most so many of each split.
        explain: Whether to compare heatmaps with the outlines that the manifest names.
        leave_one_out: JSON result of a bundle that never saw the source, by source.
        write_into_bundle: Whether the bundle gets the result, the report and the card.
        threads: Cores; None for all usable ones.
    """

    splits: tuple[str, ...] = ("test",)
    resamples: int = 1000
    seed: int = 0
    stress: bool = False
    stress_pictures: int = 400
    explain: bool = False
    leave_one_out: Mapping[str, Path] = field(default_factory=dict)
    write_into_bundle: bool = False
    threads: int | None = None


def evaluate(
    bundle_path: Path,
    manifest_path: Path,
    out: Path,
    options: Options | None = None,
    *,
    progress: Progress = lambda *_: None,
) -> dict[str, Any]:
    """Measures a bundle and writes predictions.parquet, evaluation.json, report.html and card.md into `out`.

    Args:
        bundle_path: Folder or `.dermaloop` file.
        manifest_path: Parquet or CSV.
        out: Folder for the results; made if missing.
        options: What to measure.
        progress: Told how far it is.

    Returns:
        The result, as evaluation.json holds it.

    Raises:
        BundleError: The bundle is not intact.
        ManifestError: The manifest is not readable or has no picture in a split, or a leave-one-out result is not one.
        OutputError: The results, or the log of an opened test split, cannot be written.
    """
    options = options or Options()
    bundle = bundles.open_bundle(bundle_path)
    manifest = manifests.read(manifest_path)
    left_out = evaluate_files.read_left_out(options.leave_one_out)
    chosen = _chosen(manifest, options.splits, manifest_path)
    logged = [name for name in options.splits if name == Split.TEST]
    if (logged or options.write_into_bundle) and not os.access(Path(bundle_path).absolute().parent, os.W_OK):
        raise OutputError(
            "the bundle cannot be written, and opening the test split must be logged in it",
            where=str(bundle_path),
            way_out="Copy the bundle to a folder of your own and evaluate that.",
        )
    classifier = Classifier(bundle, threads=options.threads, similar=1)
    predictions, heat = _classify(classifier, chosen, progress, explain=options.explain)
    result = _result(bundle, manifest, manifest_path, options)
    result["sections"] = _sections(bundle, chosen, predictions, options, progress)
    if options.stress:
        result["stress"] = evaluate_checks.stress_test(
            classifier, chosen, rows_of(bundle, chosen, predictions), options, progress
        )
    if options.explain:
        result["explanation"] = evaluate_checks.explanation_check(chosen, heat, options)
    result["leave_one_source_out"] = evaluate_files.beside(left_out, result)
    history = list(bundle.json(bundles.HISTORY) or [])
    if logged:
        history.append(_history_entry(bundle, result, bundle_path, manifest_path, options))
    page = report.render(result)
    text = card.render(bundle.spec, result, history=history)
    changed = {bundles.HISTORY: bundles.json_part(history)} if logged else {}
    if options.write_into_bundle:
        changed |= {
            bundles.EVALUATION: bundles.json_part(result),
            bundles.REPORT: page.encode(),
            bundles.CARD: text.encode(),
        }
    if changed:
        bundles.update_parts(bundle_path, changed)
    evaluate_files.write_results(out, evaluate_files.table(chosen, predictions), result, page, text)
    return result


def rows_of(bundle: bundles.Bundle, manifest: Manifest, predictions: Sequence[Prediction]) -> Rows:
    """Predictions beside their labels; unreadable pictures have NaN and must be left out by the caller."""
    classes = bundle.spec.classes
    column = {diagnosis: index for index, diagnosis in enumerate(classes)}
    probability = np.full((len(predictions), len(classes)), np.nan)
    suggested = np.zeros(len(predictions), dtype=np.int64)
    for row, prediction in enumerate(predictions):
        if prediction.top_diagnosis is not None:
            probability[row] = [prediction.probabilities[diagnosis] for diagnosis in classes]
            suggested[row] = column[prediction.top_diagnosis]
    return from_labels(
        classes,
        probability,
        manifest.candidate_sets(),
        bootstrap.group_index(manifest.groups()),
        suggested=suggested,
        assessed=np.array([prediction.status is Status.ASSESSED for prediction in predictions], dtype=bool),
        threshold=bundle.operating_point().threshold,
    )


def _chosen(manifest: Manifest, splits: Sequence[str], path: Path) -> Manifest:
    present = sorted({value for value in manifest.column("split") if value})
    for name in splits:
        if name not in present:
            raise ManifestError(
                "empty_split",
                f"the manifest has no picture in the split {name!r}",
                where=str(path),
                way_out=f"Choose among: {', '.join(present)}."
                if present
                else "Split it with 'dermaloop curate split'.",
            )
    return manifest.where(split=list(splits))


def _classify(
    classifier: Classifier, manifest: Manifest, progress: Progress, *, explain: bool
) -> tuple[list[Prediction], dict[int, dict[str, float]]]:
    """Predictions in row order, without heatmaps; what the heatmaps measured by row, where there is an outline."""
    masks = manifest.column("mask_path")
    aspects = manifest.column("pixel_aspect")
    paths = manifest.image_paths()
    names = manifest.column("path")
    items = (Item(name, path, aspect) for name, path, aspect in zip(names, paths, aspects, strict=True))
    kept: list[Prediction] = []
    heat: dict[int, dict[str, float]] = {}
    for row, prediction in enumerate(classifier.classify_many(items)):
        if explain and masks[row] and prediction.heatmap is not None:
            measured = evaluate_checks.heat_on_lesion(
                prediction.heatmap, manifest.folder / masks[row], classifier.bundle.spec.size_px, aspects[row]
            )
            if measured is not None:
                heat[row] = measured
        kept.append(evaluate_files.without_pictures(prediction))
        progress("Classifying", row + 1, len(names))
    return kept, heat


def _sections(
    bundle: bundles.Bundle,
    manifest: Manifest,
    predictions: Sequence[Prediction],
    options: Options,
    progress: Progress,
) -> list[dict[str, Any]]:
    """One section per source of each split, and one pooled where a split has several; never pooled for external."""
    splits, sources = np.asarray(manifest.column("split")), np.asarray(manifest.column("source"))
    wanted: list[tuple[str, str | None, NDArray[np.bool_]]] = []
    for split in options.splits:
        of_split = splits == split
        names = sorted(set(sources[of_split]))
        if len(names) > 1 and split != Split.EXTERNAL:
            wanted.append((split, None, of_split))
        wanted += [(split, str(name), of_split & (sources == name)) for name in names]
    readable = np.array([prediction.status is not Status.UNREADABLE for prediction in predictions], dtype=bool)
    rows = rows_of(bundle, manifest, predictions)
    reasons = [[reason.code for reason in prediction.reasons] for prediction in predictions]
    groups_of = subgroups.attributes({name: manifest.column(name) for name in _ATTRIBUTE_COLUMNS})
    found = []
    for number, (split, source, mask) in enumerate(wanted):
        progress("Measuring", number, len(wanted))
        keep = mask & readable
        places = np.flatnonzero(keep)
        measured = section.measure_section(
            rows.select(keep),
            bundle.spec.operating_points,
            [reasons[place] for place in places],
            {name: [values[place] for place in places] for name, values in groups_of.items()},
            default_point=bundle.spec.default_operating_point,
            unreadable=int(np.sum(mask & ~readable)),
            resamples=options.resamples,
            seed=options.seed,
        )
        found.append({"split": split, "source": source, **measured})
    progress("Measuring", len(wanted), len(wanted))
    return found


def _result(bundle: bundles.Bundle, manifest: Manifest, path: Path, options: Options) -> dict[str, Any]:
    spec = bundle.spec
    return {
        "schema": SCHEMA,
        "kind": "dermaloop evaluation",
        "disclaimer": DISCLAIMER,
        "created": _now(),
        "dermaloop": __version__,
        "bundle": {
            "name": spec.name,
            "version": spec.version,
            "identity": bundle.identity,
            "model_sha256": spec.parts[bundles.MODEL],
            "network": spec.network,
            "size_px": spec.size_px,
            "classes": [str(diagnosis) for diagnosis in spec.classes],
            "licence": spec.licence,
            "sources": spec.sources,
            "trained_on_manifest_sha256": spec.manifest_sha256,
            "calibration_fitted_on": spec.calibration.fitted_on,
            "operating_points": [point.model_dump(mode="json") for point in spec.operating_points],
            "default_operating_point": spec.default_operating_point,
        },
        "manifest": {"name": Path(path).name, "sha256": manifest.identity(), "rows": len(manifest)},
        "splits": list(options.splits),
        "resamples": options.resamples,
        "seed": options.seed,
        "interval": f"{100 * bootstrap.LEVEL:.0f} % bootstrap, resampled by patient, else lesion",
        "metrics": {
            name: {"title": metric.title, "better": metric.better, "says": (metric.function.__doc__ or "").strip()}
            for name, metric in METRICS.items()
        },
    }


def _history_entry(
    bundle: bundles.Bundle, result: Mapping[str, Any], bundle_path: Path, manifest_path: Path, options: Options
) -> dict[str, Any]:
    opened = [part for part in result["sections"] if part["split"] == Split.TEST]
    whole = opened[0]
    flags = [f"--split {name}" for name in options.splits]
    return {
        "event": "test split opened",
        "date": result["created"],
        "bundle": bundle.identity,
        "manifest": result["manifest"]["name"],
        "manifest_sha256": result["manifest"]["sha256"],
        "split": str(Split.TEST),
        "n": whole["counts"]["rows"],
        "command": " ".join(["dermaloop evaluate", Path(bundle_path).name, Path(manifest_path).name, *flags]),
        "headline": {name: whole["figures"]["all"][name] for name in HEADLINE},
    }


def _now() -> str:
    return dt.datetime.now(dt.UTC).replace(microsecond=0).isoformat().replace("+00:00", "Z")
