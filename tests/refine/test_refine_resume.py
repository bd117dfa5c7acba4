"""A turn that is killed goes on; what is refused or flagged stays out. Training is stubbed: see `stub_training`.

`DERMALOOP_TEST_CRASHES` in the environment sets at how many of the renames the turn is killed (four by default).
"""

import json
import os
import shutil
import signal
import warnings
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dermaloop.cases import flags, registry
from dermaloop.cases.audit_verify import verify
from dermaloop.cases.frozen_uses import count_uses
from dermaloop.cases.store import open_store
from dermaloop.core.bundle import open_bundle
from dermaloop.core.manifest import Split, read
from dermaloop.refine.turn import Inputs, take_turn
from support.challengers import Champion, crown, easy_plan, stub_training
from support.refining import ADA, clinic, confirmed, tinted
from support.toy import toy_bundle
from support.trainings import FINE, lesion_manifest

CRASHES = int(os.environ.get("DERMALOOP_TEST_CRASHES", "4"))
NOW = datetime(2026, 11, 1, tzinfo=UTC)
PER_SPLIT = {Split.TRAIN: 4, Split.VALIDATION: 4, Split.CALIBRATION: 4}


@pytest.fixture(scope="module")
def champion(tmp_path_factory):
    """The toy bundle as champion; original data and frozen set are a few drawn pictures."""
    folder = tmp_path_factory.mktemp("champion")
    path = toy_bundle(folder, packed=True)
    weights = folder / "weights.safetensors"
    weights.write_bytes(b"weights of the champion")
    original = lesion_manifest(folder / "original", sources=("alpha",), per_split=PER_SPLIT)
    frozen = lesion_manifest(folder / "frozen", sources=("omega",), per_split={Split.TEST: 12}, size_px=80)
    return Champion(open_bundle(path), path, weights, original, frozen)


@pytest.fixture
def stubbed(monkeypatch, champion):
    stub_training(monkeypatch, champion.bundle)


def inputs(champion, tmp_path, **changes):
    given = {"plan": easy_plan(tmp_path), "frozen": champion.frozen, "rehearsal": champion.original,
             "weights": champion.weights, "threads": 1, "now": NOW}  # fmt: skip
    return Inputs(**{**given, **changes})


def in_a_child(function):
    """Runs a function in a forked process; gives how that ended: its exit status, or minus the signal."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside threads: the child makes its own
        child = os.fork()
    if child == 0:
        status = 1
        try:
            function()
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def turn_that_dies(folder, champion, tmp_path, number, log=None):
    """Takes the turn; kills the process at its `number`th rename, before or after it; notes each rename in `log`."""
    renamed, seen = Path.replace, []

    def replace(self, target):
        seen.append(Path(target).name)
        if log is not None:
            log.write_text(json.dumps(seen))
        if len(seen) == number and number % 2:
            os.kill(os.getpid(), signal.SIGKILL)
        done = renamed(self, target)
        if len(seen) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    Path.replace = replace
    store = open_store(folder)
    take_turn(store, ADA, tmp_path / "work", inputs(champion, tmp_path))
    store.close()


@pytest.fixture
def ready(store, champion, tmp_path, stubbed):
    """A store with confirmed cases, closed: (its folder, how often a whole turn renames)."""
    crown(store, champion)
    clinic(store, 8)
    store.close()
    return store.folder


def test_a_turn_killed_at_any_rename_goes_on_to_the_same_challenger(ready, champion, tmp_path):
    log = tmp_path / "renames.json"
    whole = tmp_path / "whole"
    shutil.copytree(ready, whole / "store")
    assert in_a_child(lambda: turn_that_dies(whole / "store", champion, whole, 0, log)) == 0
    names = json.loads(log.read_text())
    assert {"turn.json", "gathered", "checked", "challenger.dermaloop", "evidence", "outcome.json"} <= set(names)
    expected = open_bundle(whole / "work/turns/0001/challenger.dermaloop").model_sha256
    points = sorted({round((k + 0.5) * len(names) / CRASHES) for k in range(min(CRASHES, len(names)))})
    for point in points:
        place = tmp_path / f"killed-{point}"
        shutil.copytree(ready, place / "store")
        assert (
            in_a_child(lambda place=place, point=point: turn_that_dies(place / "store", champion, place, point)) == -9
        )
        opened = open_store(place / "store")
        with opened.database.begin() as session:
            for model in registry.listing(session):
                assert registry.open_model(session, model), "no alias points to a bundle that is not whole"
        outcome = take_turn(opened, ADA, place / "work", inputs(champion, place))
        assert outcome.word in ("proposed", "nothing new"), (names[point - 1], outcome.said)
        turns = sorted((place / "work/turns").iterdir())
        assert open_bundle(turns[0] / "challenger.dermaloop").model_sha256 == expected, names[point - 1]
        assert not [path for turn in turns for path in turn.rglob(".*.part")], "nothing half-written stays"
        with opened.database.begin() as session:
            assert count_uses(session, champion.frozen.identity()) == 1, "one turn, one look"
            proposed = [one for one in registry.listing(session) if one.model_sha256 == expected]
            assert len(proposed) == 1
            assert verify(session, opened.database.audit_key).intact
        opened.close()


def test_a_challenger_that_fails_a_gate_is_not_proposed(store, champion, tmp_path, stubbed):
    crown(store, champion)
    clinic(store, 12)
    plan = easy_plan(tmp_path, gates={"size_ratio": 0.01})
    outcome = take_turn(store, ADA, tmp_path / "work", inputs(champion, tmp_path, plan=plan))
    assert outcome.word == "refused"
    assert "size" in outcome.said
    assert outcome.model == ""
    with store.database.begin() as session:
        assert len(registry.listing(session)) == 1
    assert "Not proposed" in (outcome.folder / "evidence" / "report.html").read_text()


def test_what_is_flagged_does_not_train_until_a_lead_has_looked(store, champion, tmp_path, stubbed):
    crown(store, champion)
    made = clinic(store, 12)
    shared = made[0][1]
    confirmed(store, stripped=tinted(FINE[0], 500), named="NV")
    plan = easy_plan(tmp_path, required_gates=["size"], gates={"size_ratio": 0.01})
    outcome = take_turn(store, ADA, tmp_path / "work", inputs(champion, tmp_path, plan=plan))
    checked = read(outcome.folder / "checked" / "manifest.parquet")
    reasons = dict(zip(checked.column("image_id"), checked.column("reject_reason"), strict=True))
    assert reasons[shared.id] == "held_back"
    trained = checked.where(split=[Split.TRAIN, Split.VALIDATION, Split.CALIBRATION, Split.TEST])
    assert shared.id not in trained.column("image_id")
    with store.database.begin() as session:
        waiting = [one for one in flags.list_flags(session, ADA) if one.about == shared.id]
        assert [str(one.kind) for one in waiting].count("same picture") == 1
        for one in flags.list_flags(session, ADA):
            flags.review_flag(session, ADA, one.id, verdict="accepted", reason="looked at the slides")
    again = take_turn(store, ADA, tmp_path / "work", inputs(champion, tmp_path, plan=plan))
    assert again.turn == outcome.turn + 1
    checked = read(again.folder / "checked" / "manifest.parquet")
    assert shared.id in checked.where(split=[Split.TRAIN, Split.VALIDATION, Split.CALIBRATION, Split.TEST]).column(
        "image_id"
    )
