"""The README's table of results, made from the evaluation that ships inside the reference bundle, never by hand.

Owns which figures are shown and how a number with its interval is written. Refuses to measure anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

MODELS = Path(__file__).resolve().parents[1] / "src/dermaloop/models"
FIGURES = (
    "balanced_accuracy",
    "macro_auc",
    "malignant_auc",
    "melanoma_auc",
    "malignant_partial_auc",
    "malignant_average_precision",
    "top_label_calibration_error",
    "malignant_calibration_error",
)
_UNOPENED = {
    "test": "",
    "validation": "**An interim model.** Its recipe is not frozen, so the test split has not been opened: the figures"
    " below are of the validation split, by which recipes are chosen, and flatter it a little.\n\n",
}
AT_POINT = ("sensitivity", "specificity")


def results(folder: Path = MODELS) -> str:
    """The section on results; says so where no bundle ships, or where test was not opened yet.

    Args:
        folder: Where the reference bundle lies.
    """
    from dermaloop.core import bundle as bundles  # noqa: PLC0415

    found = sorted(folder.glob(f"*{bundles.SUFFIX}"))
    if not found:
        return "No reference bundle ships with this version yet, so there is no result to state."
    bundle = bundles.open_bundle(found[0])
    evaluation = bundle.json(bundles.EVALUATION)
    measured = (evaluation or {}).get("sections", [])
    for split in ("test", "validation"):
        sections = [part for part in measured if part["split"] == split]
        if sections:
            return _UNOPENED[split] + write(bundle.identity, evaluation, sections)
    return f"The bundle `{bundle.identity}` ships without an evaluation, so no result is stated."


def write(identity: str, evaluation: Mapping[str, Any], sections: list[dict[str, Any]]) -> str:
    """The tables of one evaluation.

    Args:
        identity: Of the bundle that was measured.
        evaluation: What evaluation.json holds.
        sections: Its sections of one split.
    """
    about = evaluation["bundle"]
    point = about["default_operating_point"]
    titles = {name: metric["title"] for name, metric in evaluation["metrics"].items()}
    header = [f"{sections[0]['split'].capitalize()} split", *(_heading(part) for part in sections)]
    rows = [
        ["Images (lesions or patients)", *(f"{_n(part, 'rows')} ({_n(part, 'groups')})" for part in sections)],
        ["Malignant / benign", *(f"{_n(part, 'malignant')} / {_n(part, 'benign')}" for part in sections)],
    ]
    rows += [[titles[name], *(_figure(part["figures"]["all"][name]) for part in sections)] for name in FIGURES]
    for name in AT_POINT:
        cells = [_figure(part["operating_points"][point]["all"][name]) for part in sections]
        rows.append([f"{titles[name]} at the operating point `{point}`", *cells])
    about_it = (
        f"Bundle `{identity}`: {about['network']} at {about['size_px']} px. In brackets: {evaluation['interval']}"
        f" ({evaluation['resamples']} resamples). All pictures count, also those that the model would decline."
    )
    text = [about_it, _table(header, rows)]
    left_out = evaluation.get("leave_one_source_out") or []
    if left_out:
        text.append(
            "What happens at a clinic that was not in training: the recipe run without the source, measured on it (the"
            " better guess of what to expect elsewhere; how long that run was is in [experiments](EXPERIMENTS.md))."
        )
        text.append(_left_out(left_out, titles))
    return "\n\n".join(text)


def _left_out(parts: list[dict[str, Any]], titles: Mapping[str, str]) -> str:
    rows = []
    for part in parts:
        for name, figure in part["left_out"]["figures"].items():
            own = part["all_sources"]["figures"][name] if part["all_sources"] else None
            if figure["value"] is not None:
                shown = f"{_figure(own)} ({part['all_sources']['split']})" if own else "not measured"
                n = f"{part['left_out']['counts']['rows']:,}"
                rows.append([f"{part['source']} ({n} pictures)", titles[name], _figure(figure), shown])
    return _table(["Source", "Figure", "Trained without it", "Trained with it"], rows)


def _heading(part: Mapping[str, Any]) -> str:
    return str(part["source"] or "all sources")


def _n(part: Mapping[str, Any], name: str) -> str:
    return f"{part['counts'][name]:,}"


def _figure(figure: Mapping[str, Any]) -> str:
    """Value and interval to three digits, or that there are too few cases to say anything."""
    if figure["value"] is None:
        return "too few"
    interval = "" if figure["low"] is None else f" ({figure['low']:.3f} to {figure['high']:.3f})"
    note = " (few cases)" if figure["note"] else ""
    return f"{figure['value']:.3f}{interval}{note}"


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
