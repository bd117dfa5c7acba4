"""A model is promoted and taken back while a real server works: nothing is lost, and every answer names who made it.

A server process follows the registry; programs keep requests in flight; another process decides, by the commands that a
clinic would use. Two rounds with a small model by default. `DERMALOOP_TEST_ROLLBACKS=20` in the environment makes it
twenty, with the bundle that ships and the server's own settings, and prints how long a rollback takes.
"""

import os
import sys
import threading
import time
from datetime import date, timedelta

import numpy as np
import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from dermaloop.cases import registry, tables
from dermaloop.cases.actor import system
from dermaloop.cases.registry_verify import verify_registry
from dermaloop.cases.roles import Role, Scope
from dermaloop.cases.store import open_store
from dermaloop.cli.registry import app
from dermaloop.client import Client, LesionEntry, PatientEntry
from dermaloop.core import bundle as bundles
from dermaloop.core.bundle import open_bundle
from dermaloop.core.synthetic import draw_lesion
from dermaloop.inference.classifier import Classifier
from dermaloop.inference.default import default_bundle_path
from support.forked import forking
from support.hostile import save
from support.models import first_champion, proposal
from support.people import PASSWORD, add_account, make_token

LONG = "DERMALOOP_TEST_ROLLBACKS" in os.environ
ROUNDS = int(os.environ.get("DERMALOOP_TEST_ROLLBACKS", "2"))
PROGRAMS = 3
PATIENCE_S = 180


class Load:
    """Programs that never stop asking; every answer is kept with the time at which it was asked for."""

    def __init__(self, address, token, pictures):
        self.answers, self.cases, self.failures, self.over = [], [], [], threading.Event()
        self._address, self._token, self._pictures = address, token, pictures
        self._threads = [threading.Thread(target=self._guarded, args=(n,)) for n in range(PROGRAMS)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self._threads:
            thread.join(PATIENCE_S)

    def _guarded(self, number):
        try:
            with Client(self._address, self._token, attempts=1) as client:
                if number == 0:
                    self._take_in(client)
                while number and not self.over.is_set():
                    place = len(self.answers) % len(self._pictures)
                    asked = time.monotonic()
                    (result,) = client.classify([("a.jpg", self._pictures[place])])
                    self.answers.append((asked, time.monotonic(), place, result))
        except BaseException as error:  # noqa: BLE001 - told by the test, on its own thread
            self.failures.append(error)

    def _take_in(self, client):
        """Uploads one visit after the other, to be kept."""
        patient = client.make_patient(PatientEntry(pseudonym="under load"))
        day = date(2020, 1, 1)
        while not self.over.is_set():
            lesion = client.make_lesion(patient.id, LesionEntry(site="posterior torso"))
            picture = self._pictures[len(self.cases) % len(self._pictures)]
            self.cases.append(client.upload(lesion.id, [("a.jpg", picture)], visited_on=day).case_id)
            day += timedelta(days=1)

    def first_by(self, identity, since):
        """Waits for the first answer by a model that was asked for after a moment; gives when it came."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end and not self.failures:
            came = [
                done for asked, done, _, result in list(self.answers) if result.bundle == identity and asked > since
            ]
            if came:
                return min(came)
            time.sleep(0.01)
        raise AssertionError(f"{identity} never answered: {self.failures}")


@pytest.fixture
def models(tmp_path):
    """A store with a champion and a challenger that passed: (its folder, champion, challenger, token)."""
    store = open_store(tmp_path / "store")
    lead = add_account(store, Role.LEAD, "ada", PASSWORD)
    token = make_token(store, lead, [Scope.CLASSIFY, Scope.CASES_READ, Scope.CASES_WRITE])
    if LONG:
        shipped = open_bundle(default_bundle_path())
        first = store.folder.parent / "first.dermaloop"
        bundles.write(first, shipped.spec, dict(shipped.parts))
        with store.database.begin() as session:
            champion = registry.add(session, system("test"), first, first=True)
        second = store.folder.parent / "second.dermaloop"
        points = tuple(point.model_copy(update={"threshold": 1.0}) for point in shipped.spec.operating_points)
        bundles.write(
            second, shipped.spec.model_copy(update={"name": "next", "operating_points": points}), dict(shipped.parts)
        )
        challenger = proposal(store, tmp_path, bundle=second)
    else:
        champion = first_champion(store, tmp_path)
        challenger = proposal(store, tmp_path)
    store.close()
    return store.folder, champion, challenger, token


def decide(folder, *words, typed=""):
    """Runs `dermaloop registry …` in this process, which is not the server's; gives the seconds that it took."""
    began = time.monotonic()
    done = CliRunner().invoke(app, [*words, "--store", str(folder)], input=typed)
    assert done.exit_code == 0, done.output
    return time.monotonic() - began


@pytest.mark.slow
def test_promoting_and_rolling_back_under_load_loses_nothing(tmp_path, models):
    folder, champion, challenger, token = models
    pictures = [save(draw_lesion(seed, size_px=96), "JPEG") for seed in range(4)]
    given = {} if LONG else {"DERMALOOP_CHAMPION_POLL_S": "0.2"}
    taken, decided = [], []
    with forking(tmp_path, DERMALOOP_THREADS="1", **given) as commands:
        server = commands.start("serve", "--store", str(folder))
        address = server.wait_for("is ready: ").partition(": ")[2].rsplit("/enter/")[0].strip("/")
        with Load(address, token, pictures) as load:
            load.first_by(champion.identity, 0)
            for _ in range(ROUNDS):
                decide(folder, "promote", challenger.id, "--by", "ada", "--reason", "passed", typed=PASSWORD + "\n")
                load.first_by(challenger.identity, time.monotonic())
                began = time.monotonic()
                decided.append(decide(folder, "rollback", "--reason", "too many referrals"))
                taken.append(load.first_by(champion.identity, began + decided[-1]) - began)
            ended = time.monotonic()
            load.first_by(champion.identity, ended)
        server.kill()
    assert load.failures == [], "no request was lost"
    store = open_store(folder)
    with store.database.read() as session:
        made = {one.identity: Classifier(registry.open_model(session, one)) for one in (champion, challenger)}
        kept = sa.select(tables.PredictionRow.bundle, tables.PredictionRow.threshold, tables.ImageRow.received_sha256)
        rows = session.execute(kept.join(tables.ImageRow, tables.ImageRow.id == tables.PredictionRow.image_id)).all()
        cases = session.scalars(sa.select(tables.PredictionRow.case_id)).all()
    assert verify_registry(store).sound
    store.close()
    expected = {
        (name, place): classifier.classify(picture)
        for name, classifier in made.items()
        for place, picture in enumerate(pictures)
    }
    for _, _, place, result in load.answers:
        own = expected[result.bundle, place]
        assert result.threshold == own.threshold, "the answer is of the model that it names"
        assert np.isclose(result.malignant_probability, own.malignant_probability, atol=1e-4)
    assert {result.bundle for *_, result in load.answers} == set(made)
    assert set(load.cases) <= set(cases), "every acknowledged case is there with its answer"
    assert all(threshold == expected[bundle, 0].threshold for bundle, threshold, _ in rows)
    assert all(result.bundle == champion.identity for asked, *_, result in load.answers if asked > ended)
    told = (
        f"{ROUNDS} rollbacks under load: {len(load.answers)} answers and {len(load.cases)} visits, none lost; the"
        f" command {max(decided):.2f} s at the most, the former champion answers after {np.median(taken):.2f} s"
        f" ({min(taken):.2f} to {max(taken):.2f})"
    )
    sys.stdout.write(f"{told}\n")  # shown with -s or -rP
