"""The manifest: both file formats both ways, the checks on reading, and what its methods promise."""

from __future__ import annotations

import hashlib
import stat
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dermaloop.core.errors import ManifestError, OutputError, UnknownDiagnosisError
from dermaloop.core.manifest import SCHEMA, SITES, Confirmation, ImageType, ManifestRow, Split, concat, from_rows, read
from dermaloop.core.taxonomy import Diagnosis, format_candidates
from support.rows import manifest, row

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
NAME = st.text(st.characters(codec="utf-8", categories=["L", "N"], include_characters="-_."), min_size=1, max_size=20)
QUALITY = st.none() | st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def rows(draw: st.DrawFn) -> ManifestRow:
    candidates = draw(st.frozensets(st.sampled_from(list(Diagnosis))))
    quality = {name: draw(QUALITY) for name in SCHEMA.names if name.startswith("quality_")}
    return ManifestRow(
        image_id=draw(TEXT.filter(bool)),
        source=draw(NAME),
        path=draw(NAME.filter(lambda name: name.strip("."))),
        sha256=draw(st.sampled_from(["", "a" * 64, "0123456789abcdef" * 4])),
        size_bytes=draw(st.none() | st.integers(0, 2**40)),
        width_px=draw(st.none() | st.integers(1, 2**20)),
        height_px=draw(st.none() | st.integers(1, 2**20)),
        pixel_aspect=draw(st.floats(0.1, 10)),
        lesion_id=draw(TEXT),
        patient_id=draw(TEXT),
        diagnosis_term=draw(TEXT),
        diagnosis=next(iter(candidates)) if len(candidates) == 1 else None,
        candidates=format_candidates(candidates),
        confirmation=draw(st.sampled_from(list(Confirmation))),
        image_type=draw(st.sampled_from(list(ImageType))),
        age_years=draw(st.none() | st.floats(0, 120)),
        sex=draw(st.sampled_from(["", "female", "male"])),
        site=draw(st.sampled_from(["", *SITES])),
        skin_type=draw(st.none() | st.integers(1, 6)),
        mask_path=draw(st.just("") | NAME.filter(lambda name: name.strip("."))),
        licence=draw(TEXT),
        group=draw(TEXT),
        duplicate_group=draw(TEXT),
        perceptual_hash=draw(st.sampled_from(["", "0123456789abcdef"])),
        reject_reason=draw(TEXT),
        split=draw(st.none() | st.sampled_from(list(Split))),
        **quality,
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(rows(), max_size=6), st.sampled_from(["parquet", "csv"]))
def test_a_written_manifest_is_read_as_it_was(given_rows, kind):
    with tempfile.TemporaryDirectory() as folder:
        first = from_rows(given_rows, Path(folder))
        path = Path(folder) / f"rows.{kind}"
        first.write(path)
        again = read(path)
        assert [again.row(i) for i in range(len(again))] == given_rows
        assert again.table.schema == SCHEMA
        assert again.identity() == first.identity()
        assert {entry.name for entry in Path(folder).iterdir()} == {path.name}, "no temporary file is left"


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_many_rows_in_several_batches(tmp_path, kind):
    many = from_rows((row(str(i), age_years=i % 90) for i in range(25_000)), tmp_path)
    path = tmp_path / f"many.{kind}"
    many.write(path)
    again = read(path)
    assert again.column("image_id") == [str(i) for i in range(25_000)]
    assert again.column("age_years")[24_999] == 24_999 % 90
    assert again.identity() == many.identity()


def test_identity_ignores_order_and_place_and_nothing_else(tmp_path):
    one, two = row("a"), row("b", split="test")
    first = manifest(one, two, folder=tmp_path)
    assert manifest(two, one, folder="/elsewhere").identity() == first.identity()
    assert manifest(row("a", path="moved/a.png", mask_path="m.png"), two).identity() == first.identity()
    for name, value in {
        "split": "train",
        "image_id": "c",
        "age_years": 3.5,
        "sha256": "b" * 64,
        "licence": "x",
    }.items():
        assert manifest(one.model_copy(update={name: value}), two).identity() != first.identity(), name
    assert manifest(one).identity() != first.identity()
    assert manifest(one, one, two).identity() != first.identity()


def test_identity_is_the_documented_hash():
    table = manifest(row("a")).table.drop_columns(["path", "mask_path"])
    values = ["" if v is None else repr(v) if isinstance(v, float) else str(v) for v in table.to_pylist()[0].values()]
    text = ",".join(table.column_names) + "\x1e" + "\x1f".join(values)
    assert manifest(row("a")).identity() == hashlib.sha256(text.encode()).hexdigest()


def test_paths_below_the_file_become_relative_and_others_absolute(tmp_path):
    (tmp_path / "data").mkdir()
    first = manifest(row("a", path="in/a.png", mask_path="../outside.png"), folder=tmp_path / "data")
    first.write(tmp_path / "data" / "sub" / ".." / "rows.csv")
    again = read(tmp_path / "data" / "rows.csv")
    assert again.column("path") == ["in/a.png"]
    assert again.column("mask_path") == [(tmp_path / "outside.png").as_posix()]
    assert again.image_path(0) == tmp_path / "data" / "in" / "a.png"
    again.write(tmp_path / "rows.parquet")
    moved = read(tmp_path / "rows.parquet")
    assert moved.column("path") == ["data/in/a.png"]
    assert moved.column("mask_path") == ["outside.png"]
    assert moved.image_paths() == again.image_paths()


