"""A backup restores to the same store, byte for byte, and nothing broken is ever restored."""

import hashlib
import io
import json
import shutil
import sqlite3
import subprocess
import threading
import zipfile

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from dermaloop.cases import audit, backup, casework, registry
from dermaloop.cases.actor import system
from dermaloop.cases.audit_verify import verify
from dermaloop.cases.backup import MANIFEST, back_up, restore
from dermaloop.cases.check import check
from dermaloop.cases.errors import StoreError
from dermaloop.cases.images import name_of
from dermaloop.cases.registry_verify import verify_registry
from dermaloop.cases.store import open_store
from dermaloop.core.errors import OutputError
from support.clinic import assessed
from support.models import first_champion, proposal
from support.postgres import find_binaries

HERE = system("test")


def fill(store, actor, count=3):
    with store.database.begin() as session:
        return [assessed(session, actor, store.images, probability=0.2 * n)[:2] for n in range(1, count + 1)]


def tables(store):
    with store.database.read() as session:
        names = sa.inspect(store.database.engine).get_table_names()
        return {name: sorted(map(repr, session.execute(sa.text(f"SELECT * FROM {name}")).all())) for name in names}


def test_what_is_restored_is_what_was_backed_up(embedded, actor, tmp_path):
    cases = fill(embedded, actor)
    made = back_up(embedded, HERE, tmp_path / "deep" / "backup.zip")
    assert (made.images, made.unavailable) == (3, ())
    assert (tmp_path / "deep" / "backup.zip").stat().st_mode & 0o077 == 0
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["backup.zip"]
    before = tables(embedded)
    with embedded.database.begin() as session:  # what comes after the backup is not in it
        casework.open_case(session, actor, cases[0][0].id)
    assert restore(tmp_path / "deep" / "backup.zip", tmp_path / "restored") == made
    again = open_store(tmp_path / "restored")
    try:
        assert tables(again) == before
        for _, image in cases:
            assert again.images.read(image.sha256) == embedded.images.read(image.sha256)
        with again.database.read() as session:
            found = verify(session, again.database.audit_key, anchor=again.database.anchor)
        assert (found.intact, found.count, found.head) == (True, made.audit_count, made.audit_head)
        assert check(again, HERE).sound
        with again.database.begin() as session:  # and the clinic goes on
            casework.open_case(session, actor, cases[0][0].id)
        assert [path.stat().st_mode & 0o077 for path in again.folder.rglob("*")] == [0] * len(
            list(again.folder.rglob("*"))
        )
    finally:
        again.close()


def test_registered_models_and_their_evidence_come_back(quick_store, tmp_path):
    first_champion(quick_store, tmp_path)
    made = proposal(quick_store, tmp_path)
    backup = back_up(quick_store, HERE, tmp_path / "backup.zip")
    assert backup.unavailable == ()
    restore(tmp_path / "backup.zip", tmp_path / "restored")
    restored = open_store(tmp_path / "restored")
    try:
        assert verify_registry(restored).sound
        with restored.database.read() as session:
            assert registry.find_model(session, "challenger") == made
            assert registry.open_model(session, made).sha256 == made.bundle_sha256
    finally:
        restored.close()
    lost = quick_store.folder / "models" / f"{made.file_sha256}.dermaloop"
    lost.write_bytes(b"rotten")
    assert back_up(quick_store, HERE, tmp_path / "backup.zip").unavailable == (made.file_sha256,)
    restore(tmp_path / "backup.zip", tmp_path / "again")
    assert not (tmp_path / "again" / "models" / lost.name).exists(), "what is rotten is not passed on as sound"


def test_an_empty_store_is_backed_up_too(embedded, tmp_path):
    back_up(embedded, HERE, tmp_path / "backup.zip")
    assert restore(tmp_path / "backup.zip", tmp_path / "restored").images == 0


