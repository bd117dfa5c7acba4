"""The bundle: written whole or not at all, and one flipped bit anywhere in it is refused by name."""

from __future__ import annotations

import json
import stat
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from dermaloop.core import bundle as bundles
from dermaloop.core.errors import BundleError, OutputError
from dermaloop.core.taxonomy import Diagnosis
from support.toy import toy_bundle, toy_spec

PARTS = {
    bundles.MODEL: bytes(range(256)) * 4,
    bundles.CARD: b"# card\n",
    bundles.DISTRIBUTION: bundles.array_part(mean=np.arange(5.0)),
    bundles.REFERENCES: bundles.array_part(vectors=np.ones((3, 2), np.int8), image_ids=np.array(["a", "b", "c"])),
    bundles.HISTORY: bundles.json_part([{"opened": "test"}]),
}


def written(folder: Path, *, packed: bool) -> Path:
    path = folder / ("m.dermaloop" if packed else "m")
    bundles.write(path, toy_spec(), PARTS)
    return path


@pytest.fixture(params=[False, True], ids=["folder", "zip"])
def packed(request) -> bool:
    return request.param


def rewrite(path: Path, change) -> None:
    """Changes the files of a bundle behind its back; `change` gets and returns content by name."""
    if path.is_dir():
        files = {file.name: file.read_bytes() for file in path.iterdir()}
        for file in path.iterdir():
            file.unlink()
        for name, content in change(files).items():
            (path / name).write_bytes(content)
    else:
        with zipfile.ZipFile(path) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in change(files).items():
                archive.writestr(name, content)


def test_what_was_written_is_opened(tmp_path, packed):
    path = written(tmp_path, packed=packed)
    opened = bundles.open_bundle(path)
    assert dict(opened.parts) == PARTS
    assert opened.spec.model_copy(update={"parts": {}}) == toy_spec()
    assert opened.identity == f"toy@{opened.model_sha256[:12]}"
    assert opened.arrays(bundles.DISTRIBUTION)["mean"].tolist() == [0, 1, 2, 3, 4]
    assert opened.arrays(bundles.REFERENCES)["image_ids"].tolist() == ["a", "b", "c"]
    assert opened.json(bundles.HISTORY) == [{"opened": "test"}]
    assert opened.json(bundles.EVALUATION) is None
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_folder_and_file_have_the_same_identity_and_writing_twice_gives_the_same_bytes(tmp_path):
    folder, file = written(tmp_path, packed=False), written(tmp_path, packed=True)
    assert bundles.open_bundle(folder).identity == bundles.open_bundle(file).identity
    before = file.read_bytes()
    written(tmp_path, packed=True)
    assert file.read_bytes() == before


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_one_flipped_bit_is_refused_by_name(tmp_path, packed, data):
    path = written(tmp_path, packed=packed)
    name = data.draw(st.sampled_from([*PARTS, bundles.SPEC]))

    def flip(files):
        content = bytearray(files[name])
        place = data.draw(st.integers(0, len(content) * 8 - 1))
        content[place // 8] ^= 1 << place % 8
        return {**files, name: bytes(content)}

    rewrite(path, flip)
    with pytest.raises(BundleError) as caught:
        bundles.open_bundle(path)
    assert name in str(caught.value)
    assert str(path) in str(caught.value)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_in_the_zip_itself_changes_nothing_or_is_refused(tmp_path, place, bit):
    path = written(tmp_path, packed=True)
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 1 << bit
    path.write_bytes(content)
    try:
        opened = bundles.open_bundle(path)
    except BundleError:
        return
    assert dict(opened.parts) == PARTS, "the bit lay in a date or a permission, which nobody reads"


@pytest.mark.parametrize("name", [*PARTS, bundles.SPEC])
def test_a_missing_part_is_named(tmp_path, packed, name):
    path = written(tmp_path, packed=packed)
    rewrite(path, lambda files: {key: content for key, content in files.items() if key != name})
    with pytest.raises(BundleError, match=name) as caught:
        bundles.open_bundle(path)
    assert caught.value.way_out


def test_a_part_that_is_not_listed_is_refused(tmp_path, packed):
    path = written(tmp_path, packed=packed)
    rewrite(path, lambda files: {**files, "weights.pkl": b"\x80\x04."})
    with pytest.raises(BundleError, match=r"weights\.pkl"):
        bundles.open_bundle(path)


def test_another_format_is_refused_as_such(tmp_path, packed):
    path = written(tmp_path, packed=packed)
    rewrite(path, lambda files: {**files, bundles.SPEC: json.dumps({"format": 2}).encode()})
    with pytest.raises(BundleError, match=r"format.* is 2, not 1"):
        bundles.open_bundle(path)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000])
