"""The audit chain: nothing can be changed, removed, moved or cut off without being found, and where."""

import csv
import io
import json
import shutil
import subprocess
import sys
import threading
from datetime import timedelta

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import DBAPIError

from dermaloop.cases import audit
from dermaloop.cases.actor import Actor, system
from dermaloop.cases.anchor import Anchor
from dermaloop.cases.audit_list import Filter, actions, entries, export
from dermaloop.cases.audit_verify import COLUMNS, Break, verify
from dermaloop.cases.database import now, open_database
from dermaloop.cases.errors import InvalidRecordError

KEY = b"a key that only the tests know.."


def fill(database, count, actor):
    for number in range(1, count + 1):
        with database.begin() as session:
            audit.append(session, actor, "test.made", "thing", f"id-{number}", {"n": number, "part": [1.5, None, "ä"]})


def checked(database, **more):
    with database.read() as session:
        return verify(session, database.audit_key, **{"anchor": database.anchor, **more})


def tamper(database, *statements):
    """What somebody with the database's password, but not the secret, can do."""
    with database.engine.begin() as connection:
        for verb in ("no_update", "no_delete", "no_replace") if database.embedded else ("no_change", "no_truncate"):
            suffix = "" if database.embedded else " ON audit_entries"
            connection.execute(sa.text(f"DROP TRIGGER IF EXISTS audit_entries_{verb}{suffix}"))
        for statement in statements:
            connection.execute(statement if not isinstance(statement, str) else sa.text(statement))


def found(verification):
    return [(one.kind, one.first, one.last) for one in verification.findings]


def test_a_whole_chain_verifies_and_tells_its_end(database, actor):
    assert checked(database) == checked(database, anchor=None)
    assert (checked(database).count, checked(database).intact) == (0, True)
    fill(database, 5, actor)
    first = checked(database)
    assert (first.count, first.findings) == (5, ())
    assert database.anchor.read() == (5, first.head)
    fill(database, 2, actor)
    assert checked(database, noted=(5, first.head)).intact


def test_triggers_refuse_to_change_or_remove(database, actor):
    fill(database, 2, actor)
    own = (
        "INSERT OR REPLACE INTO audit_entries SELECT * FROM audit_entries"
        if database.embedded
        else "TRUNCATE audit_entries"
    )
    for statement in ("UPDATE audit_entries SET action = 'x'", "DELETE FROM audit_entries WHERE sequence = 2", own):
        with pytest.raises(DBAPIError, match="append-only"), database.engine.begin() as connection:
            connection.execute(sa.text(statement))
    assert (checked(database).count, checked(database).intact) == (2, True)


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        (["UPDATE audit_entries SET action = 'patient.seen' WHERE sequence = 3"], [(Break.CHANGED, 3, 3)]),
        (["UPDATE audit_entries SET actor_name = 'Someone' WHERE sequence IN (2, 4)"],
         [(Break.CHANGED, 2, 2), (Break.CHANGED, 4, 4)]),
        (["DELETE FROM audit_entries WHERE sequence = 1"], [(Break.REMOVED, 1, 1)]),
        (["DELETE FROM audit_entries WHERE sequence IN (2, 3)"], [(Break.REMOVED, 2, 3)]),
        (["UPDATE audit_entries SET sequence = 99 WHERE sequence = 2",
          "UPDATE audit_entries SET sequence = 2 WHERE sequence = 4",
          "UPDATE audit_entries SET sequence = 4 WHERE sequence = 99"], [(Break.MOVED, 2, 2), (Break.MOVED, 4, 4)]),
        (["DELETE FROM audit_entries WHERE sequence = 2", "UPDATE audit_entries SET sequence = 2 WHERE sequence = 3"],
         [(Break.MOVED, 2, 2), (Break.REMOVED, 3, 3)]),
        (["DELETE FROM audit_entries WHERE sequence >= 4"], [(Break.CUT, 4, 6)]),
        (["DELETE FROM audit_entries"], [(Break.CUT, 1, 6)]),
        (["DELETE FROM audit_head"], [(Break.END_CHANGED, 6, 6)]),
        (["DELETE FROM audit_head", "DELETE FROM audit_entries"], [(Break.CUT, 1, 6)]),
        (["DELETE FROM audit_entries WHERE sequence > 4",
          "UPDATE audit_head SET count = 4, hash = (SELECT hash FROM audit_entries WHERE sequence = 4)"],
         [(Break.END_CHANGED, 4, 4), (Break.CUT, 5, 6)]),
    ],
)  # fmt: skip
def test_a_break_is_found_and_where(database, actor, statements, expected):
    fill(database, 6, actor)
    tamper(database, *statements)
    verification = checked(database)
    assert found(verification) == expected
    assert all(one.text for one in verification.findings)


