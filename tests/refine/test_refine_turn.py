"""A turn, whole and small: real training on drawn lesions, through every step to the registry."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
import torch

from dermaloop.cases import registry
from dermaloop.cases.frozen_uses import count_uses
from dermaloop.core.bundle import open_bundle
from dermaloop.core.errors import ManifestError
from dermaloop.refine.plan import PlanError
from dermaloop.refine.turn import Inputs, RefineError, take_turn
from support.challengers import crown, easy_plan, make_champion
from support.refining import ADA, clinic

NOW = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def champion(tmp_path_factory):
    return make_champion(tmp_path_factory.mktemp("champion"))


def inputs(champion, tmp_path, **changes):
    given = {
        "plan": easy_plan(tmp_path),
        "frozen": champion.frozen,
        "rehearsal": champion.original,
        "weights": champion.weights,
        "threads": 1,
        "now": NOW,
    }
    return Inputs(**{**given, **changes})


def test_a_turn_from_confirmed_cases_to_a_proposal_and_the_same_again(store, champion, tmp_path):
    crowned = crown(store, champion)
    clinic(store, 16)
    given = inputs(champion, tmp_path)
    outcome = take_turn(store, ADA, tmp_path / "work", given)
    assert outcome.word == "proposed", outcome.said
    assert {gate["name"]: gate["passed"] for gate in outcome.gates}["stress"] is None, "no picture was perturbed"
    with store.database.begin() as session:
        (challenger,) = [one for one in registry.listing(session) if one.id == outcome.model]
        assert challenger.parent_id == crowned.id
        assert registry.champion(session).id == crowned.id, "nobody promoted it"
        assert registry.open_model(session, challenger).model_sha256 == challenger.model_sha256
        assert count_uses(session, champion.frozen.identity()) == 1
    choice = json.loads((outcome.folder / "training.json").read_text())
    assert (choice["weights"], choice["rehearsal_pictures"]) == ("champion", 24)
    evidence = {path.name for path in (outcome.folder / "evidence").iterdir()}
    assert evidence >= {"gates.json", "report.html", "plan.toml", "turn.json", "measures.json", "feedback.json"}
    assert not [name for name in evidence if name.endswith((".png", ".jpg"))], "no patient's picture"
    kept = tmp_path / "work" / "weights" / f"{challenger.model_sha256}.safetensors"
    assert kept.is_file(), "for the turn in which it is the champion"

    again = take_turn(store, ADA, tmp_path / "work", given)
    assert again.word == "nothing new"

    fresh = take_turn(store, ADA, tmp_path / "other-work", given)
    first, second = (open_bundle(one.folder / "challenger.dermaloop") for one in (outcome, fresh))
    assert first.parts["model.onnx"] == second.parts["model.onnx"]
    assert first.model_sha256 == second.model_sha256, "the same inputs and seed give the same challenger"
    with store.database.begin() as session:
        assert count_uses(session, champion.frozen.identity()) == 2, "a look from another folder is a look"


def test_the_turn_refuses_what_it_must(store, champion, tmp_path):
    crown(store, champion)
    given = inputs(champion, tmp_path)
    assert take_turn(store, ADA, tmp_path / "work", given).word == "too few"
    clinic(store, 12)
    cases = {
        "weights": (inputs(champion, tmp_path, weights=None), PlanError, "weights are not at hand"),
        "rehearsal": (inputs(champion, tmp_path, rehearsal=None), PlanError, "original training data is not at hand"),
        "frozen": (
            inputs(champion, tmp_path, frozen=champion.original.with_columns(split=["test"] * len(champion.original))),
            ManifestError,
            "frozen set",
        ),
        "split": (inputs(champion, tmp_path, frozen=champion.original), RefineError, "no picture in the split"),
        "pinned": (
            inputs(champion, tmp_path, plan=easy_plan(tmp_path / "p", frozen={"manifest_sha256": "0" * 64})),
            RefineError,
            "not the frozen set",
        ),
    }
    for name, (wrong, error, words) in cases.items():
        with pytest.raises(error, match=words):
            take_turn(store, ADA, tmp_path / name, wrong)
    with store.database.begin() as session:
        assert count_uses(session, champion.frozen.identity()) == 0, "nothing was looked at"
        assert len(registry.listing(session)) == 1


def test_two_turns_at_once_in_one_folder_are_refused(store, champion, tmp_path):
    from filelock import FileLock  # noqa: PLC0415

    crown(store, champion)
    work = Path(tmp_path / "work")
    work.mkdir()
    with FileLock(work / "turn.lock"), pytest.raises(RefineError, match="under way"):
        take_turn(store, ADA, work, inputs(champion, tmp_path))
