"""The README's results are what the shipped bundle's own evaluation says, digit for digit."""

import re
from pathlib import Path

import pytest

import results
from dermaloop.core import bundle as bundles
from support.toy import toy_bundle

ROOT = Path(__file__).resolve().parents[2]


def figure(value: float | None, note: str = "") -> dict[str, object]:
    low, high = (None, None) if value is None else (value - 0.01, value + 0.01)
    return {"value": value, "low": low, "high": high, "n": 100, "note": note}


@pytest.fixture
def evaluation() -> dict[str, object]:
    names = (*results.FIGURES, *results.AT_POINT)
    section = {
        "split": "test",
        "source": "ham10000",
        "counts": {"rows": 1500, "groups": 1100, "malignant": 290, "benign": 1210},
        "figures": {"all": {name: figure(0.9012) for name in results.FIGURES}},
        "operating_points": {"sensitive": {"all": {name: figure(0.951) for name in results.AT_POINT}}},
    }
    few = {**section, "source": "small", "figures": {"all": {n: figure(None, "too few") for n in results.FIGURES}}}
    calibration = {**section, "split": "calibration", "source": "never shown"}
    compared = {"counts": section["counts"], "figures": {"melanoma_auc": figure(0.71)}}
    return {
        "bundle": {"network": "net", "size_px": 224, "default_operating_point": "sensitive"},
        "metrics": {name: {"title": f"The {name}"} for name in names},
        "interval": "95% bootstrap",
        "resamples": 1000,
        "sections": [section, few, calibration],
        "leave_one_source_out": [
            {
                "source": "ham10000",
                "split": "test",
                "left_out": {"bundle": "x", **compared},
                "all_sources": None,
                "note": "",
            }
        ],
    }


def test_without_a_bundle_it_says_so(tmp_path):
    assert "No reference bundle ships" in results.results(tmp_path)


def test_an_unevaluated_bundle_is_named(tmp_path):
    toy_bundle(tmp_path, packed=True)
    assert re.search(r"`toy@[0-9a-f]{12}` ships without an evaluation", results.results(tmp_path))


def test_the_table_states_the_bundles_figures(tmp_path, evaluation):
    path = toy_bundle(tmp_path, packed=True)
    bundles.update_parts(path, {bundles.EVALUATION: bundles.json_part(evaluation)})
    text = results.results(tmp_path)
    assert "| The macro_auc | 0.901 (0.891 to 0.911) | too few |" in text
    assert "| Images (lesions or patients) | 1,500 (1,100) | 1,500 (1,100) |" in text
    assert "| The sensitivity at the operating point `sensitive` | 0.951 (0.941 to 0.961) |" in text
    assert "| ham10000 (1,500 pictures) | The melanoma_auc | 0.710 (0.700 to 0.720) | not measured |" in text
    assert "never shown" not in text
    assert bundles.open_bundle(path).identity in text


def test_without_test_figures_those_of_validation_are_named_as_such(tmp_path, evaluation):
    path = toy_bundle(tmp_path, packed=True)
    evaluation["sections"] = [{**part, "split": "validation"} for part in evaluation["sections"][:2]]
    bundles.update_parts(path, {bundles.EVALUATION: bundles.json_part(evaluation)})
    text = results.results(tmp_path)
    assert "the test split has not been opened" in text
    assert "| Validation split | ham10000 | small |" in text


def test_the_readme_holds_the_section():
    """That it is current is checked with all other generated parts, in tests/docs."""
    text = (ROOT / "README.md").read_text()
    assert "<!-- generated: results -->" in text
    shipped = sorted((ROOT / "src/dermaloop/models").glob("*.dermaloop"))
    assert len(shipped) <= 1
    for path in shipped:
        assert bundles.open_bundle(path).identity in text
