"""A server is killed while a folder is sent and assessed: what it acknowledged is there, and is answered once.

`DERMALOOP_TEST_CRASHES` in the environment sets how often (twice by default).
"""

import csv
import io
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import httpx
import pytest

from dermaloop.cases.actor import system
from dermaloop.cases.audit_verify import verify
from dermaloop.cases.check import check
from dermaloop.cases.store import open_store
from dermaloop.core.synthetic import draw_lesion
from support.hostile import save
from support.toy import toy_bundle

CRASHES = int(os.environ.get("DERMALOOP_TEST_CRASHES", "2"))
PICTURES = 10_000
"""More than a server takes in before it is killed."""


@pytest.fixture
def start(tmp_path):
    """Starts a server on one store; gives the process and a client that its link has signed in."""
    bundle = toy_bundle(tmp_path)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("DERMALOOP_")}
    environment = {
        **clean,
        "OMP_NUM_THREADS": "1",
        "DERMALOOP_THREADS": "1",
        "DERMALOOP_STORE": str(tmp_path / "store"),
    }

    @contextmanager
    def serve():
        process = subprocess.Popen(
            [sys.executable, "-c", "from dermaloop.cli import main; main()", "serve", "--bundle", str(bundle)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            line = process.stdout.readline()
            link = re.fullmatch(r"dermaloop is ready: (http://\S+/)(enter/\S+)\n", line)
            assert link, line + process.stderr.read()
            with httpx.Client(base_url=link[1], follow_redirects=True, timeout=180) as client:
                client.get(link[2])
                token = re.search(r'name="form_token" value="(\w+)"', client.get("/screenings").text)[1]
                client.headers["X-Form-Token"] = token
                yield process, client
        finally:
            if process.poll() is None:
                process.kill()
            process.communicate()

    return serve


def send_until_killed(process, client, place, first, moments):
    """Sends pictures, two at a time, until the server dies; gives the names that it acknowledged.

    It is killed a moment after it has acknowledged a few, however long it takes for them.
    """
    acknowledged, enough = [], moments.randint(1, 40)
    timer = threading.Timer(moments.uniform(0, 0.1), process.send_signal, [signal.SIGKILL])
    for number in range(first, first + PICTURES, 2):
        names = [f"{number}.png", f"{number + 1}.png"]
        pictures = [save(draw_lesion(number + more, size_px=24), "PNG") for more in range(2)]
        files = [("pictures", (name, content)) for name, content in zip(names, pictures, strict=True)]
        try:
            answer = client.post(f"{place}/pictures/part", files=files)
        except httpx.TransportError:
            process.wait(180)
            return acknowledged
        assert answer.status_code in {204, 503}, answer.text
        if answer.status_code == 204:
            acknowledged += names
        if len(acknowledged) >= enough and timer.ident is None:
            timer.start()
    raise AssertionError("it was never killed")


@pytest.mark.slow
def test_a_killed_server_goes_on_where_it_was(start, tmp_path):
    moments = random.Random(7)
    acknowledged, place = [], None
    for crash in range(CRASHES):
        with start() as (process, client):
            if place is None:
                place = client.post("/screenings", data={"name": "Killed"}).url.path
            acknowledged += send_until_killed(process, client, place, crash * PICTURES, moments)
            assert process.returncode == -signal.SIGKILL, "it was working until then"
    assert acknowledged
    with start() as (process, client):
        end = time.monotonic() + 300
        while 'data-waiting="0"' not in client.get(f"{place}/progress/part").text:
            assert time.monotonic() < end, "it goes on by itself"
            time.sleep(0.1)
        table = [row["image"] for row in csv.DictReader(io.StringIO(client.get(f"{place}/results.csv").text))]
        process.send_signal(signal.SIGTERM)
        assert process.wait(180) == 0
    assert len(table) == len(set(table)), "nothing has two rows"
    assert set(acknowledged) <= set(table), "what was acknowledged is there, with an answer"
    assert len(table) - len(acknowledged) <= 2 * CRASHES, "and at most the piece that nobody heard of"
    store = open_store(tmp_path / "store")
    try:
        with store.database.read() as session:
            assert verify(session, store.database.audit_key, anchor=store.database.anchor).findings == ()
        checked = check(store, system("test"))
        assert (checked.missing, checked.damaged, checked.database) == ((), (), ())
    finally:
        store.close()