def test_an_earlier_day_put_back_is_found_by_the_file_and_by_a_note(database, actor, tmp_path):
    """The database as it was, its keyed end included: only what lies outside it knows better."""
    fill(database, 3, actor)
    with database.read() as session:
        end = session.execute(sa.select(audit.AuditHeadRow.__table__)).one()
    fill(database, 2, actor)
    whole = checked(database)
    tamper(
        database,
        "DELETE FROM audit_entries WHERE sequence > 3",
        sa.update(audit.AuditHeadRow).values(count=end.count, hash=end.hash, mac=end.mac),
    )
    assert checked(database, anchor=None).intact
    assert found(checked(database)) == [(Break.CUT, 4, 5)]
    assert found(checked(database, anchor=None, noted=(whole.count, whole.head))) == [(Break.CUT, 4, 5)]


def test_a_chain_made_anew_without_the_secret_is_found(database, actor):
    fill(database, 4, actor)
    end = checked(database).head
    forged = open_database(
        database.engine.url.render_as_string(hide_password=False), b"another key ...................."
    )
    tamper(database, "DELETE FROM audit_entries", "DELETE FROM audit_head")
    fill(forged, 4, actor)
    forged.close()
    breaks = found(checked(database))
    assert [(Break.CHANGED, n, n) for n in range(1, 5)] == [one for one in breaks if one[0] is Break.CHANGED][:4]
    assert (Break.END_CHANGED, 4, 4) in breaks
    assert not verified_with(database, b"another key ....................", noted=(4, end)).intact, "the note knows"


def verified_with(database, key, **more):
    with database.read() as session:
        return verify(session, key, **more)


def test_a_damaged_file_of_the_end_is_a_finding_and_a_lagging_one_is_none(database, actor):
    fill(database, 2, actor)
    lagging = database.anchor.path.read_text()
    fill(database, 2, actor)
    database.anchor.path.write_text(lagging)
    assert checked(database).intact
    database.anchor.path.write_text("nonsense")
    assert found(checked(database)) == [(Break.END_CHANGED, 4, 4)]
    database.anchor.path.unlink()
    assert found(checked(database)) == [(Break.END_CHANGED, 4, 4)]


def test_the_file_of_the_end_never_stops_a_commit(database, actor, caplog):
    database.anchor.path.mkdir()
    fill(database, 1, actor)
    assert "could not be noted" in caplog.text
    assert checked(database, anchor=None).count == 1


@pytest.fixture(scope="module")
def chain(migrated_sqlite, tmp_path_factory):
    """A chain of eight entries in a file, to be copied and tampered with."""
    folder = tmp_path_factory.mktemp("chain")
    shutil.copy(migrated_sqlite, folder / "records.sqlite3")
    made = open_database(f"sqlite:///{folder / 'records.sqlite3'}", KEY, Anchor(folder / "audit.anchor"))
    fill(made, 8, Actor("account", "a", "A", "::1"))
    tamper(made)
    made.close()
    return folder


CHANGES = st.fixed_dictionaries({
    "sequence": st.integers(1, 8),
    "column": st.sampled_from([name for name in COLUMNS if name != "sequence"]),
    "value": st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=64),
})  # fmt: skip


@settings(max_examples=40)
@given(
    changes=st.lists(CHANGES, max_size=3),
    removed=st.sets(st.integers(1, 8), max_size=8),
    order=st.permutations(range(1, 9)),
    moved=st.booleans(),
)
def test_whatever_is_done_to_the_chain_is_found(  # noqa: PLR0917 - fixtures and what hypothesis draws
    chain, tmp_path_factory, changes, removed, order, moved
):
    folder = tmp_path_factory.mktemp("tampered")
    path = shutil.copy(chain / "records.sqlite3", folder)
    database = open_database(f"sqlite:///{path}", KEY, Anchor(chain / "audit.anchor"))
    table = audit.AuditRow.__table__
    with database.engine.begin() as connection:
        before = connection.execute(sa.select(table).order_by(table.c.sequence)).all()
        for change in changes:
            value = now() if change["column"] == "at" else change["value"]
            values = {change["column"]: value}
            connection.execute(sa.update(table).where(table.c.sequence == change["sequence"]).values(**values))
        if moved:
            connection.execute(sa.update(table).values(sequence=table.c.sequence + 100))
            for old, new in enumerate(order, 1):
                connection.execute(sa.update(table).where(table.c.sequence == old + 100).values(sequence=new))
        connection.execute(sa.delete(table).where(table.c.sequence.in_(removed)))
        after = connection.execute(sa.select(table).order_by(table.c.sequence)).all()
    verification = checked(database)
    database.close()
    assert verification.intact is (before == after)


# -- writers at once --------------------------------------------------------------------------------------------------


