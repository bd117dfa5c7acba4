"""The champions before: whose answers are used, where they come from, and what is missing. Training is stubbed."""

from datetime import UTC, datetime

import numpy as np
import pytest

from dermaloop.cases import model_files, promotion, registry
from dermaloop.cases.actor import system
from dermaloop.core import bundle as bundles
from dermaloop.core.bundle import open_bundle
from dermaloop.core.manifest import Split
from dermaloop.refine import earlier
from dermaloop.refine.turn import Inputs, take_turn
from support.challengers import Champion, crown, easy_plan, stub_training
from support.refining import ADA, clinic
from support.toy import toy_bundle
from support.trainings import lesion_manifest

NOW = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def champion(tmp_path_factory):
    folder = tmp_path_factory.mktemp("champion")
    path = toy_bundle(folder, packed=True)
    weights = folder / "weights.safetensors"
    weights.write_bytes(b"weights of the champion")
    per_split = {Split.TRAIN: 4, Split.VALIDATION: 4, Split.CALIBRATION: 4}
    original = lesion_manifest(folder / "original", sources=("alpha",), per_split=per_split)
    frozen = lesion_manifest(folder / "frozen", sources=("omega",), per_split={Split.TEST: 12}, size_px=80)
    return Champion(open_bundle(path), path, weights, original, frozen)


@pytest.fixture
def loop(store, champion, tmp_path, monkeypatch):
    """A loop that promotes by itself: each call brings cases and takes a turn; gives the outcome."""
    stub_training(monkeypatch, champion.bundle)
    crown(store, champion)
    asked = []
    original = earlier._ask

    def ask(bundle, frozen, inputs):
        asked.append(bundle.identity)
        return original(bundle, frozen, inputs)

    monkeypatch.setattr(earlier, "_ask", ask)
    taken = []

    def take(*, frozen=champion.frozen, **plan):
        clinic(store, 8, first=500 + 50 * len(taken))
        given = Inputs(
            plan=easy_plan(tmp_path, promotion="automatic", checks={"least_gap": 1.0}, **plan), frozen=frozen,
            rehearsal=champion.original, weights=champion.weights, threads=1, now=NOW, keep_pictures=False,
        )  # fmt: skip
        asked.clear()
        taken.append(take_turn(store, ADA, tmp_path / "work", given))
        return taken[-1]

    take.asked = asked
    return take


def best_of(outcome):
    return next(gate for gate in outcome.gates if gate["name"] == "best_champion")


def test_each_champion_before_is_compared_with_and_asked_only_where_no_turn_has_its_answers(store, loop, champion):
    assert loop().word == "promoted"
    assert loop().word == "promoted"
    assert loop.asked == [], "the first champion answered in the first turn"
    third = loop()
    assert loop.asked == []
    assert "of 3 champions" in best_of(third)["sentence"]
    with np.load(third.folder / "evidence" / earlier.ANSWERS) as arrays:
        assert len(arrays.files) == 4, "two before, the present one, the challenger"
    other = champion.frozen.select(np.arange(len(champion.frozen)) > 0)
    fourth = loop(frozen=other)
    assert len(loop.asked) == 3, "on another frozen set nobody has answered yet"
    assert "of 4 champions" in best_of(fourth)["sentence"]


def test_answers_that_were_changed_are_not_believed(store, loop, tmp_path):
    loop(), loop()
    for folder in (tmp_path / "work/turns").iterdir():
        path = folder / "evidence" / earlier.ANSWERS
        with np.load(path) as arrays:
            better = {name: arrays[name] * 0 for name in arrays.files}
        np.savez_compressed(path, **better)
    loop()
    assert len(loop.asked) == 2, "both that were champions before"


def test_a_champion_that_is_gone_is_missing_unless_it_has_answered_on_this_frozen_set(store, loop, champion):
    loop()
    with store.database.read() as session:
        first = registry.find_model(session, promotion.champions(registry.history(session))[0])
    model_files.bundle_file(store.database.models, first.file_sha256).unlink()
    assert best_of(loop())["passed"] is not None, "its answers are in the evidence of the first turn"
    other = champion.frozen.select(np.arange(len(champion.frozen)) > 0)
    refused = loop(frozen=other, required_gates=["size", "best_champion"])
    assert refused.word == "refused"
    assert best_of(refused)["passed"] is None
    assert first.identity in best_of(refused)["sentence"]
    allowed = loop(frozen=other, required_gates=["size"], gates={"best_missing": "judge by those at hand"})
    assert "left out as the plan allows" in best_of(allowed)["sentence"]


def test_a_model_that_was_rolled_back_is_no_champion_before(store, loop):
    loop()
    with store.database.begin() as session:
        history = registry.history(session)
        assert len(promotion.champions(history)) == 2
        promotion.roll_back(session, system("a test"), reason="it was worse in use")
        assert promotion.champions(registry.history(session)) == promotion.champions(history)[:1]


def test_a_kept_operating_point_reaches_packaging_where_the_plan_says_so(loop, monkeypatch):
    from dermaloop.refine import steps  # noqa: PLC0415

    given = []
    packages = steps.packaging.package
    monkeypatch.setattr(
        steps.packaging, "package", lambda *a, **more: given.append(more["former"]) or packages(*a, **more)
    )
    loop()
    loop(training={"operating_points": "keep"})
    assert given[0] is None
    assert isinstance(given[1], bundles.Bundle)
