import json

import pytest
from typer.testing import CliRunner

from dermaloop.cli.app import app
from dermaloop.core import bundle as bundles
from dermaloop.core.errors import BundleError, OutputError
from support.toy import toy_bundle

RUNNER = CliRunner()


@pytest.fixture
def folder(tmp_path):
    return toy_bundle(tmp_path)


def run(*words):
    return RUNNER.invoke(app, ["bundle", *map(str, words)], env={"COLUMNS": "200"})


def test_show_says_what_it_is_and_how_it_decides(folder):
    outcome = run("show", folder)
    assert outcome.exit_code == 0, outcome.output
    bundle = bundles.open_bundle(folder)
    for words in (bundle.identity, "drawn 96 images", "Apache-2.0", "sensitivity >= 0.95", "0.960 (0.900 to 0.990)"):
        assert words in outcome.output
    assert "sensitivity-95 (default)" in outcome.output
    assert "Not a medical device" in outcome.output


def test_show_as_json_is_the_specification_with_the_identity(folder):
    shown = json.loads(run("show", folder, "--json").output)
    bundle = bundles.open_bundle(folder)
    assert shown.pop("identity") == bundle.identity
    assert bundles.Spec.model_validate(shown) == bundle.spec


def test_verify_lists_the_hash_of_every_part(folder):
    outcome = run("verify", folder)
    assert outcome.exit_code == 0
    for name, digest in bundles.open_bundle(folder).spec.parts.items():
        assert f"{digest}  {name}" in outcome.output
    assert "intact and the graph runs" in outcome.output


@pytest.mark.parametrize("part", [bundles.MODEL, bundles.REFERENCES, bundles.CARD])
def test_verify_names_the_part_with_one_flipped_bit(folder, part):
    content = bytearray((folder / part).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / part).write_bytes(content)
    outcome = run("verify", folder)
    assert outcome.exit_code == 1
    assert isinstance(outcome.exception, BundleError)
    assert part in str(outcome.exception)


def test_verify_refuses_a_graph_that_does_not_run_though_its_hash_is_right(tmp_path):
    path = toy_bundle(tmp_path, parts={bundles.MODEL: b"not a graph"})
    assert isinstance(run("verify", path).exception, BundleError)


def test_card_prints_the_markdown(folder):
    assert run("card", folder).output == (folder / bundles.CARD).read_text() + "\n"


def test_export_both_ways_keeps_the_identity(folder, tmp_path):
    packed, again = tmp_path / "copy.dermaloop", tmp_path / "again"
    assert run("export", packed, "--bundle", folder).exit_code == 0
    assert run("export", again, "--bundle", packed).exit_code == 0
    identity = bundles.open_bundle(folder).identity
    assert packed.is_file()
    assert bundles.open_bundle(packed).identity == bundles.open_bundle(again).identity == identity


def test_export_to_an_impossible_place_is_an_output_error(folder, tmp_path):
    (tmp_path / "file").write_text("x")
    outcome = run("export", tmp_path / "file" / "out.dermaloop", "--bundle", folder)
    assert isinstance(outcome.exception, OutputError)


def test_a_missing_bundle_has_a_way_out(tmp_path):
    assert "Name a bundle folder" in str(run("show", tmp_path / "none").exception)
