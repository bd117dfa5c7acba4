"""The shadow under pressure: it gives way to people, drops what it cannot do, and counts every picture it drops."""

import threading
import time

import pytest

from dermaloop.cases import registry, shadow
from dermaloop.cases.actor import system
from dermaloop.cases.model_tables import SilentPredictionRow
from dermaloop.core import bundle as bundles
from dermaloop.web.shadowing import BUSY, FAILED, QUEUE_FULL, STOPPED, Shadow
from support.clinic import assessed
from support.models import first_champion, proposal, second_version

TEST = system("test")
PATIENCE_S = 180
"""Its thread has the lowest priority: on a busy machine it comes late."""


@pytest.fixture
def model(store, tmp_path):
    first_champion(store, tmp_path)
    return proposal(store, tmp_path)


@pytest.fixture
def images(store):
    with store.database.begin() as session:
        return [assessed(session, TEST, store.images)[1] for _ in range(4)]


def until(condition, *, seconds=PATIENCE_S):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def said(store):
    with store.database.read() as session:
        return session.query(SilentPredictionRow).count()


def missed(store, model):
    with store.database.read() as session:
        return shadow.missed(session, model.id)


def test_it_waits_while_a_person_s_request_is_worked_at(store, model, images):
    busy = threading.Event()
    busy.set()
    runs = Shadow(store, busy.is_set)
    runs.set(model)
    runs.offer(images[0].id, images[0].sha256)
    runs.offer(images[1].id, images[1].sha256)
    time.sleep(0.2)
    assert said(store) == 0
    busy.clear()
    until(lambda: said(store) == 2)
    runs.close(wait_s=PATIENCE_S)
    assert missed(store, model) == {}


def test_what_it_cannot_do_is_dropped_and_counted(store, model, images):
    busy = threading.Event()
    busy.set()
    runs = Shadow(store, busy.is_set, most_waiting=1, patience_s=600)
    runs.set(model)
    for number in range(50):
        image = images[min(number, 2)]
        runs.offer(image.id, image.sha256)
    turned_away = runs._run._missed[QUEUE_FULL]
    assert turned_away >= 48, "an offer never waits: one is in hand at the most, and one waits"
    busy.clear()
    until(lambda: said(store) + turned_away == 50)
    runs._run._patience_s = 0
    busy.set()
    runs.offer(images[3].id, images[3].sha256)
    until(lambda: runs._run._missed[BUSY] == 1)
    runs.close(wait_s=PATIENCE_S)
    assert missed(store, model) == {QUEUE_FULL: turned_away, BUSY: 1}, "every picture is answered or counted"


def test_what_waits_when_the_server_stops_is_counted(store, model, images):
    runs = Shadow(store, lambda: True)
    runs.set(model)
    for image in images:
        runs.offer(image.id, image.sha256)
    runs.close(wait_s=PATIENCE_S)
    assert missed(store, model) == {STOPPED: 4}
    assert said(store) == 0


def test_a_picture_that_it_fails_on_is_counted_and_the_next_one_is_answered(store, model, images, monkeypatch):
    read, broken = type(store.images).read, images[0].sha256

    def fails(self, sha256):
        if sha256 == broken:
            raise ZeroDivisionError
        return read(self, sha256)

    monkeypatch.setattr(type(store.images), "read", fails)
    runs = Shadow(store, lambda: False)
    runs.set(model)
    for image in images[:2]:
        runs.offer(image.id, image.sha256)
    until(lambda: said(store) == 1)
    runs.close(wait_s=PATIENCE_S)
    assert missed(store, model) == {FAILED: 1}


def test_a_shadow_that_cannot_run_says_so_and_disturbs_nobody(store, tmp_path, images):
    broken = second_version(tmp_path / "broken", parts={bundles.MODEL: b"no graph"})
    with store.database.begin() as session:
        model = registry.add(session, TEST, broken)
    runs = Shadow(store, lambda: False)
    runs.set(model)
    until(lambda: runs.problem)
    assert "cannot be loaded" in runs.problem
    runs.offer(images[0].id, images[0].sha256)
    runs.set(None)
    assert runs.model is None
    assert runs.problem == ""
