"""A server at work is killed at random moments: what it acknowledged is there, and nothing half-written is.

A real server process takes patients, pictures, impressions and confirmed diagnoses from several programs at once and
gets SIGKILL. After every kill the store is examined, by the two commands that a clinic would use and by looking for
every record that was acknowledged; then the server starts again and the programs send again, by the same key, what was
in the air: it must be there once.

Five kills by default. `DERMALOOP_TEST_KILLS=50` in the environment makes it fifty, on SQLite and on PostgreSQL;
`DERMALOOP_TEST_SEED` chooses other moments.
"""

import os
import random
import signal
import sys
import threading
import time
import uuid
from datetime import date, timedelta

import pytest
import sqlalchemy as sa

from dermaloop.cases import tables
from dermaloop.cases.actor import system
from dermaloop.cases.check import check
from dermaloop.cases.roles import Role, Scope
from dermaloop.cases.store import open_store
from dermaloop.client import (
    Client,
    ClientError,
    ConfirmationEntry,
    ImpressionEntry,
    LesionEntry,
    PatientEntry,
    ProblemError,
)
from dermaloop.core.synthetic import draw_lesion
from support.forked import forking
from support.hostile import save
from support.people import add_account, make_token
from support.postgres import find_binaries, serving
from support.toy import toy_bundle

KILLS = int(os.environ.get("DERMALOOP_TEST_KILLS", "5"))
SEED = int(os.environ.get("DERMALOOP_TEST_SEED", "4"))
PROGRAMS = 3
PATIENCE_S = 180
STEPS = ("patient", "lesion", "upload", "impression", "confirmation")
TABLES = {
    "patient": tables.PatientRow,
    "lesion": tables.LesionRow,
    "impression": tables.ImpressionRow,
    "confirmation": tables.ConfirmationRow,
}


class Program:
    """One client of the server: goes through the steps for one patient after the other, and remembers where it was."""

    def __init__(self, number, pictures):
        self.number, self.pictures = number, pictures
        self.acknowledged = []  # (kind, id, what was sent)
        self._step, self._key, self._made = 0, uuid.uuid4().hex, {}
        self._round = 1

    def work(self, client, over):
        """Works until the server is gone."""
        while not over.is_set():
            kind = STEPS[self._step]
            try:
                self._take(client, kind)
            except ProblemError:
                raise
            except ClientError as error:  # no answer
                if not over.wait(PATIENCE_S):
                    raise AssertionError(f"the server lives and does not answer: {error}") from error
                return
            self._step, self._key = (self._step + 1) % len(STEPS), uuid.uuid4().hex
            self._round += self._step == 0

    def _take(self, client, kind):
        made, key = self._made, self._key
        if kind == "patient":
            name = f"P-{self.number}-{self._round}"
            made["patient"] = client.make_patient(PatientEntry(pseudonym=name), key=key).id
            self.acknowledged.append(("patient", made["patient"], name))
        elif kind == "lesion":
            made["lesion"] = client.make_lesion(made["patient"], LesionEntry(site="posterior torso"), key=key).id
            self.acknowledged.append(("lesion", made["lesion"], made["patient"]))
        elif kind == "upload":
            content = self.pictures[(self.number + self._round) % len(self.pictures)]
            sent = [("a.jpg", content), ("b.jpg", self.pictures[(self.number + self._round + 1) % len(self.pictures)])]
            answer = client.upload(made["lesion"], sent, visited_on=date(2026, 3, 1), key=key)
            made["case"] = answer.case_id
            self.acknowledged.append(("upload", answer.case_id, len(sent)))
        elif kind == "impression":
            entry = ImpressionEntry(management="excision", diagnosis="MEL", text=f"round {self._round}")
            self.acknowledged.append(("impression", client.add_impression(made["case"], entry, key=key).id, entry.text))
        else:
            entry = ConfirmationEntry(confirmation="histopathology", confirmed_on=date(2026, 3, 8), diagnosis="MEL")
            self.acknowledged.append(("confirmation", client.confirm(made["case"], entry, key=key).id, made["case"]))


