"""The prediction's flat row, and errors fit to show."""

from __future__ import annotations

import pytest

from dermaloop.core import errors
from dermaloop.core.prediction import COLUMNS, Decision, Prediction, Reason, Status
from dermaloop.core.taxonomy import Diagnosis


def test_the_columns_are_the_documented_ones_in_order():
    assert COLUMNS == (
        "image", "sha256", "bundle", "status", "reasons", "malignant_probability", "decision", "operating_point",
        "top_diagnosis", "p_MEL", "p_NV", "p_BCC", "p_AKIEC", "p_BKL", "p_DF", "p_VASC", "p_SCC",
    )  # fmt: skip


def test_an_assessed_and_an_unreadable_row():
    probabilities = {diagnosis: index / 28 for index, diagnosis in enumerate(Diagnosis)}
    row = Prediction(
        "a.jpg", "0" * 64, "toy@0", Status.ASSESSED, malignant_probability=0.4, decision=Decision.REFER,
        operating_point="sensitivity-95", top_diagnosis=Diagnosis.SCC, probabilities=probabilities,
    ).row()  # fmt: skip
    assert row["status"] == "assessed"
    assert row["decision"] == "refer"
    assert row["top_diagnosis"] == "SCC"
    assert row["p_SCC"] == 7 / 28
    assert all(type(value) in (str, float) for value in row.values()), "plain values, no members of enumerations"
    reasons = (Reason("blurred", "It is blurred."), Reason("ambiguous", "It is near the threshold."))
    bad = Prediction("b.jpg", "", "toy@0", Status.UNREADABLE, reasons).row()
    assert bad["reasons"] == "blurred;ambiguous"
    assert (bad["decision"], bad["top_diagnosis"]) == ("", "")
    assert bad["malignant_probability"] is bad["p_MEL"] is None


KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.DermaloopError)]


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_says_what_where_and_the_way_out(kind):
    first = ("corrupt",) if kind in (errors.ImageError, errors.ManifestError) else ()
    error = kind(*first, "it is broken", where="file.jpg", way_out="Mend it.")
    assert str(error) == "file.jpg: it is broken. Mend it."
    assert (error.what, error.where, error.way_out) == ("it is broken", "file.jpg", "Mend it.")
    assert str(kind(*first, "it is broken")) == "it is broken"


def test_every_error_has_a_code_of_its_own():
    assert len({kind.code for kind in KINDS}) == len(KINDS)