def test_the_clinic_goes_on_while_a_backup_runs(embedded, actor, tmp_path):
    """Every backup taken under load is a store of one moment: whole, and with every picture that it names."""
    fill(embedded, actor)
    stop, failed = threading.Event(), []

    def work():
        while not stop.is_set():
            try:
                fill(embedded, actor, 1)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is shown
                failed.append(error)
                return

    writer = threading.Thread(target=work)
    writer.start()
    try:
        made = [back_up(embedded, HERE, tmp_path / f"{number}.zip") for number in range(3)]
    finally:
        stop.set()
        writer.join()
    assert failed == []
    assert [one.unavailable for one in made] == [()] * 3
    for number in range(3):
        restore(tmp_path / f"{number}.zip", tmp_path / str(number))


def test_restoring_never_writes_over_anything(embedded, tmp_path):
    back_up(embedded, HERE, tmp_path / "backup.zip")
    for folder in (embedded.folder, tmp_path / "backup.zip"):
        with pytest.raises(StoreError, match="never writes over"):
            restore(tmp_path / "backup.zip", folder)
    (tmp_path / "empty").mkdir()
    restore(tmp_path / "backup.zip", tmp_path / "empty")


def rewritten(content, change):
    """A backup with its parts changed by `change` (a dictionary of name to bytes)."""
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        parts = {name: packed.read(name) for name in packed.namelist()}
    change(parts)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as packed:
        for name, part in parts.items():
            packed.writestr(name, part)
    return stream.getvalue()


def renamed_in_manifest(parts, old, new):
    parts[MANIFEST] = parts[MANIFEST].replace(old.encode(), new.encode())


def resigned(parts, name, content):
    """Somebody who changes a part and its hash."""
    manifest = json.loads(parts[MANIFEST])
    parts[name], manifest["parts"][name] = content, hashlib.sha256(content).hexdigest()
    parts[MANIFEST] = json.dumps(manifest).encode()


