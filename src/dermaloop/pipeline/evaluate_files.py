"""The files of an evaluation: predictions, result, report, card; and results of other bundles read beside it.

Owns names and columns of what is written. Everything is written to a temporary name and renamed, the result last.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dermaloop.core import bundle as bundles
from dermaloop.core.errors import ManifestError, OutputError
from dermaloop.core.manifest import Manifest
from dermaloop.core.prediction import COLUMNS, Prediction

PREDICTIONS = "predictions.parquet"
RESULT = "evaluation.json"
REPORT = "report.html"
CARD = "card.md"
_IDENTITY = ("image_id", "source", "split", "lesion_id", "patient_id", "candidates", "diagnosis")
_COMPARED = ("balanced_accuracy", "macro_auc", "malignant_auc", "melanoma_auc")


def without_pictures(prediction: Prediction) -> Prediction:
    """The same without heatmap and similar cases, which nobody evaluates and memory would feel."""
    return replace(prediction, heatmap=None, similar=())


def table(manifest: Manifest, predictions: Sequence[Prediction]) -> pa.Table:
    """One row per picture: which it is, its label, what was said of it; enough to compute every figure again."""
    columns: dict[str, list[Any]] = {name: manifest.column(name) for name in _IDENTITY}
    columns["group"] = list(manifest.groups())
    columns["malignant"] = list(manifest.malignant())
    rows = [prediction.row() for prediction in predictions]
    columns |= {name: [row[name] for row in rows] for name in COLUMNS}
    columns["threshold"] = [prediction.threshold for prediction in predictions]
    columns["ood_distance"] = [prediction.ood_distance for prediction in predictions]
    return pa.table(columns)


def write_results(out: Path, predictions: pa.Table, result: Mapping[str, Any], report: str, card: str) -> None:
    """Writes the four files, the result last: where it lies, the others are complete.

    Raises:
        OutputError: The folder cannot be written.
    """
    out = Path(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out, prefix=".evaluation.") as temporary:
            folder = Path(temporary)
            pq.write_table(predictions, folder / PREDICTIONS, compression="zstd")
            (folder / REPORT).write_text(report, encoding="utf-8")
            (folder / CARD).write_text(card, encoding="utf-8")
            (folder / RESULT).write_bytes(bundles.json_part(result))
            for name in (PREDICTIONS, REPORT, CARD, RESULT):
                (folder / name).replace(out / name)
    except OSError as error:
        raise OutputError(
            f"the results cannot be written ({error.strerror})",
            where=str(out),
            way_out="Choose another folder with --out.",
        ) from error


def read_left_out(files: Mapping[str, Path]) -> dict[str, dict[str, Any]]:
    """Results of bundles that never saw a source, by source.

    Raises:
        ManifestError: A file is no such result, its bundle was trained on the source, or it did not measure it.
    """
    found = {}
    for source, path in files.items():
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise ManifestError(
                "unreadable",
                f"this is not a readable result ({error})",
                where=str(path),
                way_out="Name an evaluation.json.",
            ) from error
        if not isinstance(content, dict) or content.get("kind") != "dermaloop evaluation" or content.get("schema") != 1:
            raise ManifestError(
                "not_a_result",
                "this is not the result of an evaluation",
                where=str(path),
                way_out="Name the evaluation.json that 'dermaloop evaluate' wrote.",
            )
        if source in content["bundle"]["sources"]:
            raise ManifestError(
                "not_left_out",
                f"the bundle {content['bundle']['name']!r} was trained on {source!r}, so it did not leave it out",
                where=str(path),
                way_out="Train a bundle without that source and evaluate it.",
            )
        if not any(part["source"] == source for part in content["sections"]):
            measured = ", ".join(sorted({str(part["source"]) for part in content["sections"] if part["source"]}))
            raise ManifestError(
                "source_not_measured",
                f"it has no figures of {source!r}, only of {measured}",
                where=str(path),
                way_out="Name the result that measured that source.",
            )
        found[source] = content
    return found


def beside(left_out: Mapping[str, Mapping[str, Any]], result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Per source: the figures of the bundle that never saw it, and of this one on it, on the same split where measured.

    Otherwise on another: a bundle that never saw a source can be measured on most of it, this one only on the rest.
    """
    found = []
    for source, other in left_out.items():
        ours = {part["split"]: part for part in result["sections"] if part["source"] == source}
        theirs = [part for part in other["sections"] if part["source"] == source]
        chosen = next((part for part in theirs if part["split"] in ours), theirs[0])
        own = ours.get(chosen["split"]) or next(iter(ours.values()), None)
        same = (
            own is not None
            and own["split"] == chosen["split"]
            and other["manifest"]["sha256"] == result["manifest"]["sha256"]
        )
        found.append(
            {
                "source": source,
                "split": chosen["split"],
                "left_out": {"bundle": other["bundle"]["identity"], "split": chosen["split"], **_key_figures(chosen)},
                "all_sources": {"bundle": result["bundle"]["identity"], "split": own["split"], **_key_figures(own)}
                if own
                else None,
                "note": "" if same else "The two were not measured on the same pictures.",
            }
        )
    return found


def _key_figures(part: Mapping[str, Any]) -> dict[str, Any]:
    return {"counts": part["counts"], "figures": {name: part["figures"]["all"][name] for name in _COMPARED}}
