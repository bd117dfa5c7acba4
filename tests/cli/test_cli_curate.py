import sys
from pathlib import Path

import pytest

from dermaloop.cli import main
from dermaloop.core import manifest as manifests
from dermaloop.curation.sources import SOURCES
from support.datasets import LAYOUTS, picture, table

RECIPE = """
seed = 1
[sources.ham10000]
[sources.clinic]
importer = "folders"
use = "train"
"""


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs a command as a shell would; gives exit status, output and messages."""

    def _run(*words):
        monkeypatch.setattr(sys, "argv", ["dermaloop", "curate", *map(str, words)])
        status = 0
        try:
            main()
        except SystemExit as end:
            status = int(end.code or 0)
        out, err = capsys.readouterr()
        return status, out, " ".join(err.split())

    return _run


@pytest.fixture
def data(tmp_path):
    LAYOUTS["ham10000"](tmp_path / "ham10000")
    for seed in range(6):
        picture(tmp_path / "clinic" / "nevus" / f"{seed}.png", 50 + seed)
    (tmp_path / "recipe.toml").write_text(RECIPE)
    return tmp_path


def test_build_by_a_recipe(run, data):
    status, out, err = run(
        "build", data / "recipe.toml", "--data", data, "--out", data / "m.parquet", "--report", data / "r.html"
    )
    assert status == 0, err
    assert "11 rows" in out
    assert "11 new, 0 known already" in out
    assert "no rule is broken" in out
    assert "left knee" in err
    assert "Dataset report" in (data / "r.html").read_text()
    stored = manifests.read(data / "m.parquet")
    assert set(stored.where(source="clinic").column("split")) == {"train"}
    assert (
        "0 new, 11 known already" in run("build", data / "recipe.toml", "--data", data, "--out", data / "m.parquet")[1]
    )


def test_step_by_step(run, data):
    out = data / "m.csv"
    status, text, _ = run("import", f"ham10000={data / 'ham10000'}", f"mine:folders={data / 'clinic'}", "--out", out)
    assert status == 0
    assert "mine" in text
    assert manifests.read(out).column("split") == [None] * 11
    assert run("split", out, "--recipe", data / "recipe.toml")[0] == 0
    assert None not in manifests.read(out).column("split")
    status, text, _ = run("check", out)
    assert (status, "no rule is broken" in text) == (0, True)
    status, text, _ = run("show", out)
    assert "ham10000" in text
    assert run("report", out, "--out", data / "r.html")[0] == 0


def test_split_can_write_elsewhere(run, data):
    run("import", f"ham10000={data / 'ham10000'}", "--out", data / "m.parquet")
    before = (data / "m.parquet").read_bytes()
    assert run("split", data / "m.parquet", "--recipe", data / "recipe.toml", "--out", data / "n.parquet")[0] == 0
    assert (data / "m.parquet").read_bytes() == before
    assert None not in manifests.read(data / "n.parquet").column("split")


def test_check_names_what_is_broken_and_fails(run, data):
    run("build", data / "recipe.toml", "--data", data, "--out", data / "m.parquet")
    picture(data / "clinic" / "nevus" / "3.png", 99)
    stored = manifests.read(data / "m.parquet")
    stored.with_columns(split=["train", "test", *stored.column("split")[2:]]).write(data / "m.parquet")
    status, out, err = run("check", data / "m.parquet")
    assert status == 1
    assert "2 rules are broken" in out
    assert "split_breaks_group" in err
    assert "file_changed" in err
    status, _, err = run("check", data / "m.parquet", "--no-files")
    assert (status, "file_changed" in err) == (1, False)


def test_the_recipe_says_how_a_source_is_imported(run, data):
    status, _, _ = run(
        "import", f"clinic={data / 'clinic'}", "--recipe", data / "recipe.toml", "--out", data / "m.parquet"
    )
    assert status == 0
    assert set(manifests.read(data / "m.parquet").column("candidates")) == {"NV"}


def test_sources_lists_all(run):
    _, out, _ = run("sources")
    assert all(name in out for name in SOURCES)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("import", "ham10000", "--out", "m.parquet"), "SOURCE=FOLDER"),
        (("import", "isic2031=/nowhere", "--out", "m.parquet"), "no importer 'isic2031'"),
        (("import", "ham10000=/nowhere", "--out", "m.parquet"), "/nowhere: there is no such folder"),
        (("import", "ham10000=/nowhere", "--out", "m.xlsx"), "the ending '.xlsx' is unknown"),
        (
            ("import", "ham10000=/nowhere", "--out", "/dev/null/m.csv"),
            "m.csv: the manifest cannot be written",
        ),
        (("build", "none.toml", "--data", ".", "--out", "m.parquet"), "no such recipe"),
        (("show", "none.parquet"), "none.parquet"),
        (("check", "none.parquet"), "none.parquet"),
        (("report", "none.parquet", "--out", "r.html"), "none.parquet"),
    ],
)
def test_what_is_wrong_is_one_line_and_nothing_is_written(run, tmp_path, monkeypatch, words, told):
    monkeypatch.chdir(tmp_path)
    status, _, err = run(*words)
    assert status == 1
    assert told in err
    assert "Traceback" not in err
    assert list(Path().iterdir()) == []


def test_a_broken_layout_leaves_the_manifest_as_it_was(run, data):
    run("import", f"ham10000={data / 'ham10000'}", "--out", data / "m.parquet")
    before = (data / "m.parquet").read_bytes()
    table(data / "ham10000" / "HAM10000_metadata.csv", ("lesion_id", "image_id"), ("HAM_1", "ISIC_1"))
    status, _, err = run("import", f"ham10000={data / 'ham10000'}", "--out", data / "m.parquet")
    assert (status, "'dx' is missing" in err) == (1, True)
    assert (data / "m.parquet").read_bytes() == before
    assert not [path for path in data.iterdir() if path.name.startswith(".")]
