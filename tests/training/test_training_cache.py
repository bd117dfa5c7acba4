"""The cache holds what decoding would give, is made once, and never half."""

import errno
import pickle
import resource
import threading

import numpy as np
import pytest
from PIL import Image

from dermaloop.core.errors import ManifestError, OutputError
from dermaloop.core.image import decode
from dermaloop.core.manifest import Split
from dermaloop.core.preprocess import Preprocess, network_input
from dermaloop.training import cache as caches
from dermaloop.training.cache import open_cache
from support.trainings import lesion_manifest

PX = 40


@pytest.fixture
def manifest(tmp_path):
    return lesion_manifest(tmp_path / "images", sources=("alpha",), per_split={Split.TRAIN: 6})


@pytest.fixture
def decoded(monkeypatch):
    """The names decoded, in any order."""
    names = []

    def counting(content, **how):
        names.append(how["name"])
        return decode(content, **how)

    monkeypatch.setattr(caches, "decode", counting)
    return names


def expected(manifest):
    images = [decode(path.read_bytes()).image for path in manifest.image_paths()]
    aspects = manifest.column("pixel_aspect")
    made = [network_input(image, Preprocess(PX), pixel_aspect=a) for image, a in zip(images, aspects, strict=True)]
    return np.stack(made)


def left(folder):
    return sorted(path.name for path in folder.glob("*") if path.suffix != ".lock")


def test_it_holds_the_networks_input_of_each_row_in_order(manifest, tmp_path):
    squashed = manifest.with_columns(pixel_aspect=[1.0, 1.0, 4 / 3, 4 / 3, 1.0, 1.0])
    found = open_cache(squashed, tmp_path / "cache", PX)
    np.testing.assert_array_equal(found.pictures, expected(squashed))
    assert found.masks is None
    assert not found.pictures.flags.writeable


def test_it_is_made_once(manifest, tmp_path, decoded):
    open_cache(manifest, tmp_path / "cache", PX)
    assert len(decoded) == len(manifest)
    again = open_cache(manifest, tmp_path / "cache", PX)
    assert len(decoded) == len(manifest)
    np.testing.assert_array_equal(again.pictures, expected(manifest))


@pytest.mark.parametrize("change", ["side", "row", "aspect", "content"])
def test_whatever_changes_a_picture_gets_another_cache(manifest, tmp_path, change):
    first = open_cache(manifest, tmp_path / "cache", PX)
    side = PX
    if change == "side":
        side = PX + 8
    elif change == "row":
        manifest = manifest.select([False, *[True] * 5])
    elif change == "aspect":
        manifest = manifest.with_columns(pixel_aspect=[1.1] * 6)
    else:
        manifest = manifest.with_columns(sha256=[""] * 6)  # then the file's own hash counts
        assert open_cache(manifest, tmp_path / "cache", PX).path == first.path
        Image.new("RGB", (64, 64), "red").save(manifest.image_path(2))
    second = open_cache(manifest, tmp_path / "cache", side)
    assert second.path != first.path
    if change == "content":
        np.testing.assert_array_equal(second.pictures, expected(manifest))


def test_a_changed_file_is_refused_by_name_and_leaves_nothing(manifest, tmp_path):
    Image.new("RGB", (64, 64), "red").save(manifest.image_path(3))
    with pytest.raises(ManifestError, match="differs from its hash") as refused:
        open_cache(manifest, tmp_path / "cache", PX)
    assert refused.value.rule == "changed_file"
    assert str(manifest.image_path(3)) in str(refused.value)
    assert left(tmp_path / "cache") == []


def test_a_missing_and_an_unreadable_file_are_refused_by_name(manifest, tmp_path):
    manifest.image_path(1).unlink()
    with pytest.raises(ManifestError, match="cannot be read") as refused:
        open_cache(manifest, tmp_path / "cache", PX)
    assert refused.value.rule == "missing_file"
    manifest.image_path(1).write_bytes(b"no picture")
    unhashed = manifest.with_columns(sha256=[""] * 6)
    with pytest.raises(ManifestError, match=manifest.image_path(1).name) as refused:
        open_cache(unhashed, tmp_path / "cache", PX)
    assert refused.value.rule == "unreadable_file"
    assert left(tmp_path / "cache") == []


def test_a_half_made_one_is_never_opened(manifest, tmp_path, monkeypatch):
    class PowerCutError(BaseException):
        """Nothing catches it."""

    calls = []

    def cut(content, **how):
        calls.append(how["name"])
        if len(calls) == 4:
            raise PowerCutError
        return decode(content, **how)

    with monkeypatch.context() as patched:
        patched.setattr(caches, "decode", cut)
        patched.setattr(caches.Path, "unlink", lambda *_, **__: None)  # a dead process cleans nothing up
        with pytest.raises(PowerCutError):
            open_cache(manifest, tmp_path / "cache", PX)
    assert left(tmp_path / "cache") == [f"{open_name(manifest)}.tmp"]
    found = open_cache(manifest, tmp_path / "cache", PX)
    np.testing.assert_array_equal(found.pictures, expected(manifest))


