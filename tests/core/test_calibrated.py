"""Logits to calibrated probabilities."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dermaloop.core.bundle import Calibration
from dermaloop.core.calibrated import malignant_probability, probabilities
from dermaloop.core.taxonomy import MALIGNANT, Diagnosis

CLASSES = tuple(Diagnosis)
LOGITS = arrays(np.float32, (3, len(CLASSES)), elements=st.floats(-1e4, 1e4, width=32))


def calibration(temperature: float = 1.0, bias: tuple[float, ...] = (0.0,) * len(CLASSES)) -> Calibration:
    return Calibration(temperature=temperature, bias=bias, fitted_on="nothing")


@given(LOGITS, st.floats(0.05, 20))
def test_rows_are_probabilities_however_large_the_logits(logits, temperature):
    found = probabilities(logits, calibration(temperature))
    assert np.isfinite(found).all()
    assert (found >= 0).all()
    assert found.sum(axis=1) == pytest.approx(1)
    side = malignant_probability(found, CLASSES)
    assert ((side >= 0) & (side <= 1)).all()
    assert side == pytest.approx(found[:, [c in MALIGNANT for c in CLASSES]].sum(axis=1))


@given(LOGITS, st.floats(-100, 100))
def test_adding_the_same_to_all_logits_changes_nothing(logits, shift):
    shifted = (logits.astype(np.float64) + shift).astype(np.float64)
    one = probabilities(logits.astype(np.float64), calibration())
    assert probabilities(shifted, calibration()) == pytest.approx(one, abs=1e-9)


def test_by_hand():
    logits = np.log(np.array([[1, 2, 3, 4, 5, 6, 7, 8]], np.float32))
    assert probabilities(logits, calibration())[0] == pytest.approx(np.arange(1, 9) / 36)
    hot = probabilities(logits, calibration(2.0))[0]
    assert hot == pytest.approx(np.sqrt(np.arange(1, 9)) / np.sqrt(np.arange(1, 9)).sum())
    doubled = probabilities(logits, calibration(bias=(float(np.log(2)),) + (0.0,) * 7))[0]
    assert doubled == pytest.approx(np.array([2, 2, 3, 4, 5, 6, 7, 8]) / 37)


def test_the_classes_of_the_bundle_decide_which_columns_count():
    found = np.array([[0.1, 0.2, 0.7]])
    assert malignant_probability(found, (Diagnosis.NV, Diagnosis.SCC, Diagnosis.MEL)) == pytest.approx([0.9])
    assert malignant_probability(found, (Diagnosis.NV, Diagnosis.DF, Diagnosis.BKL)) == pytest.approx([0.0])
