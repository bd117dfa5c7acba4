"""One contract for both image stores: a folder, and S3 (a real server process)."""

import hashlib
import os
import threading
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dermaloop.cases.errors import StoreError
from dermaloop.cases.image_folder import FolderStore
from dermaloop.cases.image_objects import ObjectStore
from dermaloop.cases.images import DamagedImageError, MissingImageError, name_of
from dermaloop.cases.store import open_images
from dermaloop.core.errors import MissingExtraError


def put(images, content):
    sha256 = hashlib.sha256(content).hexdigest()
    images.put(sha256, content)
    return sha256


def overwrite(images, sha256, content):
    """Damages a stored picture behind the store's back."""
    if isinstance(images, FolderStore):
        (images._root / name_of(sha256)).write_bytes(content)
    else:
        images._system.pipe_file(images._path(name_of(sha256)), content)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(content=st.binary(min_size=1, max_size=2000))
def test_what_is_put_is_read(images, content):
    sha256 = put(images, content)
    assert images.has(sha256)
    assert images.read(sha256) == content


def test_a_large_picture_is_kept_whole(images):
    content = os.urandom(9 * 2**20)  # beyond one part of an S3 upload
    assert images.read(put(images, content)) == content


def test_equal_pictures_lie_there_once(images):
    sha256 = put(images, b"one")
    put(images, b"one")
    put(images, b"two")
    found = sorted(images.entries(), key=lambda entry: entry.size_bytes)
    assert len(found) == 2
    (entry,) = [one for one in found if one.sha256 == sha256]
    assert (entry.name, entry.size_bytes) == (name_of(sha256), 3)
    assert abs(datetime.now(UTC) - entry.changed_at) < timedelta(minutes=10)


def test_what_is_not_there_is_said_to_be_missing(images):
    sha256 = hashlib.sha256(b"never").hexdigest()
    assert not images.has(sha256)
    assert list(images.entries()) == []
    with pytest.raises(MissingImageError, match="store check"):
        images.read(sha256)


def test_a_damaged_picture_is_never_given_out_and_putting_it_again_heals_it(images):
    sha256 = put(images, b"a picture")
    overwrite(images, sha256, b"a pictvre")
    with pytest.raises(DamagedImageError, match="changed or damaged"):
        images.read(sha256)
    put(images, b"a picture")
    assert images.read(sha256) == b"a picture"


def test_removing_removes_and_twice_is_no_error(images):
    sha256, other = put(images, b"one"), put(images, b"two")
    images.remove(name_of(sha256))
    images.remove(name_of(sha256))
    assert not images.has(sha256)
    assert images.has(other)


def test_what_others_put_there_is_listed_without_a_hash(images):
    put(images, b"one")
    strange = hashlib.sha256(b"two").hexdigest()
    if isinstance(images, FolderStore):
        (images._root / strange).write_bytes(b"two")  # a hash, but not where it belongs
        (images._root / "ab").mkdir(exist_ok=True)
        (images._root / "ab" / f".{'0' * 64}.abc.part").write_bytes(b"half")
    else:
        images._system.pipe_file(images._path(strange), b"two")
        images._system.pipe_file(images._path("ab/notes.txt"), b"half")
    assert sorted(entry.sha256 == "" for entry in images.entries()) == [False, True, True]


def test_many_writers_of_one_picture_and_of_many(images):
    contents = [b"the same"] * 6 + [bytes([number]) * 1000 for number in range(6)]
    failed = []

    def work(content):
        try:
            assert images.read(put(images, content)) == content
        except Exception as error:  # noqa: BLE001 - whatever it is, it is shown
            failed.append(error)

    threads = [threading.Thread(target=work, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert len(list(images.entries())) == 7


def test_a_probe_writes_and_leaves_nothing_behind(images):
    put(images, b"a picture")
    before = sorted(entry.name for entry in images.entries())
    images.probe()
    assert sorted(entry.name for entry in images.entries()) == before


def test_a_name_from_outside_cannot_leave_the_store(images):
    for name in ("../../etc/passwd", "A" * 64, "0" * 63, "0" * 64 + "/.."):
        with pytest.raises(AssertionError):
            images.read(name)


def test_a_folder_holds_nothing_that_others_may_read_or_anybody_run(tmp_path):
    images = open_images(tmp_path / "images")
    put(images, b"#!/bin/sh\nrm -rf /\n")
    modes = [path.stat().st_mode & 0o777 for path in (tmp_path / "images").rglob("*")]
    assert sorted(modes) == [0o600, 0o700]


def test_a_write_that_fails_leaves_nothing(tmp_path, monkeypatch):
    images = open_images(tmp_path / "images")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="No space left"):
        put(images, b"a picture")
    assert [path for path in (tmp_path / "images").rglob("*") if path.is_file()] == []


def test_a_probe_of_a_folder_that_is_gone_is_an_error(tmp_path):
    images = open_images(tmp_path / "images")
    (tmp_path / "images").rmdir()
    with pytest.raises(StoreError, match="cannot be used"):
        images.probe()


def test_the_order_is_write_sync_rename_sync(tmp_path, monkeypatch):
    images = open_images(tmp_path / "images")
    put(images, b"\0")  # its folder is not the next one's
    done = []
    real_sync, real_replace = os.fsync, os.replace
    path_type = type(tmp_path)

    def sync(handle):
        done.append("sync folder" if os.path.isdir(f"/proc/self/fd/{handle}") else "sync file")  # noqa: PTH112
        real_sync(handle)

    def replace(path, target):
        done.append("rename")
        real_replace(path, target)
        return target

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(path_type, "replace", replace)
    put(images, b"a picture")
    assert done == ["sync folder", "sync file", "rename", "sync folder"]


def test_addresses(tmp_path, monkeypatch):
    assert isinstance(open_images(tmp_path / "with space"), FolderStore)
    assert open_images((tmp_path / "with space").as_uri()).place == str(tmp_path / "with space")
    assert isinstance(open_images("memory://clinic"), ObjectStore)
    with pytest.raises(StoreError, match=r"s3://BUCKET"):
        open_images("nonsense://x")
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be used"):
        open_images(tmp_path / "file" / "images")
    import fsspec  # noqa: PLC0415

    def absent(*_, **__):
        raise ImportError

    monkeypatch.setattr(fsspec, "url_to_fs", absent)
    with pytest.raises(MissingExtraError, match="department"):
        open_images("s3://bucket/clinic")


def test_a_server_that_refuses_is_an_error_with_a_way_out(s3, bucket):
    _, options = bucket
    images = open_images("s3://no-such-bucket-here/x", **options)
    with pytest.raises(StoreError, match="image store"):
        put(images, b"a picture")
    with pytest.raises(StoreError, match="image store"):
        images.probe()


def test_a_server_that_is_gone_is_an_error_with_a_way_out():
    closed = {"endpoint_url": "http://127.0.0.1:9", "key": "a", "secret": "b"}
    images = open_images(
        "s3://bucket/x", config_kwargs={"connect_timeout": 1, "retries": {"max_attempts": 0}}, **closed
    )
    with pytest.raises(StoreError, match="reachable"):
        images.has("0" * 64)
