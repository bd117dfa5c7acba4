"""Files and folders are replaced whole or not at all."""

from __future__ import annotations

import pytest

from dermaloop.core.files import replacing, replacing_folder


def interrupt() -> None:
    raise InterruptedError("in the middle")


def test_a_file_appears_whole(tmp_path):
    path = tmp_path / "new" / "file.txt"
    with replacing(path) as temporary:
        assert temporary.parent == path.parent, "a rename must not cross file systems"
        temporary.write_text("half")
        assert not path.exists()
        temporary.write_text("whole")
    assert path.read_text() == "whole"
    assert [entry.name for entry in path.parent.iterdir()] == ["file.txt"]


def test_an_interrupted_file_leaves_the_old_one(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(InterruptedError), replacing(path) as temporary:  # noqa: PT012 - what happens inside is the test
        temporary.write_text("half")
        interrupt()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_was_never_written_is_an_error_and_not_an_empty_file(tmp_path):
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "file.txt"):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("old", [False, True])
def test_a_folder_appears_whole_and_without_what_was_there(tmp_path, old):
    path = tmp_path / "folder"
    if old:
        path.mkdir()
        (path / "stale").write_text("stale")
    with replacing_folder(path) as temporary:
        (temporary / "fresh").write_text("fresh")
        assert not (path / "fresh").exists()
    assert [entry.name for entry in path.iterdir()] == ["fresh"]
    assert list(tmp_path.iterdir()) == [path]


def test_an_interrupted_folder_leaves_the_old_one(tmp_path):
    path = tmp_path / "folder"
    path.mkdir()
    (path / "old").write_text("old")
    with pytest.raises(InterruptedError), replacing_folder(path) as temporary:  # noqa: PT012
        (temporary / "half").write_text("half")
        interrupt()
    assert [entry.name for entry in path.iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["x" * 251 + ".csv", "病" * 80 + ".csv"])
def test_a_name_may_be_as_long_as_the_file_system_takes_it(tmp_path, name):
    with replacing(tmp_path / name) as temporary:
        temporary.write_text("whole")
    assert [entry.name for entry in tmp_path.iterdir()] == [name]
