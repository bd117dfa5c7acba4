import csv
import errno
import io
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image
from typer.testing import CliRunner

from dermaloop.cli.app import app
from dermaloop.core.errors import BundleError, OutputError
from dermaloop.core.prediction import COLUMNS
from dermaloop.core.synthetic import draw_lesion
from dermaloop.inference import default
from support.hostile import hostile_files
from support.toy import toy_bundle

RUNNER = CliRunner()
CSV_HEAD = (
    "image,sha256,bundle,status,reasons,malignant_probability,decision,operating_point,top_diagnosis,"
    "p_MEL,p_NV,p_BCC,p_AKIEC,p_BKL,p_DF,p_VASC,p_SCC"
)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return toy_bundle(tmp_path_factory.mktemp("classify"), packed=True)


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for seed in range(5):
        draw_lesion(seed, size_px=100, malignant=bool(seed % 2)).save(folder / f"{seed}.jpg")
    return folder


def run(bundle, *words, **more):
    return RUNNER.invoke(app, ["classify", "--bundle", str(bundle), "--threads", "2", *map(str, words)], **more)


def test_a_person_gets_words_a_footer_and_the_warning(bundle, photos, monkeypatch):
    monkeypatch.chdir(photos)
    outcome = run(bundle, ".", env={"COLUMNS": "200"})
    assert outcome.exit_code == 0, outcome.output
    rows = [line for line in outcome.output.splitlines() if ".jpg" in line]
    assert len(rows) == 5
    for row in rows:
        below = "is below the threshold of 50 %." in row
        assert ("No referral" in row) == below
        assert ("Refer " in row) == ("is at or above the threshold of 50 %." in row) == (not below)
    assert "5 assessed, 0 declined, 0 unreadable. Model toy@" in outcome.output
    assert "finds 96.0 % of malignant lesions (90 % to 99.0 %)" in outcome.output
    assert "Decision support for research use. Not a medical device." in outcome.output


def test_csv_has_the_promised_columns_and_a_row_per_picture_in_order(bundle, photos):
    outcome = run(bundle, photos, "--format", "csv")
    assert outcome.exit_code == 0
    assert outcome.output.splitlines()[0] == CSV_HEAD == ",".join(COLUMNS)
    rows = list(csv.DictReader(io.StringIO(outcome.output)))
    assert [row["image"] for row in rows] == [str(photos / f"{seed}.jpg") for seed in range(5)]
    for row in rows:
        assert row["status"] == "assessed"
        assert row["decision"] == ("refer" if float(row["malignant_probability"]) >= 0.5 else "no_referral")
        assert sum(float(row[name]) for name in COLUMNS if name.startswith("p_")) == pytest.approx(1)


def test_all_formats_say_the_same(bundle, photos, tmp_path):
    (photos / "9.jpg").write_bytes(b"no picture")
    outs = {kind: tmp_path / f"out.{kind}" for kind in ("csv", "json", "parquet")}
    for out in outs.values():
        outcome = run(bundle, photos, "--out", out)
        assert outcome.exit_code == 3
        assert outcome.output == ""
    by_csv = list(csv.DictReader(outs["csv"].read_text().splitlines()))
    by_json = json.loads(outs["json"].read_text())
    by_parquet = pq.read_table(outs["parquet"])
    assert by_parquet.column_names == list(COLUMNS)
    for text, plain, row in zip(by_csv, by_json["predictions"], by_parquet.to_pylist(), strict=True):
        assert text["image"] == plain["image"] == row["image"]
        assert text["status"] == plain["status"] == row["status"]
        assert text["reasons"] == ";".join(reason["code"] for reason in plain["reasons"]) == row["reasons"]
        assert plain["malignant_probability"] == row["malignant_probability"]
        if row["status"] == "unreadable":
            assert text["p_MEL"] == ""
            assert row["p_MEL"] is None
            assert plain["probabilities"] == {}
        else:
            assert float(text["p_MEL"]) == row["p_MEL"] == plain["probabilities"]["MEL"]
    assert by_json["operating_point"]["name"] == "sensitivity-95"
    assert by_json["predictions"][-1]["reasons"][0]["text"].startswith("This is not a picture")
    assert len(by_json["predictions"][0]["similar"]) == 5
    assert by_json["predictions"][0]["quality"]["brightness"] > 0


