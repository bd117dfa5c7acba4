"""Transactions, migrations and refusals, the same on SQLite and PostgreSQL."""

import importlib
import pkgutil
import threading
from datetime import UTC, datetime, timedelta, timezone

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy.exc import DBAPIError

from dermaloop import cases
from dermaloop.cases import audit
from dermaloop.cases.actor import system
from dermaloop.cases.database import Base, open_database, upgrade
from dermaloop.cases.errors import NewerDatabaseError, StoreBusyError, StoreError

KEY = b"k" * 32


def entries(database):
    with database.read() as session:
        return session.scalar(sa.select(sa.func.count()).select_from(audit.AuditRow))


def test_a_transaction_is_kept_whole_or_not_at_all(database, actor):
    with database.begin() as session:
        audit.append(session, actor, "test.made", "test", "1")

    def fail():
        with database.begin() as session:
            audit.append(session, actor, "test.made", "test", "2")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert entries(database) == 1
    assert database.anchor.read()[0] == 1


def test_a_reading_transaction_cannot_write(database):
    with pytest.raises((DBAPIError, StoreError)), database.read() as session:
        session.execute(sa.text("DELETE FROM audit_head"))


def test_reading_sees_one_moment(database, actor):
    with database.read() as session:
        count = sa.select(sa.func.count()).select_from(audit.AuditRow)
        before = session.scalar(count)
        with database.begin() as writer:  # does not wait for the reader either
            audit.append(writer, actor, "test.made", "test", "1")
        assert session.scalar(count) == before == 0
    assert entries(database) == 1


def test_writers_queue(database, actor):
    """What a writer has read stays true until it commits: no update is lost, and none fails."""
    done = []

    def work():
        for _ in range(10):
            with database.begin() as session:
                count = audit.head_of(session) or (0, "")
                audit.append(session, actor, "test.counted", "test", str(count[0] + 1))
                done.append(count[0] + 1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done == list(range(1, 41))


def test_a_time_keeps_its_moment_and_comes_back_in_utc(database, actor, monkeypatch):
    east = datetime(2026, 3, 1, 2, 30, 0, 123456, tzinfo=timezone(timedelta(hours=5)))
    monkeypatch.setattr(audit, "now", lambda: east)
    with database.begin() as session:
        audit.append(session, actor, "test.made", "test", "1")
    with database.read() as session:
        found = session.scalar(sa.select(audit.AuditRow.at))
    assert found == east
    assert found.tzinfo is UTC


def test_the_migrations_make_exactly_the_tables_that_the_code_declares(database):
    for module in pkgutil.iter_modules(cases.__path__):  # every table is declared by one of them
        importlib.import_module(f"dermaloop.cases.{module.name}")
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_upgrading_twice_changes_nothing_and_two_at_once_are_one(database_url):
    opened = [open_database(database_url, KEY) for _ in range(3)]
    failed = []

    def bring_up(one):
        try:
            upgrade(one)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is shown
            failed.append(error)

    threads = [threading.Thread(target=bring_up, args=(one,)) for one in opened]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    upgrade(opened[0])
    for one in opened:
        one.close()
    assert failed == []


def test_a_database_of_a_newer_program_is_refused_and_not_touched(database):
    with database.engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999_future'"))
    with pytest.raises(NewerDatabaseError, match=r"newer version.*9999_future"):
        upgrade(database)


def test_a_migration_that_fails_leaves_everything_as_it_was(database_url, monkeypatch):
    opened = open_database(database_url, KEY)
    monkeypatch.setattr("dermaloop.cases.triggers.protect_append_only", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        upgrade(opened)
    assert sa.inspect(opened.engine).get_table_names() == []
    monkeypatch.undo()
    upgrade(opened)
    assert "audit_entries" in sa.inspect(opened.engine).get_table_names()
    opened.close()


@pytest.mark.parametrize("url", ["nonsense", "sqlite://", "sqlite:///:memory:", "mysql://a:secret@b/c", "oracle://x"])
def test_an_address_that_cannot_be_used_is_refused_without_its_password(url):
    with pytest.raises(StoreError, match=r"sqlite:///PATH") as caught:
        open_database(url, KEY)
    assert "secret" not in str(caught.value)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be made"):
        open_database(f"sqlite:///{tmp_path / 'file' / 'x.sqlite3'}", KEY)


def test_a_server_that_is_not_there_is_an_error_with_a_way_out(tmp_path):
    opened = open_database(f"postgresql://nobody@/none?host={tmp_path}", KEY)
    with pytest.raises(StoreError, match="reachable"), opened.begin():
        pass


def test_the_file_is_its_owners_only(tmp_path):
    path = tmp_path / "deep" / "records.sqlite3"
    opened = open_database(f"sqlite:///{path}", KEY)
    upgrade(opened)
    assert path.stat().st_mode & 0o077 == 0
    assert [name.stat().st_mode & 0o077 for name in path.parent.iterdir()] == [0] * len(list(path.parent.iterdir()))
    opened.close()


def test_sqlite_is_set_to_survive_a_power_cut(tmp_path):
    opened = open_database(f"sqlite:///{tmp_path / 'x.sqlite3'}", KEY)
    with opened.engine.connect() as connection:
        read = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "secure_delete")
        }
    opened.close()
    assert read == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "secure_delete": 1}


def test_a_writer_that_never_ends_is_said_to_be_busy(database, monkeypatch):
    monkeypatch.setattr("dermaloop.cases.database._BUSY_S", 0.1)
    other = open_database(database.engine.url.render_as_string(hide_password=False), KEY)
    with database.begin(), pytest.raises(StoreBusyError, match="Try again"), other.begin():
        pass
    other.close()
    with database.begin() as session:
        audit.append(session, system("test"), "test.made", "test", "1")