def open_name(manifest):
    hashes = manifest.column("sha256")
    return f"pictures-{PX}-{caches._key(manifest, hashes, PX)[:16]}"


@pytest.mark.parametrize("damage", ["short", "note"])
def test_a_damaged_one_is_made_again(manifest, tmp_path, decoded, damage):
    path = open_cache(manifest, tmp_path / "cache", PX).path
    if damage == "short":
        path.write_bytes(path.read_bytes()[:-1000])
    else:
        path.with_suffix(".json").write_text('{"key": ')
    found = open_cache(manifest, tmp_path / "cache", PX)
    np.testing.assert_array_equal(found.pictures, expected(manifest))
    assert len(decoded) == 2 * len(manifest)


def test_a_full_disk_is_an_error_in_words_and_leaves_nothing(manifest, tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))  # no file may grow beyond that
    try:
        with pytest.raises(OutputError, match=r"cache of 0\.0 GB cannot be written .*--cache"):
            open_cache(manifest, tmp_path / "cache", PX)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert left(tmp_path / "cache") == []


def test_the_space_is_taken_before_the_first_picture_is_written(tmp_path):
    """Else a disk that fills up meanwhile ends the process by a bus error, without a word."""
    path = tmp_path / "cache.tmp"
    caches._reserve(path, 1_000_000)
    assert path.stat().st_blocks * 512 >= 1_000_000
    caches._array_file(path, (10, 100, 100, 3)).flush()
    assert path.stat().st_blocks * 512 >= 1_000_000


def test_where_space_cannot_be_reserved_the_free_space_is_asked(manifest, tmp_path, monkeypatch):
    monkeypatch.delattr(caches.os, "posix_fallocate", raising=False)
    np.testing.assert_array_equal(open_cache(manifest, tmp_path / "cache", PX).pictures, expected(manifest))
    monkeypatch.setattr(caches.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 100}))
    with pytest.raises(OutputError, match="No space left") as refused:
        open_cache(manifest, tmp_path / "cache", PX + 8)
    assert refused.value.__cause__.errno == errno.ENOSPC


def test_a_folder_that_cannot_be_written_is_an_error_in_words(manifest, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="--cache"):
        open_cache(manifest, tmp_path / "file", PX)


def test_two_that_want_it_at_once_make_it_once(manifest, tmp_path, decoded):
    found = []
    workers = [
        threading.Thread(target=lambda: found.append(open_cache(manifest, tmp_path / "cache", PX))) for _ in range(3)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(decoded) == len(manifest)
    for cache in found:
        np.testing.assert_array_equal(cache.pictures, expected(manifest))
    assert len(found) == 3


def test_masks_lie_as_the_pictures_do(manifest, tmp_path):
    mask = np.zeros((72, 72), dtype=bool)
    mask[:, :18] = True  # the left quarter
    file = tmp_path / "mask.png"
    Image.fromarray(mask).convert("1").save(file)
    outlined = manifest.with_columns(mask_path=[str(file), *[""] * 4, str(file)], pixel_aspect=[1.0] * 5 + [2.0])
    found = open_cache(outlined, tmp_path / "cache", PX)
    assert found.outlined.tolist() == [True, False, False, False, False, True]
    side = found.masks.shape[1]
    assert found.masks.shape == (6, side, side)
    inside = found.masks > 127
    assert inside[1:5].sum() == 0
    assert inside[0].mean() == pytest.approx(0.25, abs=0.01)
    assert inside[5].mean() == pytest.approx(0.0, abs=0.01)  # squashed from 2:1, the square is its middle half
    again = open_cache(outlined, tmp_path / "cache", PX)
    np.testing.assert_array_equal(again.masks, found.masks)


def test_an_unreadable_mask_is_refused_by_name(manifest, tmp_path):
    file = tmp_path / "mask.png"
    file.write_bytes(b"no picture")
    with pytest.raises(ManifestError, match="lesion mask cannot be read") as refused:
        open_cache(manifest.with_columns(mask_path=[str(file)] * 6), tmp_path / "cache", PX)
    assert refused.value.rule == "unreadable_mask"
    assert str(file) in str(refused.value)


def test_another_process_gets_the_path_not_the_pictures(manifest, tmp_path):
    found = open_cache(manifest, tmp_path / "cache", PX)
    sent = pickle.dumps(found)
    assert len(sent) < 1000
    again = pickle.loads(sent)
    np.testing.assert_array_equal(again.pictures, found.pictures)
    np.testing.assert_array_equal(again.outlined, found.outlined)