def test_a_backup_that_was_changed_or_cut_is_refused_and_leaves_nothing(embedded, actor, tmp_path):
    (_, image), *_ = fill(embedded, actor)
    back_up(embedded, HERE, tmp_path / "backup.zip")
    whole = (tmp_path / "backup.zip").read_bytes()
    picture = f"images/{name_of(image.sha256)}"
    database = zipfile.ZipFile(tmp_path / "backup.zip").read("dermaloop.sqlite3")
    assert database.count(b"case.made") >= 3
    outside = f"images/../{'x' * 64}"
    changes = {
        "no zip": lambda: b"not a zip",
        "cut": lambda: whole[: len(whole) // 2],
        "no manifest": lambda: rewritten(whole, lambda parts: parts.pop(MANIFEST)),
        "nonsense": lambda: rewritten(whole, lambda parts: parts.update({MANIFEST: b"[]"})),
        "newer": lambda: rewritten(whole, lambda parts: renamed_in_manifest(parts, '"format": 1', '"format": 2')),
        "no picture": lambda: rewritten(whole, lambda parts: parts.pop(picture)),
        "another picture": lambda: rewritten(whole, lambda parts: parts.update({picture: b"other"})),
        "leads outside": lambda: rewritten(whole, lambda parts: renamed_in_manifest(parts, picture, outside)),
        "no key": lambda: rewritten(whole, lambda parts: renamed_in_manifest(parts, '"audit.key"', '"other.key"')),
        "another key": lambda: rewritten(whole, lambda parts: resigned(parts, "audit.key", b"ab" * 32 + b"\n")),
        "log changed": lambda: rewritten(
            whole, lambda parts: resigned(parts, "dermaloop.sqlite3", database.replace(b"case.made", b"case.seen"))
        ),
    }
    for name, change in changes.items():
        (tmp_path / "broken.zip").write_bytes(change())
        with pytest.raises(StoreError, match="no whole backup"):
            restore(tmp_path / "broken.zip", tmp_path / "restored")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["backup.zip", "broken.zip", "store"], name
    with pytest.raises(StoreError, match="no such file"):
        restore(tmp_path / "nowhere.zip", tmp_path / "restored")


def test_every_flipped_byte_is_seen_or_harmless(embedded, actor, tmp_path):
    """A restored store is the one that was backed up, whichever byte of the file rots."""
    (_, image), *_ = fill(embedded, actor, 1)
    back_up(embedded, HERE, tmp_path / "backup.zip")
    whole = (tmp_path / "backup.zip").read_bytes()
    refused = 0
    for number in range(12):
        at = len(whole) * number // 12 + 7
        (tmp_path / "rotten.zip").write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        try:
            restore(tmp_path / "rotten.zip", tmp_path / f"restored-{number}")
        except StoreError:
            refused += 1
        else:
            again = open_store(tmp_path / f"restored-{number}")
            assert again.images.read(image.sha256)
            again.close()
    assert refused >= 9


def test_a_loss_in_the_store_is_named_in_the_backup(embedded, actor, tmp_path):
    (_, lost), (_, rotten), _ = fill(embedded, actor)
    embedded.images.remove(name_of(lost.sha256))
    (embedded.images._root / name_of(rotten.sha256)).write_bytes(b"rot")
    made = back_up(embedded, HERE, tmp_path / "backup.zip")
    assert set(made.unavailable) == {lost.sha256, rotten.sha256}
    assert restore(tmp_path / "backup.zip", tmp_path / "restored") == made
    again = open_store(tmp_path / "restored")
    assert set(check(again, HERE).missing) == {lost.id, rotten.id}
    again.close()


def test_a_backup_that_cannot_be_written_leaves_nothing(embedded, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        back_up(embedded, HERE, tmp_path / "file" / "backup.zip")
    with embedded.database.read() as session:
        assert [row.action for row in session.scalars(sa.select(audit.AuditRow))] == ["store.backed_up"]


def test_a_disk_that_fills_up_during_the_copy_leaves_nothing(embedded, tmp_path, monkeypatch):
    """The database's copy is written by SQLite, whose errors are none of the operating system's."""

    def full(store, out):
        out.write_bytes(b"half")
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(backup, "_copy_database", full)
    out = tmp_path / "out" / "backup.zip"
    with pytest.raises(OutputError, match=r"cannot be written \(database or disk is full\)\. Free space"):
        back_up(embedded, HERE, out)
    assert list(out.parent.iterdir()) == []


def test_postgresql_goes_out_and_back_by_its_own_tools_as_documented(new_postgres, actor, tmp_path):
    """docs/store.md: first the secret and the noted end, then the database, then the pictures; and back."""
    url = new_postgres()
    store = open_store(tmp_path / "store", database_url=url)
    fill(store, actor)
    (tmp_path / "backup").mkdir()
    for name in ("audit.key", "audit.anchor"):
        shutil.copy2(store.folder / name, tmp_path / "backup")
    fill(store, actor)  # the clinic goes on: the noted end lags behind the dump, never the other way
    tool = find_binaries()
    address = str(url).replace("+psycopg", "")
    dump = tmp_path / "backup" / "clinic.dump"
    subprocess.run([tool / "pg_dump", "--format=custom", f"--file={dump}", address], check=True)
    before = tables(store)
    shutil.copytree(store.folder / "images", tmp_path / "restored" / "images")
    store.close()
    empty = new_postgres(empty=True)
    target = f"--dbname={empty.replace('+psycopg', '')}"
    subprocess.run([tool / "pg_restore", "--exit-on-error", target, dump], check=True)
    for name in ("audit.key", "audit.anchor"):
        shutil.copy2(tmp_path / "backup" / name, tmp_path / "restored")
    again = open_store(tmp_path / "restored", database_url=empty)
    try:
        assert tables(again) == before
        with again.database.read() as session:
            assert verify(session, again.database.audit_key, anchor=again.database.anchor).intact
        assert check(again, HERE).sound
        with pytest.raises(DBAPIError, match="append-only"), again.database.engine.begin() as connection:
            connection.execute(sa.text("DELETE FROM audit_entries"))  # the triggers came along
    finally:
        again.close()


def test_postgresql_is_refused_with_the_way_to_do_it(new_postgres, tmp_path):
    store = open_store(tmp_path / "store", database_url=new_postgres())
    try:
        with pytest.raises(StoreError, match="pg_dump"):
            back_up(store, HERE, tmp_path / "backup.zip")
    finally:
        store.close()
    assert not (tmp_path / "backup.zip").exists()
