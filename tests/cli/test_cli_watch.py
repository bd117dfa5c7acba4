"""`dermaloop watch` on a small clinic: found, kept, printed, and said by the exit status."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from dermaloop.cases import findings
from dermaloop.cases.actor import system
from dermaloop.cases.store import open_store
from dermaloop.cli import watch as command
from dermaloop.cli.app import app
from dermaloop.core.bundle import open_bundle
from dermaloop.core.errors import MissingExtraError
from dermaloop.core.prediction import Imprint
from support import clinic
from support.people import new_store
from support.toy import toy_bundle

VISITS = 110


@pytest.fixture
def clinic_store(tmp_path, monkeypatch):
    """Visits over half a year; the last thirty are blurred. Gives (store's folder, bundle's path)."""
    path = toy_bundle(tmp_path)
    bundle = open_bundle(path)
    rng = np.random.default_rng(0)
    clock = iter(range(10**6))
    start = clinic.answers.now()
    monkeypatch.setattr(clinic.answers, "now", lambda: start.replace(year=2026, month=1 + next(clock) // 20 % 12))
    with new_store(tmp_path / "store") as store, store.database.begin() as session:
        for visit in range(VISITS):
            stripped = clinic.picture(1)
            image = clinic.new_image(
                session, system("test"), clinic.new_case(session, system("test")), store.images, stripped
            )
            imprint = Imprint(*(rng.normal(size=3).astype(np.float32) for _ in range(2)), (0.4, 0.3))
            blur = rng.normal(0.3 if visit < 80 else 0.7, 0.05)
            said = clinic.prediction(
                stripped, rng.random(), bundle=bundle.identity, imprint=imprint, quality={"blur": blur}
            )
            clinic.answers.add_prediction(session, system("test"), image.id, said, bundle_sha256=bundle.sha256)
    return tmp_path / "store", path


def test_it_finds_keeps_prints_and_tells(clinic_store, monkeypatch):
    folder, bundle = clinic_store
    monkeypatch.setenv("DERMALOOP_WATCH_LEARNING", "40")
    arguments = ["watch", "--store", str(folder), "--bundle", str(bundle)]
    outcome = CliRunner().invoke(app, [*arguments, "--json"])
    assert outcome.exit_code == 1, outcome.output
    told = json.loads(outcome.output)
    assert told["visits"] == VISITS
    assert [one["measure"] for one in told["alarms"]] == ["blur"]
    again = CliRunner().invoke(app, arguments)
    assert "ALARM blur" in again.output
    monkeypatch.setenv("DERMALOOP_WATCH_LEARNING", "1000")
    close_alarm(folder)
    quiet = CliRunner().invoke(app, arguments)
    assert quiet.exit_code == 0, quiet.output
    assert "No alarm is open." in quiet.output


def close_alarm(folder):
    store = open_store(folder)
    with store.database.begin() as session:
        (alarm,) = findings.alarms(session)
        findings.review_alarm(session, system("test"), alarm.id, outcome="stays", note="New lens.")
    store.close()


def test_without_its_library_it_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setattr(command, "find_spec", lambda _: None)
    outcome = CliRunner().invoke(app, ["watch", "--store", str(tmp_path)])
    assert isinstance(outcome.exception, MissingExtraError)
    assert "dermaloop[watch]" in str(outcome.exception)
