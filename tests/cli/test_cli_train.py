"""`dermaloop train`: one command from recipe and manifest to a bundle that the other commands take."""

import csv
import json
import subprocess
import sys
import textwrap

import pytest
from typer.testing import CliRunner

from dermaloop.cli.app import app
from dermaloop.core import bundle as bundles
from dermaloop.core.errors import ManifestError, RecipeError
from support.trainings import lesion_manifest, run_python, small, write_toml

RUNNER = CliRunner()
QUICK = small(run={"steps": 4, "steps_per_epoch": 2}, package={"sensitivity": [0.9]})


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with `small.toml`, `manifest.parquet` and its pictures."""
    folder = tmp_path_factory.mktemp("train")
    lesion_manifest(folder / "images").write(folder / "manifest.parquet")
    write_toml(QUICK, folder / "small.toml")
    return folder


def train(place, *words):
    return RUNNER.invoke(app, ["train", str(place / "small.toml"), str(place / "manifest.parquet"), *map(str, words)])


def dermaloop(*words):
    """The command as a person runs it."""
    process = run_python("from dermaloop.cli import main; main()", *map(str, words))
    output, errors = process.communicate(timeout=600)
    return process.returncode, output, errors


@pytest.fixture(scope="module")
def trained(place):
    """What the command said, once: (exit status, standard output, standard error)."""
    return dermaloop(
        "train", place / "small.toml", place / "manifest.parquet", "--out", place / "run", "--licence", "Tests."
    )


def test_it_writes_a_bundle_and_says_where(place, trained):
    status, output, errors = trained
    assert status == 0, errors
    path = place / "run" / "small.dermaloop"
    written = bundles.open_bundle(path)
    assert f"Wrote {path} ({written.identity})." in errors
    assert output == ""
    assert "Warning" not in errors
    assert written.spec.licence == "Tests."


def test_the_bundle_is_taken_by_classify(place, trained):
    picture = next((place / "images" / "alpha").glob("test-*.png"))
    out = place / "found.csv"
    status, _, errors = dermaloop(
        "classify", picture, "--bundle", place / "run" / "small.dermaloop", "--format", "csv", "--out", out
    )
    assert status == 0, errors
    with out.open() as stream:
        (row,) = csv.DictReader(stream)
    assert row["status"] in ("assessed", "abstained")
    assert 0 <= float(row["malignant_probability"]) <= 1


def test_packaging_again_needs_no_training(place, trained, monkeypatch):
    from dermaloop.training import run  # noqa: PLC0415 - patched

    monkeypatch.setattr(run, "train", None)
    again = place / "again.dermaloop"
    words = ["--out", place / "run", "--package-only", "--bundle", again, "--set", "package.sensitivity=[0.5]"]
    outcome = train(place, *words)
    assert outcome.exit_code == 0, outcome.output
    assert bundles.open_bundle(again).spec.default_operating_point == "sensitivity-50"


def test_overrides_and_a_source_left_out_reach_the_run(place, tmp_path):
    words = ["--leave-out", "beta", "--set", "run.steps=2", "--set", "name=other", "--bundle", tmp_path / "b.dermaloop"]
    outcome = train(place, "--out", tmp_path / "run", "--cache", tmp_path / "cache", *words)
    assert outcome.exit_code == 0, outcome.output
    stored = json.loads((tmp_path / "run" / "recipe.json").read_text())["recipe"]
    assert stored["name"] == "other-without-beta"
    assert stored["data"]["leave_out"] == ["beta"]
    assert stored["run"]["steps"] == 2
    assert bundles.open_bundle(tmp_path / "b.dermaloop").spec.sources == {"alpha": 24}
    assert list((tmp_path / "cache").glob("*.npy"))


@pytest.mark.parametrize("text", ["run.steps", "=5"])
def test_an_override_without_key_and_value_is_wrong_usage(place, tmp_path, text):
    outcome = train(place, "--out", tmp_path / "run", "--set", text)
    assert outcome.exit_code == 2
    assert "is not KEY=VALUE" in outcome.output


def test_a_mistake_costs_no_training(place, tmp_path):
    outcome = train(place, "--out", tmp_path / "run", "--set", "run.stepps=5")
    assert isinstance(outcome.exception, RecipeError)
    outcome = train(place, "--out", tmp_path / "run", "--set", 'package.calibration_sources=["gamma"]')
    assert isinstance(outcome.exception, ManifestError)
    outcome = train(place, "--out", tmp_path / "run", "--package-only")
    assert isinstance(outcome.exception, RecipeError)
    assert not (tmp_path / "run").exists()


def test_a_mistake_is_one_line_and_no_traceback(place, tmp_path):
    status, _, errors = dermaloop(
        "train", tmp_path / "none.toml", place / "manifest.parquet", "--out", tmp_path / "run"
    )
    assert status == 1
    assert errors.startswith("Error: ")
    assert "there is no such recipe" in errors
    assert "Traceback" not in errors


def test_without_the_extra_it_says_what_to_install(place, tmp_path):
    code = textwrap.dedent("""
        import sys
        class Missing:
            def find_spec(self, name, path=None, target=None):
                if name.partition(".")[0] == "torch":
                    raise ModuleNotFoundError("No module named 'torch'", name="torch")
        sys.meta_path.insert(0, Missing())
        from dermaloop.cli import main
        main()
    """)
    process = run_python(
        code, "train", str(place / "small.toml"), str(place / "manifest.parquet"), "--out", str(tmp_path)
    )
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 1
    assert errors.split("\n")[0] == (
        "Error: training needs the package 'torch'. Install it with: pip install 'dermaloop[train]'"
    )


def test_help_needs_no_torch():
    code = "import sys; from dermaloop.cli import main\ntry: main()\nfinally: assert 'torch' not in sys.modules"
    found = subprocess.run([sys.executable, "-c", code, "train", "--help"], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    assert "--leave-out" in found.stdout