@pytest.fixture(params=["sqlite", "postgres"] if "DERMALOOP_TEST_KILLS" in os.environ else ["sqlite"])
def database_url(request):
    """Empty for SQLite in the store's folder."""
    if request.param == "sqlite":
        yield ""
        return
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL server is installed here (Debian: apt-get install postgresql)")
    with serving(binaries) as address:
        engine = sa.create_engine(address.format(name="postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(sa.text("CREATE DATABASE killed"))
        engine.dispose()
        yield address.format(name="killed")


def examine(store, programs):
    """Every acknowledged record is there, as it was sent; nothing is there by half."""
    with store.database.read() as session:
        for kind, record_id, sent in [one for program in programs for one in program.acknowledged]:
            if kind == "upload":
                rows = session.scalars(sa.select(tables.ImageRow).where(tables.ImageRow.case_id == record_id)).all()
                assert len(rows) == sent, (kind, record_id)
                assert all(store.images.read(row.sha256) for row in rows)
                continue
            row = session.get(TABLES[kind], record_id)
            assert row is not None, (kind, record_id)
            fields = {"patient": "pseudonym", "lesion": "patient_id", "impression": "text", "confirmation": "case_id"}
            assert getattr(row, fields[kind]) == sent
        pictures = session.scalars(sa.select(tables.ImageRow.id)).all()
        answered = session.scalars(sa.select(tables.PredictionRow.image_id)).all()
        assert sorted(pictures) == sorted(answered), "a picture and its answer are kept together"
        cases = set(session.scalars(sa.select(tables.CaseRow.id)))
        assert cases == set(session.scalars(sa.select(tables.ImageRow.case_id))), "no case without its pictures"
        names = session.scalars(sa.select(tables.PatientRow.pseudonym)).all()
        assert len(names) == len(set(names))
        for table in (tables.ImpressionRow, tables.ConfirmationRow):
            made = session.scalars(sa.select(table.case_id)).all()
            assert len(made) == len(set(made)), "what was sent twice by one key is there once"
    found = check(store, system("test"), remove_orphans=False, young=timedelta(0))
    assert (found.missing, found.damaged, found.database) == ((), (), ())
    for orphan in found.orphans:
        sha256 = orphan.rpartition("/")[2]
        assert orphan.endswith(".part") or store.images.read(sha256), "no half picture under a whole one's name"


@pytest.mark.slow
def test_what_a_killed_server_acknowledged_is_there(tmp_path, database_url):
    moments = random.Random(SEED)
    pictures = [save(draw_lesion(seed, size_px=96), "JPEG") for seed in range(8)]
    bundle, folder = toy_bundle(tmp_path / "bundle"), tmp_path / "store"
    where = {"DERMALOOP_DATABASE_URL": database_url} if database_url else {}
    store = open_store(folder, database_url=database_url or None)
    token = make_token(store, add_account(store, Role.CLINICIAN), [Scope.CASES_READ, Scope.CASES_WRITE])
    store.close()
    programs = [Program(number, pictures) for number in range(PROGRAMS)]
    at_start = 0
    with forking(tmp_path, DERMALOOP_THREADS="1", **where) as commands:
        for kill in range(KILLS):
            said = f"seed {SEED}, kill {kill + 1} of {KILLS}"
            server = commands.start("serve", "--store", str(folder), "--bundle", str(bundle))
            if kill % 5 == 4:  # also while it starts
                time.sleep(moments.uniform(0, 0.5))
                at_start += 1
            else:
                address = server.wait_for("is ready: ").partition(": ")[2].rsplit("/enter/")[0].strip("/")
                work_and_wait(programs, address, token, moments)
            server.kill()
            finish(programs)
            assert "The audit log is whole" in commands.call("audit", "verify", "--store", str(folder)), said
            commands.call("store", "check", "--store", str(folder))
            store = open_store(folder, database_url=database_url or None)
            try:
                examine(store, programs)
            except AssertionError as error:
                raise AssertionError(f"{said}: {error}") from error
            finally:
                store.close()
    total = sum(len(program.acknowledged) for program in programs)
    told = f"{KILLS} kills ({at_start} while starting), {total} acknowledged records, all there; seed {SEED}"
    sys.stdout.write(f"{told}\n")  # shown with -s or -rP
    assert total > 2 * (KILLS - at_start)


def work_and_wait(programs, address, token, moments):
    """Lets the programs work until some more was acknowledged, and then for a moment."""
    wanted = sum(len(one.acknowledged) for one in programs) + moments.randint(1, 15)
    for program in programs:
        program.over = threading.Event()
        program.failure = None
        program.thread = threading.Thread(target=run, args=(program, address, token))
        program.thread.start()
    end = time.monotonic() + PATIENCE_S
    while sum(len(one.acknowledged) for one in programs) < wanted and time.monotonic() < end:
        if any(one.failure for one in programs):
            return
        time.sleep(0.002)
    time.sleep(moments.uniform(0, 0.06))


def run(program, address, token):
    try:
        with Client(address, token, attempts=1) as client:
            program.work(client, program.over)
    except BaseException as error:  # noqa: BLE001 - told by `finish`, on the test's own thread
        program.failure = error


def finish(programs):
    """Tells the programs that the server is gone, and hears what they found wrong."""
    for program in programs:
        if getattr(program, "over", None) is None:
            continue
        program.over.set()
        program.thread.join(PATIENCE_S)
        assert program.failure is None, program.failure
        assert not program.thread.is_alive()


def test_a_killed_command_is_told_from_one_that_ended(tmp_path):
    with forking(tmp_path) as commands:
        running = commands.start("--version")
        assert running.status() == 0
        assert running.said().startswith("dermaloop ")
        server = commands.start("serve", "--store", "/dev/null/store")
        assert server.status() == 1
        with pytest.raises(AssertionError, match="status 1"):
            commands.call("audit", "verify", "--store", str(tmp_path / "nowhere"))
    assert signal.SIGKILL == 9
