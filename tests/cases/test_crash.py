"""A process that stores pictures and records is killed at random moments: what it acknowledged is there, and no half.

`DERMALOOP_TEST_CRASHES` in the environment sets how often (five times by default).
"""

import os
import random
import signal
import subprocess
import sys
import time
from datetime import timedelta

import pytest
import sqlalchemy as sa

from dermaloop.cases import tables
from dermaloop.cases.actor import system
from dermaloop.cases.audit_verify import verify
from dermaloop.cases.check import check
from dermaloop.cases.store import open_store

CRASHES = int(os.environ.get("DERMALOOP_TEST_CRASHES", "5"))
CLINIC = """
import sys
from datetime import date
from pathlib import Path
from dermaloop.cases import opinions
from dermaloop.cases.actor import system
from dermaloop.cases.store import open_store
from support.clinic import assessed, picture, prediction
folder, url, first = Path(sys.argv[1]), sys.argv[2] or None, int(sys.argv[3])
store, actor = open_store(folder, database_url=url), system("clinic")
print("ready", flush=True)
number = first
while True:
    number += 1
    with store.database.begin() as session:
        case, image, stored = assessed(session, actor, store.images, pseudonym=f"P-{number}")
    print("image", image.id, image.sha256, flush=True)
    with store.database.begin() as session:
        impression = opinions.add_impression(session, actor, case.id, management="excision", diagnosis="MEL")
        opinions.sign_off(session, actor, case.id)
    print("impression", impression.id, case.id, flush=True)
    with store.database.begin() as session:
        entry = opinions.add_confirmation(
            session, actor, case.id, confirmation="histopathology", confirmed_on=date(2026, 1, 2), diagnosis="MEL"
        )
    print("confirmation", entry.id, case.id, flush=True)
"""
TABLES = {
    "image": tables.ImageRow,
    "impression": tables.ImpressionRow,
    "confirmation": tables.ConfirmationRow,
}


@pytest.fixture(params=["sqlite", "postgres"])
def place(request, tmp_path):
    """(folder, address of the database, empty for SQLite in the folder)."""
    url = "" if request.param == "sqlite" else request.getfixturevalue("new_postgres")()
    return tmp_path / "store", url


def run_and_kill(place, first, moments):
    """Lets a clinic work until it has acknowledged a little, kills it, and gives what it had acknowledged by then."""
    folder, url = place
    process = subprocess.Popen(
        [sys.executable, "-c", CLINIC, str(folder), url, str(first)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        lines = [process.stdout.readline() for _ in range(1 + moments.randint(1, 60))]
        assert lines[0] == "ready\n"
        time.sleep(moments.uniform(0, 0.05))
    finally:
        process.send_signal(signal.SIGKILL)
        said, _ = process.communicate()
    assert process.returncode == -signal.SIGKILL, "it was working until then"
    lines = lines[1:] + said.splitlines(keepends=True)
    return [line.split() for line in lines if line.endswith("\n")]


@pytest.mark.slow
def test_what_was_acknowledged_survives_being_killed(place):
    moments = random.Random(4)
    acknowledged = []
    for crash in range(CRASHES):
        acknowledged += run_and_kill(place, crash * 100_000, moments)
        store = open_store(place[0], database_url=place[1] or None)
        try:
            with store.database.read() as session:
                for kind, record_id, _ in acknowledged:
                    assert session.get(TABLES[kind], record_id) is not None, (kind, record_id)
                found = verify(session, store.database.audit_key, anchor=store.database.anchor)
                assert found.findings == ()
                rows = session.scalar(sa.select(sa.func.count()).select_from(tables.ImageRow))
                # Nothing half-written: every case has its picture and every picture its answer, or none of the three.
                for table in (tables.CaseRow, tables.PredictionRow, tables.PatientRow):
                    assert session.scalar(sa.select(sa.func.count()).select_from(table)) == rows
            for kind, _, sha256 in acknowledged:
                if kind == "image":
                    assert store.images.read(sha256)
            checked = check(store, system("test"), remove_orphans=True, young=timedelta(0))
            assert (checked.missing, checked.damaged, checked.database) == ((), (), ())
            assert len(checked.orphans) <= 1, "at most the one that was being stored"
        finally:
            store.close()
    assert len(acknowledged) >= CRASHES
