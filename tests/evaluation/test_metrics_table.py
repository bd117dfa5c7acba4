"""Properties that hold for every metric, over the table, which must be complete."""

import inspect

import numpy as np
import pytest

from dermaloop.core.taxonomy import Diagnosis
from dermaloop.evaluation import metrics
from dermaloop.evaluation.figures import measure
from dermaloop.evaluation.metrics import METRICS
from dermaloop.evaluation.rows import from_labels
from support.cohort import cohort

EACH = pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)


def answer(metric, rows, weights=None):
    known = rows.known(metric.needs)
    weights = np.ones((1, len(rows))) if weights is None else weights
    return metric.function(rows.select(known), weights[:, known])


def test_every_metric_function_is_in_the_table_under_its_name():
    functions = {
        name: function
        for name, function in inspect.getmembers(metrics, inspect.isfunction)
        if function.__module__ == metrics.__name__ and not name.startswith("_")
    }
    assert {name: metric.function for name, metric in METRICS.items()} == functions


@EACH
def test_it_says_what_it_is(metric):
    assert metric.title
    assert len(metric.function.__doc__) > 40
    assert metric.better in ("higher", "lower")


@EACH
@pytest.mark.parametrize("seed", range(5))
def test_it_stays_in_its_range(metric, seed):
    rows = cohort(60, seed=seed, skill=0.5 * seed, coarse=10)
    weights = np.random.default_rng(seed).integers(0, 3, (20, 60)).astype(float)
    values = answer(metric, rows, weights)
    finite = values[np.isfinite(values)]
    assert len(finite) > 10
    assert finite.min() >= -1e-12
    assert finite.max() <= metric.highest + 1e-12


@EACH
def test_more_skill_is_better(metric):
    good, bad = (answer(metric, cohort(800, seed=2, skill=skill))[0] for skill in (4.0, 0.2))
    assert (good > bad) if metric.better == "higher" else (good < bad)


@EACH
def test_scaling_all_weights_changes_nothing(metric):
    rows = cohort(120)
    weights = np.random.default_rng(0).integers(0, 3, (4, 120)).astype(float)
    np.testing.assert_allclose(answer(metric, rows, weights), answer(metric, rows, 7.5 * weights))


@EACH
def test_many_resamples_at_once_equal_one_at_a_time(metric):
    rows = cohort(120, coarse=20)
    weights = np.random.default_rng(0).integers(0, 3, (4, 120)).astype(float)
    one_by_one = [answer(metric, rows, weights[i : i + 1])[0] for i in range(4)]
    np.testing.assert_allclose(answer(metric, rows, weights), one_by_one)


# Bins of equal count are cut on the sample, so repetition moves them.
@pytest.mark.parametrize(
    "metric", [m for m in METRICS.values() if m.name != "malignant_calibration_error"], ids=lambda m: m.name
)
def test_a_whole_weight_counts_as_repetition(metric):
    rows = cohort(90)
    counts = np.random.default_rng(4).integers(1, 4, 90)
    repeated = rows.select(np.repeat(np.arange(90), counts))
    np.testing.assert_allclose(answer(metric, rows, counts[None].astype(float)), answer(metric, repeated))


@EACH
def test_the_order_of_rows_does_not_matter(metric):
    rows = cohort(120, coarse=15)
    shuffled = rows.select(np.random.default_rng(1).permutation(120))
    np.testing.assert_allclose(answer(metric, rows), answer(metric, shuffled))


@EACH
@pytest.mark.parametrize("kind", ["malignant", "benign", "none"])
def test_one_class_only_gives_a_sentence_and_no_crash(metric, kind):
    label = {"malignant": Diagnosis.MEL, "benign": Diagnosis.NV, "none": Diagnosis.NV}[kind]
    n = 0 if kind == "none" else 30
    probability = np.random.default_rng(0).dirichlet(np.ones(8), n)
    rows = from_labels(tuple(Diagnosis), probability, [frozenset({label})] * n, np.arange(n), threshold=0.5)
    figure = measure(rows, [metric.name], resamples=50)[metric.name]
    if figure["value"] is None:
        assert figure["note"].endswith(".")
    else:
        assert 0 <= figure["value"] <= metric.highest
        assert not metric.both_classes
    if kind == "none":
        assert figure["value"] is None


@EACH
def test_coarse_labels_enter_only_what_they_support(metric):
    rows = cohort(100, coarse=100)  # every label says only: melanoma or not
    known = rows.known(metric.needs)
    assert known.all() if metric.name.startswith("melanoma_") else not known.all()
