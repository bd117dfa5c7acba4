import json

import pytest
from typer.testing import CliRunner

from dermaloop.cli.app import app
from dermaloop.core import bundle as bundles
from dermaloop.core.errors import ManifestError, OutputError
from support.drawn import drawn_manifest
from support.toy import toy_bundle

RUNNER = CliRunner()


@pytest.fixture
def given(tmp_path):
    return toy_bundle(tmp_path, packed=True), drawn_manifest(tmp_path, 12), tmp_path / "out"


def run(given, *more):
    bundle, manifest, out = map(str, given)
    return RUNNER.invoke(
        app, ["evaluate", bundle, manifest, "--out", out, "--resamples", "100", "--threads", "1", *more]
    )


def test_it_prints_the_figures_and_says_that_test_was_opened(given):
    outcome = run(given)
    assert outcome.exit_code == 0, outcome.output
    figures = json.loads((given[2] / "evaluation.json").read_text())["sections"][0]["figures"]["all"]
    assert f"{figures['malignant_auc']['value']:.2f}" in outcome.output
    assert "The test split was opened; this is logged in the history of" in outcome.output
    assert len(bundles.open_bundle(given[0]).json(bundles.HISTORY)) == 1


def test_the_bundle_gets_the_report_only_when_asked(given):
    assert run(given).exit_code == 0
    assert bundles.REPORT not in bundles.open_bundle(given[0]).parts
    assert run(given, "--write-into-bundle").exit_code == 0
    assert bundles.REPORT in bundles.open_bundle(given[0]).parts


def test_an_unknown_split_is_an_error_with_a_way_out(given):
    outcome = run(given, "--split", "validation")
    assert isinstance(outcome.exception, ManifestError)
    assert "Choose among: test." in str(outcome.exception)
    assert not given[2].exists()


def test_a_file_in_place_of_the_folder_is_refused_before_the_test_split_is_opened(given):
    given[2].write_text("mine")
    outcome = run(given)
    assert isinstance(outcome.exception, OutputError)
    assert given[2].read_text() == "mine"
    assert bundles.open_bundle(given[0]).json(bundles.HISTORY) is None


def test_a_malformed_pair_is_wrong_usage(given):
    outcome = run(given, "--leave-one-out", "clinic_b")
    assert outcome.exit_code == 2
    assert "SOURCE=FILE" in outcome.output
