"""The table of metrics: each with its name, direction, range, what it needs of a label, and its function.

Owns the list that report, card and property tests go through: a metric that is not here is not reported, and one that
is here is tested. The functions answer many bootstrap resamples at once (`weights (R, N)`); the arithmetic is in
`ranking`, `decisions` and `reliability`. Adding a metric is one function and one row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dermaloop.evaluation import decisions, ranking, reliability
from dermaloop.evaluation.bootstrap import IntervalKind
from dermaloop.evaluation.rows import Label, Rows

Floats = NDArray[np.float64]
MetricFunction = Callable[[Rows, Floats], Floats]


@dataclass(frozen=True, slots=True)
class Metric:
    """One row of the table.

    Attributes:
        name: Stable key in the JSON.
        title: For people.
        better: Which direction is better.
        needs: What of a label; rows whose label does not say it are left out and counted.
        function: (rows whose labels say it, weights (R, N)) → (R,); its docstring says what and why.
        highest: Upper bound; the lower bound is 0.
        at_threshold: Whether it depends on the operating point.
        is_share: Whether it is a plain share of cases, right or wrong.
        both_classes: Whether it needs positives and negatives (or two diagnoses) to mean anything.
        interval: Kind of bootstrap interval.
    """

    name: str
    title: str
    better: Literal["higher", "lower"]
    needs: Label
    function: MetricFunction
    highest: float = 1.0
    at_threshold: bool = False
    is_share: bool = False
    both_classes: bool = True
    interval: IntervalKind = "percentile"


def balanced_accuracy(rows: Rows, weights: Floats) -> Floats:
    """Mean share recognised over the diagnoses present; the goal metric of the ISIC challenges 2018 and 2019."""
    return decisions.balanced_accuracy_score(rows.diagnosis, rows.suggested, weights)


def accuracy(rows: Rows, weights: Floats) -> Floats:
    """Share of pictures whose suggested diagnosis is right; flattered by common diagnoses."""
    return decisions.accuracy_score(rows.diagnosis, rows.suggested, weights)


def macro_auc(rows: Rows, weights: Floats) -> Floats:
    """Mean one-versus-rest AUC over the diagnoses present; says how well the classes are told apart at any cut."""
    return ranking.macro_auc_score(rows.diagnosis, rows.probability, weights)


def malignant_auc(rows: Rows, weights: Floats) -> Floats:
    """AUC of the probability of malignancy, malignant (MEL, BCC, AKIEC, SCC) against benign."""
    return ranking.auc_score(rows.y_malignant, rows.malignant_probability, weights)


def melanoma_auc(rows: Rows, weights: Floats) -> Floats:
    """AUC of the probability of melanoma, melanoma against all else; what ISIC 2017's part 3 ranked by."""
    return ranking.auc_score(rows.y_melanoma, rows.melanoma_probability, weights)


def malignant_average_precision(rows: Rows, weights: Floats) -> Floats:
    """Average precision for malignancy; unlike AUC it falls with prevalence, whose value is its chance level."""
    return ranking.average_precision_score(rows.y_malignant, rows.malignant_probability, weights)


def melanoma_average_precision(rows: Rows, weights: Floats) -> Floats:
    """Average precision for melanoma against all else; its chance level is the share of melanoma."""
    return ranking.average_precision_score(rows.y_melanoma, rows.melanoma_probability, weights)


def malignant_partial_auc(rows: Rows, weights: Floats) -> Floats:
    """Area above a sensitivity of 80 %, at most 0.2, chance 0.02: the ISIC 2024 score, on malignancy."""
    return ranking.partial_auc_score(rows.y_malignant, rows.malignant_probability, weights)


def sensitivity(rows: Rows, weights: Floats) -> Floats:
    """Share of malignant pictures at or above the operating point: the cancers that are referred."""
    return decisions.sensitivity_score(rows.y_malignant, rows.refer, weights)


def specificity(rows: Rows, weights: Floats) -> Floats:
    """Share of benign pictures below the operating point: the needless referrals that are spared."""
    return decisions.specificity_score(rows.y_malignant, rows.refer, weights)


def positive_predictive_value(rows: Rows, weights: Floats) -> Floats:
    """Share of referred pictures that are malignant, at this data's prevalence, which is no clinic's."""
    return decisions.positive_predictive_score(rows.y_malignant, rows.refer, weights)


