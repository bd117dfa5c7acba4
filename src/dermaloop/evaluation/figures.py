"""One measured number as it is reported: value, interval, count, and a sentence where it cannot be said.

Owns the shape of a figure in the JSON and the rule for 'too small'. The rule: fewer than `LEAST` malignant or benign
(or melanoma, or other) pictures, or fewer than `LEAST` pictures where a metric needs only one kind, say nothing; the
value is then withheld where it would be read on its own (subgroups) and marked where it stands among others (sections).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dermaloop.evaluation.bootstrap import IntervalKind, interval, replicates
from dermaloop.evaluation.metrics import METRICS, Metric
from dermaloop.evaluation.rows import Label, Rows

LEAST = 10
"""Fewer cases than this say nothing: with 10 of 10 right, the 95 % interval still reaches down to 0.69."""

Figure = dict[str, Any]
Floats = NDArray[np.float64]


def number(value: float) -> float | None:
    """The value as JSON holds it: None for NaN."""
    return round(float(value), 6) if np.isfinite(value) else None


def figure(
    estimate: float,
    resampled: Floats,
    n: int,
    *,
    highest: float = 1.0,
    kind: IntervalKind = "percentile",
    note: str = "",
    cases: int | None = None,
) -> Figure:
    """One figure: value and interval, None where they cannot be said, with the sentence that says why."""
    low, high = interval(float(estimate), resampled, kind, lowest=0.0, highest=highest, cases=cases)
    return {"value": number(estimate), "low": number(low), "high": number(high), "n": n, "note": note}


def counts(rows: Rows) -> dict[str, int]:
    """How many rows of each kind, and how many patients or lesions."""
    return {
        "rows": len(rows),
        "groups": len(np.unique(rows.groups)),
        "malignant": int(np.sum(rows.malignant == 1)),
        "benign": int(np.sum(rows.malignant == 0)),
        "melanoma": int(np.sum(rows.melanoma == 1)),
        "not_melanoma": int(np.sum(rows.melanoma == 0)),
        "fine_label": int(np.sum(rows.known(Label.DIAGNOSIS))),
        "coarse_label": int(np.sum(~rows.known(Label.DIAGNOSIS))),
    }


def shortfall(metric: Metric, rows: Rows, least: int = LEAST) -> str:
    """Why the metric says nothing (or little) about these rows; empty where there are enough.

    Args:
        metric: Of the table.
        rows: Those whose label says what the metric needs.
        least: Fewest cases; 1 asks only whether it can be computed at all.
    """
    if metric.needs is Label.DIAGNOSIS:
        present = {"labelled with one diagnosis": len(rows)}
        if metric.both_classes and len(np.unique(rows.diagnosis)) < 2:  # noqa: PLR2004 - two diagnoses to tell apart
            return "Fewer than two diagnoses are present, so they cannot be told apart."
    elif metric.needs is Label.MALIGNANT:
        present = {"malignant": int(rows.y_malignant.sum()), "benign": int((~rows.y_malignant).sum())}
    else:
        present = {"melanoma": int(rows.y_melanoma.sum()), "other than melanoma": int((~rows.y_melanoma).sum())}
    if metric.name == "sensitivity":
        del present["benign"]
    elif metric.name == "specificity":
        del present["malignant"]
    elif metric.needs is Label.MALIGNANT and not metric.both_classes:
        present = {"labelled malignant or benign": len(rows)}
    few = [f"{count or 'no'} picture{'s'[: count != 1]} {kind}" for kind, count in present.items() if count < least]
    return f"Too few to say: {' and '.join(few)}." if few else ""


def measure(
    rows: Rows, names: Iterable[str], *, resamples: int, seed: int = 0, withhold: bool = False
) -> dict[str, Figure]:
    """The named metrics with intervals, on the rows whose labels support each.

    Args:
        rows: All rows; `rows.threshold` is the operating point of metrics that need one.
        names: Keys of `METRICS`.
        resamples: Bootstrap resamples of groups.
        seed: Of the resamples.
        withhold: Whether a figure on too few cases is left out instead of marked.
    """
    functions: dict[str, Any] = {}
    found: dict[str, Figure] = {}
    cases: dict[str, int] = {}
    for name in names:
        metric = METRICS[name]
        known = rows.known(metric.needs)
        subset = rows.select(known)
        impossible = shortfall(metric, subset, least=1)
        few = shortfall(metric, subset)
        if impossible or (few and withhold):
            found[name] = {
                "value": None,
                "low": None,
                "high": None,
                "n": _denominator(metric, subset),
                "note": impossible or few,
            }
            continue
        found[name] = {"n": _denominator(metric, subset), "note": few}
        if metric.is_share:
            cases[name] = len(np.unique(subset.groups[_among(metric, subset)]))
        functions[name] = _on(metric, subset, known)
    for name, (estimate, resampled) in replicates(rows.groups, functions, resamples, seed).items():
        metric = METRICS[name]
        found[name] = figure(
            float(estimate),
            resampled,
            found[name]["n"],
            highest=metric.highest,
            kind=metric.interval,
            note=found[name]["note"],
            cases=cases.get(name),
        )
    return found


def _among(metric: Metric, subset: Rows) -> NDArray[np.bool_]:
    """The pictures that the figure is a share of, or was measured on."""
    among = {
        "sensitivity": subset.y_malignant,
        "specificity": ~subset.y_malignant,
        "positive_predictive_value": subset.refer,
        "negative_predictive_value": ~subset.refer,
    }
    return among.get(metric.name, np.ones(len(subset), dtype=bool))


def _denominator(metric: Metric, subset: Rows) -> int:
    return int(_among(metric, subset).sum())


def _on(metric: Metric, subset: Rows, known: NDArray[np.bool_]) -> Any:
    everything = bool(known.all())
    return lambda weights: metric.function(subset, weights if everything else weights[:, known])
