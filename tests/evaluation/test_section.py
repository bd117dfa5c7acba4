import json

import numpy as np
import pytest

from dermaloop.core.bundle import OperatingPoint
from dermaloop.evaluation import subgroups
from dermaloop.evaluation.section import measure_section
from support.cohort import cohort


def point(name, threshold):
    return OperatingPoint(
        name=name, target="", threshold=threshold, sensitivity=0.9, specificity=0.8, sensitivity_interval=(0.8, 1),
        specificity_interval=(0.7, 0.9), n_malignant=10, n_benign=10, measured_on="drawn",
    )  # fmt: skip


def section(rows, reasons=None, **overrides):
    n = len(rows)
    columns = {
        name: [None] * n for name in ("age_years", "skin_type", "sex", "site", "source", "image_type", "confirmation")
    }
    columns["diagnosis"] = [str(rows.classes[k]) if k >= 0 else None for k in rows.diagnosis]
    return measure_section(
        rows,
        [point("high", 0.3), point("low", 0.6)],
        reasons or [[]] * n,
        subgroups.attributes(columns),
        **{"default_point": "high", "resamples": 100, **overrides},
    )


def test_it_is_valid_json_and_repeatable():
    rows = cohort(200, coarse=20)
    first, second = (json.dumps(section(rows), allow_nan=False) for _ in range(2))
    assert first == second


def test_all_and_assessed_are_apart_and_reasons_are_counted():
    rows = cohort(200)
    assessed = np.arange(200) >= 40
    reasons = [
        [] if decided else ["ambiguous", *(["blurred"] if row < 10 else [])] for row, decided in enumerate(assessed)
    ]
    found = section(rows.with_malignant_probability(rows.malignant_probability, assessed), reasons, unreadable=3)
    assert found["figures"]["all"]["accuracy"]["n"] == 200
    assert found["figures"]["assessed"]["accuracy"]["n"] == 160
    abstention = found["abstention"]
    assert abstention["declined"] == 40
    assert abstention["unreadable"] == 3
    assert abstention["share_all"]["value"] == 0.2
    assert {name: entry["count"] for name, entry in abstention["by_reason"].items()} == {"ambiguous": 40, "blurred": 10}


def test_a_higher_threshold_refers_fewer():
    points = section(cohort(300))["operating_points"]
    assert points["low"]["all"]["sensitivity"]["value"] <= points["high"]["all"]["sensitivity"]["value"]
    assert points["low"]["all"]["specificity"]["value"] >= points["high"]["all"]["specificity"]["value"]


def test_the_confusion_matrix_counts_every_fine_label_and_names_the_worst():
    rows = cohort(300, coarse=30, skill=1.0)
    confusion = section(rows)["confusion"]
    matrix = np.array(confusion["counts"])
    assert matrix.sum() == np.sum(rows.diagnosis >= 0)
    off = matrix - np.diag(np.diag(matrix))
    assert confusion["top_confusions"][0]["count"] == off.max()
    worst = [entry["count"] for entry in confusion["top_confusions"]]
    assert worst == sorted(worst, reverse=True)


def test_curves_carry_bands_that_hold_the_curve():
    found = section(cohort(300))
    for band in (
        found["roc"]["sensitivity"],
        found["decision_curve"]["model"],
        found["risk_coverage"]["decision"],
        found["reliability"]["observed"],
    ):
        for value, low, high in zip(band["value"], band["low"], band["high"], strict=True):
            assert low - 1e-9 <= value <= high + 1e-9
    assert found["risk_coverage"]["coverage"][-1] == 1.0
    accuracy = found["figures"]["all"]["accuracy"]["value"]
    assert found["risk_coverage"]["diagnosis"]["value"][-1] == pytest.approx(1 - accuracy, abs=1e-6)


@pytest.mark.parametrize("kind", ["empty", "benign", "coarse"])
def test_edge_cases_get_sentences(kind):
    rows = cohort(60, coarse=60 if kind == "coarse" else 0)
    keep = {"empty": np.zeros(60, dtype=bool), "benign": rows.malignant == 0, "coarse": rows.melanoma == 0}[kind]
    found = json.loads(json.dumps(section(rows.select(keep)), allow_nan=False))
    assert found["figures"]["all"]["malignant_auc"]["value"] is None
    assert found["figures"]["all"]["malignant_auc"]["note"].endswith(".")
    assert found["roc"]["note"].endswith(".")
    assert found["decision_curve"]["note"].endswith(".")