def test_unreadable_files_are_rows_and_the_exit_status_is_3(bundle, tmp_path):
    folder = tmp_path / "hostile"
    folder.mkdir()
    expected = {}
    for name, (content, reason) in hostile_files().items():
        path = folder / name.replace("/", "_")
        path.write_bytes(content)
        expected[str(path)] = reason
    outcome = run(bundle, *expected, "--format", "csv")
    assert outcome.exit_code == 3, outcome.output[-500:]
    got = {row["image"]: row for row in csv.DictReader(io.StringIO(outcome.output))}
    assert got.keys() == expected.keys()
    for name, reason in expected.items():
        if reason is not None:
            assert (got[name]["status"], got[name]["reasons"]) == ("unreadable", reason)
        else:
            assert got[name]["status"] != "unreadable"


def test_a_list_on_standard_input(bundle, photos):
    listing = f"{photos / '3.jpg'}\n\n{photos / '1.jpg'}\n{photos / 'none.jpg'}\n"
    outcome = run(bundle, "-", "--format", "csv", input=listing)
    assert outcome.exit_code == 3
    rows = list(csv.DictReader(io.StringIO(outcome.output)))
    assert [row["image"].rsplit(os.sep, 1)[1] for row in rows] == ["3.jpg", "1.jpg", "none.jpg"]
    assert rows[2]["reasons"] == "missing_file"


def test_the_operating_point_can_be_chosen_and_must_exist(bundle, photos):
    outcome = run(bundle, photos, "--operating-point", "sensitivity-90", "--format", "csv")
    assert {row["operating_point"] for row in csv.DictReader(io.StringIO(outcome.output))} == {"sensitivity-90"}
    assert isinstance(run(bundle, photos, "--operating-point", "best").exception, BundleError)


def test_overlays_are_pictures_without_metadata_one_for_each_readable_file(bundle, photos, tmp_path):
    (photos / "9.jpg").write_bytes(b"no picture")
    folder = tmp_path / "made" / "overlays"
    assert run(bundle, photos, "--overlay", folder).exit_code == 3
    drawn = sorted(folder.iterdir())
    assert [path.name.split("-")[0] for path in drawn] == ["0", "1", "2", "3", "4"]
    with Image.open(drawn[0]) as shown:
        assert shown.size == (100, 100)
        assert not shown.getexif()
        with Image.open(photos / "0.jpg") as original:
            assert shown.tobytes() != original.tobytes()


@pytest.mark.parametrize(
    "words",
    [
        ["--format", "parquet"],
        ["--format", "xml"],
        ["--threads", "0"],
    ],
)
def test_wrong_usage_is_status_2(bundle, photos, words):
    assert run(bundle, photos, *words).exit_code == 2


def test_a_folder_without_pictures_is_wrong_usage_and_writes_nothing(bundle, tmp_path):
    (tmp_path / "empty").mkdir()
    outcome = run(bundle, tmp_path / "empty", "--out", tmp_path / "out.csv")
    assert outcome.exit_code == 2
    assert "no picture" in outcome.output
    assert not (tmp_path / "out.csv").exists()


def test_what_a_folder_holds_beside_pictures_is_counted_not_passed_over(bundle, photos):
    (photos / "0.jpg").rename(photos / "a lesion without an ending")
    assert "left out" not in run(bundle, photos).output
    for name in ("notes.txt", "scan\x1b[2J.dcm"):
        (photos / name).write_bytes(b"DICM, or anything else")
    outcome = run(bundle, photos, "--format", "csv")
    assert outcome.exit_code == 0
    assert "left out 2 files of the folder" in outcome.stderr
    assert "notes.txt first" in outcome.stderr
    assert "left out" not in outcome.stdout
    assert "a lesion without an ending" in outcome.stdout
    assert "\x1b" not in outcome.output
    for photo in [*photos.glob("*.jpg"), photos / "a lesion without an ending"]:
        photo.unlink()
    assert "left out 2 files" in run(bundle, photos).output, "where there is no picture at all, too"


