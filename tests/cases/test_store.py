"""What lies where, the secret, and the check of a store."""

import hashlib
import threading
from datetime import timedelta

import pytest
import sqlalchemy as sa

from dermaloop.cases import audit
from dermaloop.cases.actor import system
from dermaloop.cases.check import check
from dermaloop.cases.errors import StoreError
from dermaloop.cases.image_folder import FolderStore
from dermaloop.cases.images import name_of
from dermaloop.cases.store import open_images, open_store
from support.clinic import assessed, new_case, new_image, picture

HERE = system("test")


def test_a_new_store_has_its_parts_and_only_its_owner_reads_them(tmp_path):
    opened = open_store(tmp_path / "new" / "store")
    with opened.database.begin() as session:
        audit.append(session, HERE, "test.made", "test", "1")
    names = {path.name for path in opened.folder.iterdir()}
    assert names == {"dermaloop.sqlite3", "dermaloop.sqlite3-shm", "dermaloop.sqlite3-wal", "images", "audit.key",
                     "audit.anchor"}  # fmt: skip
    assert [path.stat().st_mode & 0o077 for path in (opened.folder, *opened.folder.iterdir())] == [0] * 7
    opened.close()
    again = open_store(opened.folder)
    assert again.database.audit_key == opened.database.audit_key
    again.close()


def test_a_key_is_made_once_even_by_two_at_once(tmp_path):
    keys = []

    def start():
        one = open_store(tmp_path / "store")
        keys.append(one.database.audit_key)
        one.close()

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 4
    assert len(set(keys)) == 1


def test_a_missing_or_wrong_key_is_refused_and_no_other_is_made(store):
    with store.database.begin() as session:
        audit.append(session, HERE, "test.made", "test", "1")
    url = store.database.engine.url.render_as_string(hide_password=False)
    key = store.folder / "audit.key"
    kept = key.read_text()
    key.unlink()
    with pytest.raises(StoreError, match="secret of the audit log is missing"):
        open_store(store.folder, database_url=url)
    with pytest.raises(StoreError, match="secret of the audit log is missing"):
        open_store(store.folder, database_url=url, make=False)  # not: there is no store here
    assert not key.exists()
    key.write_text("zz")
    with pytest.raises(StoreError, match="no secret"):
        open_store(store.folder, database_url=url)
    key.write_text("ab" * 32)
    with pytest.raises(StoreError, match="another secret"):
        open_store(store.folder, database_url=url)
    open_store(store.folder, database_url=url, check_log=False).close()
    key.write_text(kept)
    open_store(store.folder, database_url=url).close()


def test_a_folder_that_cannot_be_used_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be"):
        open_store(tmp_path / "file" / "store")


def damage(store, sha256, content):
    if isinstance(store.images, FolderStore):
        (store.images._root / name_of(sha256)).write_bytes(content)
    else:
        store.images._system.pipe_file(store.images._path(name_of(sha256)), content)


def test_a_check_finds_what_is_missing_damaged_and_left_over(store, actor):
    with store.database.begin() as session:
        kept, rotten, lost = (assessed(session, actor, store.images)[1] for _ in range(3))
        shared = new_image(session, actor, new_case(session, actor), store.images, seeded := picture())
        twin = new_image(session, actor, new_case(session, actor), store.images, seeded)
    sound = check(store, HERE)
    assert (sound.images, sound.files, sound.sound, sound.orphans) == (5, 4, True, ())
    assert sound.size_bytes == kept.size_bytes + rotten.size_bytes + lost.size_bytes + shared.size_bytes
    assert shared.sha256 == twin.sha256
    damage(store, rotten.sha256, b"bit rot")
    store.images.remove(name_of(lost.sha256))
    store.images.remove(name_of(shared.sha256))
    orphan = hashlib.sha256(b"left by a crash").hexdigest()
    store.images.put(orphan, b"left by a crash")
    found = check(store, HERE, young=timedelta(0))
    assert found.damaged == (rotten.id,)
    assert set(found.missing) == {lost.id, shared.id, twin.id}
    assert (found.orphans, found.removed, found.sound) == ((name_of(orphan),), 0, False)
    assert store.images.has(orphan), "removed only when told"
    assert check(store, HERE, remove_orphans=True).removed == 0, "a young one may be an upload's"
    assert check(store, HERE, remove_orphans=True, young=timedelta(0)).removed == 1
    assert not store.images.has(orphan)
    assert store.images.has(kept.sha256)
    with store.database.read() as session:
        logged = session.scalars(sa.select(audit.AuditRow).where(audit.AuditRow.action == "store.checked")).all()
    assert len(logged) == 4


def test_a_half_written_file_is_an_orphan(embedded):
    folder = open_images(embedded.folder / "images")._root / "ab"
    folder.mkdir()
    (folder / f".{'ab' * 32}.0123.part").write_bytes(b"half")
    found = check(embedded, HERE, remove_orphans=True, young=timedelta(0))
    assert (len(found.orphans), found.removed, list(folder.iterdir())) == (1, 1, [])


def test_a_picture_that_got_its_row_meanwhile_is_no_orphan(store, actor, monkeypatch):
    """Between the listing and the removal an upload may have been finished."""
    stripped = picture()
    store.images.put(stripped.sha256, stripped.content)
    listed = list(store.images.entries())

    def list_then_upload():
        with store.database.begin() as session:
            new_image(session, actor, new_case(session, actor), store.images, stripped)
        return iter(listed)

    monkeypatch.setattr(type(store.images), "entries", lambda _: list_then_upload())
    found = check(store, HERE, remove_orphans=True, young=timedelta(0))
    assert found.removed == 0
    assert store.images.has(stripped.sha256)


def test_a_damaged_database_file_is_seen(embedded, actor):
    """Pages are damaged one after the other, behind the first: some stop the program, all are said to be damage."""
    with embedded.database.begin() as session:
        for _ in range(20):
            new_case(session, actor)
    embedded.close()
    path = embedded.folder / "dermaloop.sqlite3"
    sound = path.read_bytes()
    seen = []
    for at in range(4096 * 4, len(sound) - 4096, 4096 * 5):
        path.write_bytes(sound[:at] + bytes(range(256)) * 16 + sound[at + 4096 :])
        try:
            opened = open_store(embedded.folder)
        except StoreError as error:
            seen.append(str(error))
            continue
        try:
            seen += check(opened, HERE).database
        except StoreError as error:
            seen.append(str(error))
        finally:
            opened.close()
    assert len(seen) > 5
    assert any("damaged" in text or "malformed" in text for text in seen)


def test_an_image_store_that_cannot_be_reached_is_told_without_its_password():
    with pytest.raises(StoreError, match=r"^127\.0\.0\.1: the image store cannot be reached") as caught:
        open_images("ftp://clinic:secret@127.0.0.1:1/pictures")
    assert "secret" not in str(caught.value)