def test_a_specification_that_is_none_is_refused(tmp_path, packed, content):
    path = written(tmp_path, packed=packed)
    rewrite(path, lambda files: {**files, bundles.SPEC: content})
    with pytest.raises(BundleError, match=r"bundle\.json"):
        bundles.open_bundle(path)


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 not either", b"PK\x05\x06" + bytes(18)])
def test_a_file_that_is_no_bundle_is_refused(tmp_path, content):
    path = tmp_path / "m.dermaloop"
    path.write_bytes(content)
    with pytest.raises(BundleError):
        bundles.open_bundle(path)
    with pytest.raises(BundleError, match="no such bundle"):
        bundles.open_bundle(tmp_path / "gone")


def test_a_zip_that_unpacks_to_gigabytes_is_refused_unread(tmp_path, monkeypatch):
    path = written(tmp_path, packed=True)
    monkeypatch.setattr(bundles, "_MAX_BYTES", 1000)
    with pytest.raises(BundleError, match="unpacks to more"):
        bundles.open_bundle(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_part_that_is_in_the_zip_twice_is_refused(tmp_path):
    path = written(tmp_path, packed=True)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(bundles.MODEL, b"another")
    with pytest.raises(BundleError, match=r"model\.onnx.* twice"):
        bundles.open_bundle(path)


@pytest.mark.parametrize("name", [bundles.MODEL, bundles.CARD, bundles.DISTRIBUTION, bundles.REFERENCES])
def test_a_bundle_without_a_required_part_is_not_written(tmp_path, packed, name):
    with pytest.raises(BundleError, match=name):
        toy_bundle(tmp_path, packed=packed, parts={name: None})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["../evil", "a/b", ".hidden", bundles.SPEC, ""])
def test_part_names_are_plain_file_names(tmp_path, name):
    with pytest.raises(BundleError, match="name of a part"):
        bundles.write(tmp_path / "m", toy_spec(), {**PARTS, name: b"x"})


def test_a_full_disk_leaves_the_old_bundle_and_nothing_else(tmp_path, packed, monkeypatch):
    path = written(tmp_path, packed=packed)
    before = bundles.open_bundle(path).sha256

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "writestr", full)
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match="No space left"):
        bundles.write(path, toy_spec(version="2"), PARTS)
    monkeypatch.undo()
    assert bundles.open_bundle(path).sha256 == before
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_a_failed_rename_brings_the_old_folder_back(tmp_path, monkeypatch):
    path = written(tmp_path, packed=False)
    rename = Path.replace

    def refuse_new(self, target):
        if Path(target) == path and (self / bundles.SPEC).is_file() and "2" in (self / bundles.CARD).read_text():
            raise OSError(13, "Permission denied")
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", refuse_new)
    with pytest.raises(OutputError, match="Permission denied"):
        bundles.write(path, toy_spec(), {**PARTS, bundles.CARD: b"# card 2\n"})
    assert bundles.open_bundle(path).parts[bundles.CARD] == PARTS[bundles.CARD]
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_the_specification_is_written_last(tmp_path, monkeypatch):
    order = []
    write_bytes = Path.write_bytes
    monkeypatch.setattr(
        Path, "write_bytes", lambda self, content: (order.append(self.name), write_bytes(self, content))[1]
    )
    written(tmp_path, packed=False)
    assert order[-1] == bundles.SPEC
    assert set(order) == {*PARTS, bundles.SPEC}


