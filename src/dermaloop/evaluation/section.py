"""Everything that is measured on one set of rows: one source of one split, or several pooled.

Owns the section of the JSON: figures on all rows and on those assessed, operating points, confusion, curves, abstention
and subgroups. Pure: the same rows and seed give the same section.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dermaloop.core.bundle import OperatingPoint
from dermaloop.evaluation import decisions, ranking, reliability
from dermaloop.evaluation.bootstrap import interval, replicates
from dermaloop.evaluation.figures import counts, figure, measure, number
from dermaloop.evaluation.metrics import METRICS
from dermaloop.evaluation.rows import Label, Rows
from dermaloop.evaluation.subgroups import measure_subgroups

Floats = NDArray[np.float64]

FALSE_RATES = np.linspace(0.0, 1.0, 51)
THRESHOLDS = np.round(np.linspace(0.01, 0.60, 60), 4)
COVERAGES = np.round(np.linspace(0.3, 1.0, 36), 4)
_OVERALL = [name for name, metric in METRICS.items() if not metric.at_threshold]
_AT_POINT = [name for name, metric in METRICS.items() if metric.at_threshold]


def measure_section(
    rows: Rows,
    operating_points: Sequence[OperatingPoint],
    reasons: Sequence[Sequence[str]],
    by_attribute: Mapping[str, Sequence[str]],
    *,
    default_point: str,
    unreadable: int = 0,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """Measures one set of rows.

    Args:
        rows: N read pictures.
        operating_points: Of the bundle.
        reasons: Codes of the reasons to abstain, by row (N); empty where assessed.
        by_attribute: From `subgroups.attributes`, N each.
        default_point: Name of the operating point that subgroups use.
        unreadable: Pictures of the same set that could not be read; counted, never measured.
        resamples: Bootstrap resamples of patients or lesions.
        seed: Of the resamples.
    """
    threshold = next(point.threshold for point in operating_points if point.name == default_point)
    rows = rows.at(threshold)
    assessed = rows.select(rows.assessed)
    found = {
        "counts": counts(rows),
        "figures": {
            "all": measure(rows, _OVERALL, resamples=resamples, seed=seed),
            "assessed": measure(assessed, _OVERALL, resamples=resamples, seed=seed),
        },
        "operating_points": {
            point.name: {
                "threshold": point.threshold,
                "target": point.target,
                "all": measure(rows.at(point.threshold), _AT_POINT, resamples=resamples, seed=seed),
                "assessed": measure(assessed.at(point.threshold), _AT_POINT, resamples=resamples, seed=seed),
            }
            for point in operating_points
        },
        "abstention": _abstention(rows, reasons, unreadable, resamples, seed),
        "confusion": _confusion(rows.select(rows.known(Label.DIAGNOSIS)), resamples, seed),
        "subgroups": measure_subgroups(rows, by_attribute, resamples=resamples, seed=seed),
    }
    binary = rows.select(rows.known(Label.MALIGNANT))
    found["roc"] = _roc(binary, resamples, seed)
    found["reliability"] = _reliability(binary, resamples, seed)
    found["decision_curve"] = _decision_curve(binary, resamples, seed)
    found["risk_coverage"] = _risk_coverage(rows, resamples, seed)
    return found


def _abstention(
    rows: Rows, reasons: Sequence[Sequence[str]], unreadable: int, resamples: int, seed: int
) -> dict[str, Any]:
    declined = ~rows.assessed
    names = sorted({code for codes in reasons for code in codes})
    holds = {name: np.array([name in codes for codes in reasons], dtype=bool).reshape(-1) for name in names}
    sets = {"all": None, "malignant": rows.malignant == 1, "benign": rows.malignant == 0}
    functions = {
        **{key: _share(declined, among) for key, among in sets.items()},
        **{f"reason {name}": _share(held, None) for name, held in holds.items()},
    }
    drawn = replicates(rows.groups, functions, resamples, seed)
    totals = {key: len(rows) if among is None else int(among.sum()) for key, among in sets.items()}
    return {
        "unreadable": unreadable,
        "declined": int(declined.sum()),
        **{f"share_{key}": figure(float(drawn[key][0]), drawn[key][1], totals[key], cases=totals[key]) for key in sets},
        "by_reason": {
            name: {
                "count": int(held.sum()),
                "share": figure(float(drawn[f"reason {name}"][0]), drawn[f"reason {name}"][1], len(rows)),
            }
            for name, held in holds.items()
        },
    }


def _share(counted: NDArray[np.bool_], among: NDArray[np.bool_] | None) -> Any:
    return lambda weights: decisions.share(weights, counted, among)


def _band(
    estimate: Floats, resampled: Floats, lowest: float = 0.0, highest: float = 1.0
) -> dict[str, list[float | None]]:
    """A curve with its pointwise interval."""
    limits = [
        interval(float(value), resampled[:, index], lowest=lowest, highest=highest)
        for index, value in enumerate(estimate)
    ]
    return {
        "value": [number(value) for value in estimate],
        "low": [number(low) for low, _ in limits],
        "high": [number(high) for _, high in limits],
    }


def _one_class(rows: Rows) -> str:
    if not len(rows):
        return "No picture is labelled malignant or benign."
    if rows.y_malignant.all() or not rows.y_malignant.any():
        return (
            f"Only {'malignant' if rows.y_malignant.all() else 'benign'} pictures, so there is nothing to tell apart."
        )
    return ""


def _roc(rows: Rows, resamples: int, seed: int) -> dict[str, Any]:
    note = _one_class(rows)
    if note:
        return {"note": note}

    def curve(weights: Floats) -> Floats:
        return ranking.roc_points(rows.y_malignant, rows.malignant_probability, weights, FALSE_RATES)

    estimate, resampled = replicates(rows.groups, {"roc": curve}, resamples, seed)["roc"]
    return {"note": "", "false_positive_rate": FALSE_RATES.tolist(), "sensitivity": _band(estimate, resampled)}


def _reliability(rows: Rows, resamples: int, seed: int) -> dict[str, Any]:
    """Reliability of the probability of malignancy, bins of equal count."""
    if not len(rows):
        return {"note": "No picture is labelled malignant or benign."}
    bins = reliability.equal_count_bins(rows.malignant_probability)
    outcome, probability = rows.y_malignant, rows.malignant_probability
    drawn = replicates(
        rows.groups, {"observed": lambda w: reliability.by_bin(outcome, probability, bins, w)[2]}, resamples, seed
    )["observed"]
    weight, predicted, _ = reliability.by_bin(outcome, probability, bins, np.ones((1, len(rows))))
    kept = weight[0] > 0
    return {
        "note": "",
        "binning": f"at most {reliability.COUNT_BINS} bins of equal count",
        "count": [int(value) for value in weight[0][kept]],
        "predicted": [number(value) for value in predicted[0][kept]],
        "observed": _band(drawn[0][kept], drawn[1][:, kept]),
    }


def _decision_curve(rows: Rows, resamples: int, seed: int) -> dict[str, Any]:
    note = _one_class(rows)
    if note:
        return {"note": note}
    y_true, everybody = rows.y_malignant, np.ones(len(rows))
    drawn = replicates(
        rows.groups,
        {
            "model": lambda w: decisions.net_benefit(y_true, rows.malignant_probability, THRESHOLDS, w),
            "gain": lambda w: (
                decisions.net_benefit(y_true, rows.malignant_probability, THRESHOLDS, w)
                - np.maximum(decisions.net_benefit(y_true, everybody, THRESHOLDS, w), 0.0)
            ),
        },
        resamples,
        seed,
    )
    refer_all = decisions.net_benefit(y_true, everybody, THRESHOLDS, np.ones((1, len(rows))))[0]
    return {
        "note": "",
        "threshold": THRESHOLDS.tolist(),
        "model": _band(*drawn["model"], lowest=-np.inf),
        "gain_over_best_default": _band(*drawn["gain"], lowest=-np.inf),
        "refer_everybody": [number(value) for value in refer_all],
    }


def _risk_coverage(rows: Rows, resamples: int, seed: int) -> dict[str, Any]:
    """Error of the referral decision, and of the suggested diagnosis, when the least sure are declined."""
    found: dict[str, Any] = {"coverage": COVERAGES.tolist()}
    binary = rows.select(rows.known(Label.MALIGNANT))
    fine = rows.select(rows.known(Label.DIAGNOSIS))
    distance = np.abs(_log_odds(binary.malignant_probability) - _log_odds(np.array([rows.threshold])))
    jobs = {
        "decision": (binary, binary.refer != binary.y_malignant, distance),
        "diagnosis": (fine, fine.suggested != fine.diagnosis, fine.probability.max(axis=1, initial=0.0)),
    }
    for name, (subset, wrong, sureness) in jobs.items():
        if len(subset):
            found[name] = _band(*replicates(subset.groups, {"risk": _risk(wrong, sureness)}, resamples, seed)["risk"])
    return found


def _risk(wrong: NDArray[np.bool_], sureness: Floats) -> Any:
    return lambda weights: decisions.risk_coverage(wrong, sureness, COVERAGES, weights)


def _log_odds(probability: Floats) -> Floats:
    clipped = np.clip(probability, 1e-9, 1 - 1e-9)
    odds: Floats = np.log(clipped / (1 - clipped))
    return odds


def _confusion(rows: Rows, resamples: int, seed: int) -> dict[str, Any]:
    """Counts, and each row's shares with interval."""
    n_classes = len(rows.classes)
    if not len(rows):
        return {"note": "No picture is labelled with one diagnosis."}

    def shares(weights: Floats) -> Floats:
        matrix = decisions.confusion_counts(rows.diagnosis, rows.suggested, n_classes, weights)
        by_row: Floats = decisions.ratio(matrix, matrix.sum(axis=2, keepdims=True))
        return by_row.reshape(len(weights), -1)

    estimate, resampled = replicates(rows.groups, {"shares": shares}, resamples, seed)["shares"]
    matrix = decisions.confusion_counts(rows.diagnosis, rows.suggested, n_classes, np.ones((1, len(rows))))[0]
    band = _band(estimate, resampled)
    rows_of = {
        key: [values[k * n_classes : (k + 1) * n_classes] for k in range(n_classes)] for key, values in band.items()
    }
    wrong: list[dict[str, Any]] = sorted(
        (
            {
                "confirmed": str(rows.classes[i]),
                "suggested": str(rows.classes[j]),
                "count": int(matrix[i, j]),
                "share_of_confirmed": number(matrix[i, j] / matrix[i].sum()),
            }
            for i in range(n_classes)
            for j in range(n_classes)
            if i != j and matrix[i, j] > 0
        ),
        key=_minus_count,
    )
    return {
        "note": "",
        "classes": [str(diagnosis) for diagnosis in rows.classes],
        "counts": matrix.astype(int).tolist(),
        "share": rows_of,
        "top_confusions": wrong[:10],
    }


def _minus_count(entry: dict[str, Any]) -> int:
    return -int(entry["count"])