def test_concat_keeps_every_file_in_its_place(tmp_path):
    one = manifest(row("a"), folder=tmp_path / "one")
    two = manifest(row("b"), folder=tmp_path / "two")
    both = concat([one, two], tmp_path)
    assert both.column("path") == ["one/a.png", "two/b.png"]
    assert both.image_paths() == one.image_paths() + two.image_paths()
    assert len(concat([], tmp_path)) == 0


def test_rows_can_be_chosen_and_changed(tmp_path):
    three = manifest(row("a", split="train"), row("b", split="test"), row("c"), folder=tmp_path)
    assert three.select(np.array([True, False, True])).column("image_id") == ["a", "c"]
    assert three.where(split="train").column("image_id") == ["a"]
    assert three.where(split=["train", "test"], image_id="b").column("image_id") == ["b"]
    assert three.with_columns(skin_type=[1, None, 6]).column("skin_type") == [1, None, 6]
    assert three.with_columns(quality_blur=np.array([0.1, 0.2, 0.3])).row(1).quality_blur == 0.2
    assert three.column("skin_type") == [None, None, None], "the original is unchanged"


def test_groups_fall_back_from_group_to_patient_to_lesion_to_image():
    found = manifest(
        row("a", group="g", patient_id="p", lesion_id="l"),
        row("b", patient_id="p", lesion_id="l"),
        row("c", lesion_id="l"),
        row("d"),
    ).groups()
    assert found == ["g", "p", "l", "made-up/d"]


def test_labels_become_sets_and_sides():
    labels = manifest(
        row("a", candidates="MEL"), row("b", candidates="MEL|NV"), row("c"), row("d", candidates="NV|BKL")
    )
    assert labels.candidate_sets()[1] == {Diagnosis.MEL, Diagnosis.NV}
    assert labels.malignant() == [True, None, None, False]
    with pytest.raises(UnknownDiagnosisError, match="MOLE"):
        manifest(row("a", candidates="MOLE")).candidate_sets()


HEADER = "image_id,source,path"


@pytest.mark.parametrize(
    ("text", "rule", "words"),
    [
        ("image_id,source\na,s\n", "missing_column", "'path'"),
        (f"{HEADER},colour\na,s,p,red\n", "unknown_column", "'colour'"),
        (f"{HEADER},diagnosis\na,s,p,MEL\nb,s,p,MOLE\n", "bad_value", "row 2 (image_id 'b'): diagnosis is 'MOLE'"),
        (f"{HEADER},diagnosis\na,s,p,MOLE\n", "bad_value", "input should be 'MEL', 'NV', 'BCC'"),
        (f"{HEADER},age_years\na,s,p,old\n", "bad_value", "age_years is 'old'"),
        (f"{HEADER},age_years\na,s,p,-1\n", "bad_value", "greater than or equal to 0"),
        (f"{HEADER},skin_type\na,s,p,7\n", "bad_value", "skin_type"),
        (f"{HEADER},sha256\na,s,p,XYZ\n", "bad_value", "sha256"),
        (f"{HEADER},split\na,s,p,training\n", "bad_value", "split is 'training'"),
        (f"{HEADER}\n,s,p\n", "bad_value", "image_id is ''"),
        (f"{HEADER}\na,s\n", "unreadable", "csv"),
        ("", "unreadable", "csv"),
    ],
)
def test_a_bad_csv_is_refused_with_the_row_and_the_column(tmp_path, text, rule, words):
    path = tmp_path / "rows.csv"
    path.write_text(text)
    with pytest.raises(ManifestError) as caught:
        read(path)
    assert caught.value.rule == rule
    assert words in str(caught.value)
    assert str(path) in str(caught.value)
    assert caught.value.way_out


def test_a_bad_parquet_is_refused(tmp_path):
    path = tmp_path / "rows.parquet"
    path.write_bytes(b"PAR1 but not really")
    with pytest.raises(ManifestError) as caught:
        read(path)
    assert caught.value.rule == "unreadable"
    pq.write_table(pa.table({"image_id": ["a", None], "source": ["s", "s"], "path": ["p", "p"]}), path)
    with pytest.raises(ManifestError, match="row 2") as caught:
        read(path)
    assert caught.value.rule == "bad_value"


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_missing_columns_and_missing_values_take_their_defaults(tmp_path, kind):
    path = tmp_path / f"rows.{kind}"
    if kind == "csv":
        path.write_text(f"{HEADER},pixel_aspect,confirmation,age_years\na,s,p,,,\n")
    else:
        columns = {
            "image_id": ["a"],
            "source": ["s"],
            "path": ["p"],
            "pixel_aspect": [None],
            "age_years": [float("nan")],
        }
        pq.write_table(pa.table(columns), path)
    assert read(path).row(0) == ManifestRow(image_id="a", source="s", path="p")


@pytest.mark.parametrize(
    ("name", "rule"), [("rows.xlsx", "unknown_format"), ("rows", "unknown_format"), ("gone.csv", "missing_file")]
)
def test_no_such_manifest(tmp_path, name, rule):
    with pytest.raises(ManifestError) as caught:
        read(tmp_path / name)
    assert caught.value.rule == rule


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "rows.parquet"
    manifest(row("a"), folder=tmp_path).write(path)
    before = path.read_bytes()

    def full(table: pa.Table, where: Path, **_: object) -> None:
        Path(where).write_bytes(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "write_table", full)
    with pytest.raises(OutputError, match="No space left"):
        manifest(row("b"), folder=tmp_path).write(path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_others_may_read_what_was_written(tmp_path):
    plain = tmp_path / "plain"
    plain.write_text("x")
    manifest(row("a"), folder=tmp_path).write(tmp_path / "rows.csv")
    assert stat.S_IMODE((tmp_path / "rows.csv").stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)