def test_a_folder_of_something_else_is_never_replaced(tmp_path):
    mine = tmp_path / "holiday"
    mine.mkdir()
    (mine / "photo.jpg").write_bytes(b"precious")
    with pytest.raises(BundleError, match="something else"):
        bundles.write(mine, toy_spec(), PARTS)
    assert (mine / "photo.jpg").read_bytes() == b"precious"


def test_reports_can_be_added_and_the_model_cannot_be_changed(tmp_path, packed):
    path = written(tmp_path, packed=packed)
    bundles.update_parts(path, {bundles.EVALUATION: bundles.json_part({"auc": 0.9}), bundles.CARD: b"# new\n"})
    opened = bundles.open_bundle(path)
    assert opened.json(bundles.EVALUATION) == {"auc": 0.9}
    assert opened.parts[bundles.CARD] == b"# new\n"
    assert opened.parts[bundles.MODEL] == PARTS[bundles.MODEL]
    for name in (bundles.MODEL, bundles.DISTRIBUTION, bundles.REFERENCES, "other.txt"):
        with pytest.raises(BundleError, match="cannot be replaced"):
            bundles.update_parts(path, {name: b"x"})


def test_pickles_are_neither_written_nor_loaded(tmp_path):
    with pytest.raises(BundleError, match="Python objects"):
        bundles.array_part(names=np.array(["a", None], dtype=object))
    stream = tmp_path / "objects.npz"
    np.savez(stream, names=np.array([{"a": 1}], dtype=object))
    path = toy_bundle(tmp_path, parts={bundles.REFERENCES: stream.read_bytes()})
    with pytest.raises(BundleError, match=r"references\.npz"):
        bundles.open_bundle(path).arrays(bundles.REFERENCES)
    path = toy_bundle(tmp_path, parts={bundles.REFERENCES: b"\x80\x04K\x01."})
    with pytest.raises(BundleError, match=r"references\.npz"):
        bundles.open_bundle(path).arrays(bundles.REFERENCES)


@pytest.mark.parametrize(
    "fields",
    [
        {"classes": ()},
        {"classes": (Diagnosis.MEL, Diagnosis.MEL)},
        {"classes": (Diagnosis.MEL, Diagnosis.NV)},
        {"top_diagnosis_log_weights": (0.0,)},
        {"default_operating_point": "none such"},
        {"operating_points": toy_spec().operating_points[:1] * 2},
        {"operating_points": ()},
        {"size_px": 0},
        {"unheard_of": 1},
    ],
)
def test_fields_must_fit_together(fields):
    with pytest.raises(ValidationError):
        toy_spec(**fields)


def test_operating_points_are_found_by_name(tmp_path):
    opened = bundles.open_bundle(written(tmp_path, packed=False))
    assert opened.operating_point().name == "sensitivity-95"
    assert opened.operating_point("sensitivity-90").threshold == 0.6
    with pytest.raises(BundleError, match="Choose one of: sensitivity-95, sensitivity-90"):
        opened.operating_point("sensitivity-99")


def test_others_may_read_what_was_written(tmp_path):
    plain = tmp_path / "plain"
    plain.mkdir()
    (plain / "file").write_text("x")
    folder, file = written(tmp_path, packed=False), written(tmp_path, packed=True)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (folder, folder / bundles.SPEC, file)]
    assert modes == [stat.S_IMODE(path.stat().st_mode) for path in (plain, plain / "file", plain / "file")]


def test_a_report_does_not_rename_the_model_but_another_graph_does(tmp_path, packed):
    path = written(tmp_path, packed=packed)
    before = bundles.open_bundle(path)
    after = bundles.update_parts(path, {bundles.REPORT: b"<p>measured</p>", bundles.CARD: b"# card"})
    assert after.identity == before.identity
    assert after.sha256 != before.sha256
    other = bundles.write(tmp_path / "other", toy_spec(), {**PARTS, bundles.MODEL: b"another graph"})
    assert other.identity != before.identity