def negative_predictive_value(rows: Rows, weights: Floats) -> Floats:
    """Share of pictures not referred that are benign, at this data's prevalence, which is no clinic's."""
    return decisions.negative_predictive_score(rows.y_malignant, rows.refer, weights)


def top_label_calibration_error(rows: Rows, weights: Floats) -> Floats:
    """Expected calibration error of the likeliest diagnosis, 15 bins of equal width (Guo et al. 2017)."""
    likeliest = rows.probability.argmax(axis=1)
    top = rows.probability.max(axis=1)
    bins = reliability.equal_width_bins(top)
    return reliability.expected_calibration_error(likeliest == rows.diagnosis, top, bins, weights)


def malignant_calibration_error(rows: Rows, weights: Floats) -> Floats:
    """Expected calibration error of the probability of malignancy, 10 bins of equal count."""
    bins = reliability.equal_count_bins(rows.malignant_probability)
    return reliability.expected_calibration_error(rows.y_malignant, rows.malignant_probability, bins, weights)


def brier(rows: Rows, weights: Floats) -> Floats:
    """Brier score over all diagnoses: squared distance to the truth summed over the classes, from 0 to 2."""
    return reliability.multiclass_brier_error(rows.diagnosis, rows.probability, weights)


def malignant_brier(rows: Rows, weights: Floats) -> Floats:
    """Brier score of the probability of malignancy, from 0 to 1: calibration and discrimination in one."""
    return reliability.brier_error(rows.y_malignant, rows.malignant_probability, weights)


def risk_coverage_area(rows: Rows, weights: Floats) -> Floats:
    """Mean error rate of the suggested diagnosis when ever more of the least sure pictures are declined."""
    wrong = rows.suggested != rows.diagnosis
    return decisions.risk_coverage_area(wrong, rows.probability.max(axis=1), weights)


_D, _M, _MEL = Label.DIAGNOSIS, Label.MALIGNANT, Label.MELANOMA
METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("balanced_accuracy", "Balanced accuracy", "higher", _D, balanced_accuracy, both_classes=False),
        Metric("accuracy", "Accuracy", "higher", _D, accuracy, is_share=True, both_classes=False),
        Metric("macro_auc", "Macro AUC, one versus rest", "higher", _D, macro_auc),
        Metric("malignant_auc", "AUC, malignant versus benign", "higher", _M, malignant_auc),
        Metric("melanoma_auc", "AUC, melanoma versus rest", "higher", _MEL, melanoma_auc),
        Metric(
            "malignant_average_precision", "Average precision, malignant", "higher", _M, malignant_average_precision
        ),
        Metric("melanoma_average_precision", "Average precision, melanoma", "higher", _MEL, melanoma_average_precision),
        Metric("malignant_partial_auc", "Partial AUC above 80 % sensitivity", "higher", _M, malignant_partial_auc, 0.2),
        Metric(
            "sensitivity",
            "Sensitivity",
            "higher",
            _M,
            sensitivity,
            at_threshold=True,
            is_share=True,
            both_classes=False,
        ),
        Metric(
            "specificity",
            "Specificity",
            "higher",
            _M,
            specificity,
            at_threshold=True,
            is_share=True,
            both_classes=False,
        ),
        Metric(
            "positive_predictive_value",
            "Positive predictive value",
            "higher",
            _M,
            positive_predictive_value,
            at_threshold=True,
            is_share=True,
        ),
        Metric(
            "negative_predictive_value",
            "Negative predictive value",
            "higher",
            _M,
            negative_predictive_value,
            at_threshold=True,
            is_share=True,
        ),
        Metric(
            "top_label_calibration_error",
            "Calibration error, likeliest diagnosis",
            "lower",
            _D,
            top_label_calibration_error,
            both_classes=False,
            interval="basic",
        ),
        Metric(
            "malignant_calibration_error",
            "Calibration error, malignancy",
            "lower",
            _M,
            malignant_calibration_error,
            both_classes=False,
            interval="basic",
        ),
        Metric("brier", "Brier score, all diagnoses", "lower", _D, brier, 2.0, both_classes=False),
        Metric("malignant_brier", "Brier score, malignancy", "lower", _M, malignant_brier, both_classes=False),
        Metric("risk_coverage_area", "Mean risk over coverage", "lower", _D, risk_coverage_area, both_classes=False),
    )
}
"""Every metric that is reported, in the order of the report."""