def test_threads_never_fork_the_chain(database):
    def work(name):
        fill(database, 8, system(name))

    threads = [threading.Thread(target=work, args=(f"thread {number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (checked(database).count, checked(database).findings) == (32, ())
    assert database.anchor.read()[0] == 32


WRITER = """
import sys
from dermaloop.cases import audit
from dermaloop.cases.actor import system
from dermaloop.cases.anchor import Anchor
from dermaloop.cases.database import open_database
from pathlib import Path
database = open_database(sys.argv[1], sys.argv[3].encode(), Anchor(Path(sys.argv[2])))
print("ready", flush=True)
sys.stdin.readline()
for number in range(15):
    with database.begin() as session:
        audit.append(session, system(sys.argv[4]), "test.made", "thing", str(number))
database.close()
"""


def test_processes_never_fork_the_chain(database):
    url = database.engine.url.render_as_string(hide_password=False)
    command = [sys.executable, "-c", WRITER, url, str(database.anchor.path), KEY.decode()]
    writers = [
        subprocess.Popen([*command, f"writer {number}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for number in range(2)
    ]
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.stdin.write("go\n")
        writer.stdin.flush()
    assert [writer.wait() for writer in writers] == [0, 0]
    for writer in writers:
        writer.communicate()
    assert (checked(database).count, checked(database).findings) == (30, ())


# -- entries ----------------------------------------------------------------------------------------------------------


def test_the_log_takes_an_entry_whatever_a_client_calls_itself(database):
    odd = Actor("token", "\ud800" * 300, "a\0b" + "x" * 9000, "\r\nSet-Cookie: x" * 40)
    with database.begin() as session:
        audit.append(session, odd, "a" * 300, "k" * 300, "s" * 300, {"text": "\0\ud800", "number": 0.1})
    assert checked(database).intact


def test_an_entry_needs_a_writing_transaction(database, actor):
    with database.read() as session, pytest.raises(AssertionError):
        audit.append(session, actor, "test.made", "thing", "1")


def test_pages_are_filtered_and_follow_one_another(database, actor):
    other = system("backup")
    for number in range(7):
        with database.begin() as session:
            who = other if number % 3 == 0 else actor
            audit.append(
                session, who, f"patient.{'made' if number < 4 else 'seen'}", "patient", f"p{number}", {"case": "c1"}
            )
    with database.read() as session:
        first, cursor = entries(session, limit=3)
        second, _ = entries(session, before=cursor, limit=3)
        assert [one.sequence for one in (*first, *second)] == [7, 6, 5, 4, 3, 2]
        assert cursor == 5
        assert entries(session, limit=7)[1] is None

        def which(**wanted):
            return [one.sequence for one in entries(session, Filter(**wanted))[0]]

        assert which(actor_id="backup") == [7, 4, 1]
        assert which(action="patient.seen") == [7, 6, 5]
        assert which(action="patient.") == [7, 6, 5, 4, 3, 2, 1]
        assert which(action="patient") == []
        assert which(subject_id="p2") == [3]
        assert which(subject_id="c1") == [7, 6, 5, 4, 3, 2, 1], "what the detail names is found too"
        assert which(subject_id="c%") == which(subject_id='"') == []
        assert which(since=now() - timedelta(hours=1), until=now() + timedelta(hours=1)) == [7, 6, 5, 4, 3, 2, 1]
        assert which(until=now() - timedelta(hours=1)) == []
        assert actions(session) == ("patient.made", "patient.seen")
        with pytest.raises(InvalidRecordError):
            entries(session, limit=0)


def test_an_export_holds_everything_and_can_be_verified_elsewhere(database, actor):
    fill(database, 3, actor)
    with database.begin() as session:
        audit.append(session, system("=cmd()"), "test.made", "thing", "-1+1")
    with database.read() as session:
        lines, table = io.StringIO(), io.StringIO()
        assert export(session, lines, "jsonl") == export(session, table, "csv") == 4
        assert export(session, io.StringIO(), "jsonl", Filter(action="none")) == 0
    previous = audit.GENESIS
    for line in lines.getvalue().splitlines():
        entry = json.loads(line)
        assert tuple(entry) == COLUMNS
        assert entry["previous"] == previous
        rebuilt = {**entry, "at": audit.datetime.fromisoformat(entry["at"]), "detail": audit.canonical(entry["detail"])}
        assert audit.entry_hash(KEY, rebuilt) == entry["hash"]
        previous = entry["hash"]
    rows = list(csv.DictReader(io.StringIO(table.getvalue())))
    assert [row["sequence"] for row in rows] == ["1", "2", "3", "4"]
    assert rows[0]["detail"] == '{"n": 1, "part": [1.5, null, "ä"]}'
    assert (rows[3]["actor_id"], rows[3]["subject_id"]) == ("'=cmd()", "'-1+1"), "no cell is a formula"
