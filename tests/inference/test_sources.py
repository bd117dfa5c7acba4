import os

import pytest

from dermaloop.inference.sources import items, listed, pictures


@pytest.fixture
def tree(tmp_path, monkeypatch):
    for name in (
        "b.jpg",
        "a.PNG",
        "deep/c.heic",
        "deep/er/d.tif",
        "notes.txt",
        ".hidden.jpg",
        ".git/e.jpg",
        "f[1].jpg",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(*paths):
    return [path.as_posix() for path in pictures(paths)]


def test_a_folder_gives_its_pictures_sorted_and_nothing_hidden(tree):
    assert names(".") == ["a.PNG", "b.jpg", "f[1].jpg", "deep/c.heic", "deep/er/d.tif"]


def test_of_a_folder_content_decides_where_the_name_does_not_and_the_rest_is_told(tree):
    (tree / "lesion").write_bytes(b"\xff\xd8\xff\xe0 the beginning of a JPEG")
    (tree / "deep" / "scan.dcm").write_bytes(b"\0" * 128 + b"DICM")
    (tree / "dangling").symlink_to("nowhere")
    left_out = []
    found = [path.as_posix() for path in pictures(["."], left_out=left_out.append)]
    assert found == ["a.PNG", "b.jpg", "f[1].jpg", "lesion", "deep/c.heic", "deep/er/d.tif"]
    assert [path.as_posix() for path in left_out] == ["dangling", "notes.txt", "deep/scan.dcm"]


def test_a_named_file_is_taken_whatever_it_is_called(tree):
    assert names("notes.txt", ".hidden.jpg") == ["notes.txt", ".hidden.jpg"]


def test_patterns(tree):
    assert names("*.jpg") == ["b.jpg", "f[1].jpg"]
    assert names("**/*.tif") == ["deep/er/d.tif"]
    assert names(f"{tree}/*.PNG") == [f"{tree.as_posix()}/a.PNG"]


def test_a_name_that_looks_like_a_pattern_is_that_file(tree):
    assert names("f[1].jpg") == ["f[1].jpg"]


def test_what_is_not_there_is_yielded_so_that_its_refusal_is_seen(tree):
    assert names("none.jpg", "none*.jpg") == ["none.jpg", "none*.jpg"]


def test_a_list_may_have_empty_lines_and_other_line_ends():
    assert list(listed(["a b.jpg\n", "\n", "c.jpg\r\n", " d.jpg"])) == ["a b.jpg", "c.jpg", " d.jpg"]


@pytest.mark.skipif(os.name == "nt", reason="names are text there")
def test_a_name_that_is_not_text_is_shown_as_its_escape(tree):
    raw = os.fsdecode(b"caf\xe9.jpg")
    (tree / raw).write_bytes(b"")
    (item,) = items(path for path in pictures(["."]) if path.name == raw)
    assert item.name == "caf\\xe9.jpg"
    assert item.source.is_file()
    item.name.encode()
