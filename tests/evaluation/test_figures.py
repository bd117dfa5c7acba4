import numpy as np
import pytest

from dermaloop.core.taxonomy import Diagnosis
from dermaloop.evaluation import subgroups
from dermaloop.evaluation.figures import LEAST, counts, measure
from dermaloop.evaluation.metrics import METRICS
from dermaloop.evaluation.rows import from_labels
from support.cohort import cohort


def simple(labels, probability=None, **overrides):
    n = len(labels)
    probability = np.random.default_rng(0).dirichlet(np.ones(8), n) if probability is None else probability
    return from_labels(tuple(Diagnosis), probability, labels, np.arange(n), **{"threshold": 0.5, **overrides})


def test_labels_become_what_they_support():
    rows = simple(
        [
            frozenset({Diagnosis.MEL}),
            frozenset({Diagnosis.NV}),
            frozenset(Diagnosis) - {Diagnosis.MEL},  # not melanoma: may be malignant or benign
            frozenset({Diagnosis.MEL, Diagnosis.BCC, Diagnosis.AKIEC, Diagnosis.SCC}),  # malignant, may be melanoma
            frozenset({Diagnosis.NV, Diagnosis.BKL}),
            frozenset(),
        ]
    )
    assert rows.diagnosis.tolist() == [0, 1, -1, -1, -1, -1]
    assert rows.malignant.tolist() == [1, 0, -1, 1, 0, -1]
    assert rows.melanoma.tolist() == [1, 0, 0, -1, 0, -1]
    assert counts(rows) == {
        "rows": 6, "groups": 6, "malignant": 2, "benign": 2, "melanoma": 1, "not_melanoma": 3,
        "fine_label": 2, "coarse_label": 4,
    }  # fmt: skip


def test_every_figure_has_its_interval_and_the_rows_behind_it():
    rows = cohort(400, coarse=50)
    found = measure(rows, METRICS, resamples=200)
    assert list(found) == list(METRICS)
    for name, figure in found.items():
        assert figure["low"] <= figure["high"], name
        assert figure["note"] == "", name
    for name in set(METRICS) - {"malignant_calibration_error", "top_label_calibration_error"}:
        assert found[name]["low"] <= found[name]["value"] <= found[name]["high"], name
    assert found["melanoma_auc"]["n"] == 400
    assert found["accuracy"]["n"] < 400
    assert found["sensitivity"]["n"] == counts(rows)["malignant"]
    assert found["specificity"]["n"] == counts(rows)["benign"]


def test_too_few_are_marked_or_withheld_with_a_sentence():
    labels = [frozenset({Diagnosis.MEL})] * (LEAST - 1) + [frozenset({Diagnosis.NV})] * 50
    marked = measure(simple(labels), ["malignant_auc", "specificity"], resamples=50)
    assert marked["malignant_auc"]["value"] is not None
    assert marked["malignant_auc"]["note"] == "Too few to say: 9 pictures malignant."
    assert marked["specificity"]["note"] == ""
    withheld = measure(simple(labels), ["malignant_auc", "sensitivity"], resamples=50, withhold=True)
    assert withheld["malignant_auc"]["value"] is None
    assert withheld["sensitivity"] == {
        "value": None,
        "low": None,
        "high": None,
        "n": 9,
        "note": marked["malignant_auc"]["note"],
    }
    labels.append(frozenset({Diagnosis.MEL}))
    assert measure(simple(labels), ["malignant_auc"], resamples=50, withhold=True)["malignant_auc"]["value"] is not None


def test_all_right_still_has_a_width():
    labels = [frozenset({Diagnosis.MEL})] * 20 + [frozenset({Diagnosis.NV})] * 20
    probability = np.zeros((40, 8))
    probability[:20, 0] = probability[20:, 1] = 1.0
    figure = measure(simple(labels, probability), ["sensitivity"], resamples=100)["sensitivity"]
    assert (figure["value"], figure["high"]) == (1.0, 1.0)
    assert figure["low"] == pytest.approx(0.8316, abs=1e-3)


@pytest.mark.parametrize(
    ("years", "band"),
    [
        (0, "under 30"),
        (29.9, "under 30"),
        (30, "30-44"),
        (75, "75 and over"),
        (119, "75 and over"),
        (None, "not recorded"),
    ],
)
def test_age_bands(years, band):
    assert subgroups.age_band(years) == band


def test_skin_types_go_in_pairs():
    bands = [subgroups.skin_type_band(value) for value in (1, 2, 3, 4, 5, 6, None)]
    assert bands == ["I-II", "I-II", "III-IV", "III-IV", "V-VI", "V-VI", "not recorded"]


def test_subgroups_equal_the_figures_of_their_rows_alone():
    rows = cohort(300)
    sex = np.where(np.arange(300) % 3 == 0, "female", "male")
    columns = {
        name: [None] * 300 for name in ("age_years", "skin_type", "site", "source", "image_type", "confirmation")
    }
    columns |= {"sex": sex.tolist(), "diagnosis": [str(rows.classes[k]) for k in rows.diagnosis]}
    found = subgroups.measure_subgroups(rows, subgroups.attributes(columns), resamples=100)
    by_value = {entry["value"]: entry for entry in found}
    assert {entry["attribute"] for entry in found} == {"sex", "diagnosis"}
    alone = measure(rows.select(sex == "female"), ["malignant_auc"], resamples=100, withhold=True)
    assert by_value["female"]["figures"]["malignant_auc"] == alone["malignant_auc"]
    assert by_value["female"]["counts"]["rows"] == 100
    assert by_value["NV"]["figures"]["specificity"]["value"] is not None
    assert "sensitivity" not in by_value["NV"]["figures"]  # there is no malignant naevus to be sensitive to
    assert "specificity" not in by_value["MEL"]["figures"]