@pytest.mark.parametrize("kind", ["table", "csv", "json", "parquet"])
def test_a_place_that_cannot_be_written_is_one_line_and_leaves_nothing(bundle, photos, tmp_path, kind):
    (tmp_path / "file").write_text("mine")
    outcome = run(bundle, photos, "--format", kind, "--out", tmp_path / "file" / "out")
    assert isinstance(outcome.exception, OutputError)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    ("option", "kind"),
    [("--out", "table"), ("--out", "csv"), ("--out", "json"), ("--out", "parquet"), ("--overlay", "csv")],
)
def test_a_full_disk_is_an_output_error_and_keeps_the_old_file(bundle, photos, monkeypatch, option, kind):
    tmp_path = photos.parent
    target = tmp_path / "target"
    if option == "--out":
        target.write_text("old")

    def full(self, other):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "replace", full)
    outcome = run(bundle, photos, "--format", kind, option, target)
    assert isinstance(outcome.exception, OutputError)
    assert "No space left on device" in str(outcome.exception)
    assert not [path for path in tmp_path.rglob("*") if path.name.endswith(".part")]
    if option == "--out":
        assert target.read_text() == "old"


def test_without_a_bundle_anywhere_it_says_so(photos, monkeypatch, tmp_path):
    missing = default.default_bundle_path
    monkeypatch.setattr(default, "default_bundle_path", lambda: missing(tmp_path))
    outcome = RUNNER.invoke(app, ["classify", str(photos)])
    assert isinstance(outcome.exception, BundleError)
    assert "--bundle" in str(outcome.exception)


def test_the_real_command_prints_one_line_and_no_traceback(bundle, tmp_path):
    command = [sys.executable, "-c", "from dermaloop.cli import main; main()", "classify", "x.jpg", "--bundle"]
    done = subprocess.run([*command, str(tmp_path / "none")], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1
    assert "there is no such bundle" in done.stderr
    piped = subprocess.run([*command, str(bundle)], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert piped.returncode == 3
    assert "x.jpg" in piped.stdout
    assert piped.stderr == ""


def classify_by_the_real_command(bundle, *words, **more):
    script = "from dermaloop.cli import main; main()"
    command = [sys.executable, "-c", script, "classify", "--bundle", str(bundle), "--threads", "1", *map(str, words)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **more)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize("kind", ["csv", "table"])
def test_a_full_disk_behind_standard_output_is_told_in_one_line(bundle, photos, kind):
    with Path("/dev/full").open("w") as full:
        done = classify_by_the_real_command(bundle, photos, "--format", kind, stdout=full)
        told = done.communicate()[1]
    assert done.returncode == 1
    assert told == "Error: No space left on device. Free space, or choose another place.\n"


def test_a_terminal_without_unicode_gets_escapes(bundle, photos):
    (photos / "0.jpg").rename(photos / "Muttermal-größe-病.jpg")
    done = classify_by_the_real_command(
        bundle,
        photos.name,
        "--format=csv",
        cwd=photos.parent,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
    )
    out, told = done.communicate()
    assert (done.returncode, told) == (0, "")
    assert "Muttermal-gr\\xf6\\xdfe-\\u75c5.jpg" in out


def test_terminated_it_leaves_no_temporary_file(bundle, photos, tmp_path):
    out = tmp_path / "out" / "found.csv"
    many = [photos.name] * 3000
    done = classify_by_the_real_command(bundle, *many, "--out", out, cwd=photos.parent)
    wait = threading.Event()
    while not (out.parent.is_dir() and list(out.parent.iterdir())):
        assert done.poll() is None
        wait.wait(0.02)
    done.terminate()
    assert done.communicate(timeout=180)[1] == ""
    assert done.returncode == 143
    assert list(out.parent.iterdir()) == []


def test_names_are_cut_for_overlays_and_do_not_steer_the_terminal(bundle, photos, tmp_path):
    (photos / "0.jpg").rename(photos / ("x" * 250 + ".jpg"))
    (photos / "1.jpg").rename(photos / "red\x1b[31m\u202etxet.jpg")
    outcome = run(bundle, photos, "--overlay", tmp_path / "overlays", env={"COLUMNS": "700"})
    assert outcome.exit_code == 0, outcome.output
    names = sorted(path.name for path in (tmp_path / "overlays").iterdir())
    assert len(names) == 5
    assert any(name.startswith("x" * 200 + "-") for name in names)
    assert "red?[31m?txet.jpg" in outcome.output
    assert "\x1b" not in outcome.output
