"""A turn, whole and small: real training on drawn lesions, through every step to the registry; and killed within one.

`DERMALOOP_TEST_CRASHES` in the environment kills it within every step, not only in the middle of the training.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import torch

from dermaloop.cases import registry
from dermaloop.cases.frozen_uses import count_uses, note_use
from dermaloop.cases.model_tables import Alias
from dermaloop.cases.registry_verify import verify_registry
from dermaloop.cases.store import open_store
from dermaloop.core.bundle import open_bundle
from dermaloop.core.errors import ManifestError
from dermaloop.core.manifest import read
from dermaloop.refine.plan import PlanError
from dermaloop.refine.turn import Inputs, RefineError, take_turn
from dermaloop.training import run as training
from support.challengers import crown, easy_plan, make_champion
from support.refining import ADA, clinic

NOW = datetime(2026, 11, 1, tzinfo=UTC)


CODE = "c" * 64


@pytest.fixture(scope="module", autouse=True)
def _one_thread_and_one_code():
    """Bit for bit needs one number of threads, and one code: somebody may be editing the files meanwhile."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "code_identity", lambda: CODE)
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


@pytest.fixture(scope="module")
def whole(champion, empty_store, tmp_path_factory):
    """A turn that nobody interrupted: (the store's folder before it and after it, the folder of turns, its outcome)."""
    place = tmp_path_factory.mktemp("whole")
    store = open_store(shutil.copytree(empty_store, place / "before"))
    crown(store, champion)
    clinic(store, 16)
    store.close()
    store = open_store(shutil.copytree(place / "before", place / "after"))
    outcome = take_turn(store, ADA, place / "work", inputs(champion, place))
    store.close()
    return place / "before", place / "after", place / "work", outcome


def test_a_turn_from_confirmed_cases_to_a_proposal_and_then_nothing_new(champion, whole):
    _, after, work, outcome = whole
    assert outcome.word == "proposed", outcome.said
    assert {gate["name"]: gate["passed"] for gate in outcome.gates}["stress"] is None, "no picture was perturbed"
    store = open_store(after)
    with store.database.begin() as session:
        (challenger,) = [one for one in registry.listing(session) if one.id == outcome.model]
        crowned = registry.champion(session)
        assert crowned.identity == champion.bundle.identity, "nobody promoted it"
        assert challenger.parent_id == crowned.id
        assert registry.open_model(session, challenger).model_sha256 == challenger.model_sha256
        assert count_uses(session, champion.frozen.identity()) == 1
    choice = json.loads((outcome.folder / "training.json").read_text())
    assert (choice["weights"], choice["rehearsal_pictures"]) == ("champion", 24)
    evidence = {path.name for path in (outcome.folder / "evidence").iterdir()}
    assert evidence >= {"gates.json", "report.html", "plan.toml", "turn.json", "measures.json", "feedback.json"}
    assert not [name for name in evidence if name.endswith((".png", ".jpg"))], "no patient's picture"
    assert not (work / "cache").exists(), "decoded pictures go with the turn"
    kept = work / "weights" / f"{challenger.model_sha256}.safetensors"
    assert kept.is_file(), "for the turn in which it is the champion"
    again = take_turn(store, ADA, work, inputs(champion, work.parent))
    assert again.word == "nothing new"
    store.close()


PLACES = {
    "a training step after a checkpoint": ("dermaloop.training.module", "Module.training_step", 4),
    "the first training step": ("dermaloop.training.module", "Module.training_step", 1),
    "the fifth picture gathered": ("dermaloop.refine.gather", "_fetch", 5),
    "the checks": ("dermaloop.refine.commands", "find_suspects", 1),
    "the export": ("dermaloop.pipeline.package", "onnx_graph", 1),
    "the calibration": ("dermaloop.pipeline.package", "_decide", 1),
    "the evaluation, the champion's done": ("dermaloop.refine.measure", "rows_of", 2),
    "the gates": ("dermaloop.refine.gates", "brier_gate", 1),
    "the evidence": ("dermaloop.refine.evidence", "_write_arrays", 1),
    "the seal": ("dermaloop.refine.evidence", "seal", 1),
    "a row of the registry": ("dermaloop.cases.registry", "_register", 1),
    "an alias": ("dermaloop.cases.registry", "point", 1),
    "the end": ("dermaloop.refine.turn_folder", "end", 1),
}
"""What a turn is killed in: on the nth call of a function. The first by default, all with DERMALOOP_TEST_CRASHES."""
DIES = """
import importlib, os, signal, sys
from datetime import datetime
from pathlib import Path
import torch
from dermaloop.cases.store import open_store
from dermaloop.core.manifest import read
from dermaloop.refine import plan as plans
from dermaloop.refine.turn import Inputs, take_turn
from dermaloop.training import run as training
from support.refining import ADA
place, frozen, original, weights, now, code, module, name, number = sys.argv[1:]
training.code_identity = lambda: code
torch.set_num_threads(1)
holder = importlib.import_module(module)
*path, name = name.split(".")
for one in path:
    holder = getattr(holder, one)
function, calls = getattr(holder, name), []

def kill(*given, **named):
    calls.append(name)
    if len(calls) == int(number):
        os.kill(os.getpid(), signal.SIGKILL)
    return function(*given, **named)

setattr(holder, name, kill)
place = Path(place)
given = Inputs(plan=plans.load(place / "plan.toml"), frozen=read(Path(frozen)), rehearsal=read(Path(original)),
               weights=Path(weights), threads=1, now=datetime.fromisoformat(now))
take_turn(open_store(place / "store"), ADA, place / "work", given)
print("it was never killed")
"""


@pytest.mark.parametrize("where", list(PLACES)[: None if "DERMALOOP_TEST_CRASHES" in os.environ else 1])
def test_killed_anywhere_the_next_run_makes_the_same_challenger_bit_for_bit(champion, whole, tmp_path, where):
    before, _, _, outcome = whole
    expected = open_bundle(outcome.folder / "challenger.dermaloop")
    shutil.copytree(before, tmp_path / "store")
    files = [tmp_path / "frozen.parquet", tmp_path / "original.parquet"]
    for manifest, path in zip((champion.frozen, champion.original), files, strict=True):
        manifest.moved(tmp_path).write(path)
    given = inputs(champion, tmp_path, frozen=read(files[0]), rehearsal=read(files[1]))
    module, name, number = PLACES[where]
    run = subprocess.run(
        [
            sys.executable,
            "-c",
            DIES,
            *map(str, (tmp_path, *files, champion.weights, NOW.isoformat(), CODE, module, name, number)),
        ],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert run.returncode == -signal.SIGKILL, run.stdout + run.stderr
    store = open_store(tmp_path / "store")
    try:
        assert verify_registry(store).sound, "every alias points to a whole and verified bundle"
        with store.database.read() as session:
            assert registry.champion(session).identity == champion.bundle.identity
        assert (tmp_path / "work/turns/0001/turn.json").is_file()
        resumed = take_turn(store, ADA, tmp_path / "work", given)
        assert (resumed.turn, resumed.word) == (1, "proposed"), resumed.said
        made = open_bundle(resumed.folder / "challenger.dermaloop")
        assert made.parts["model.onnx"] == expected.parts["model.onnx"]
        assert made.model_sha256 == expected.model_sha256, "the same inputs and seed give the same challenger"
        assert not list((tmp_path / "work").rglob("*.part")), "nothing half-written stays"
        assert verify_registry(store).sound
        with store.database.read() as session:
            assert count_uses(session, champion.frozen.identity()) == 1, "one turn, one look"
            proposed = registry.current(session, Alias.CHALLENGER)
            assert (proposed.id, proposed.model_sha256) == (resumed.model, expected.model_sha256)
            assert len(registry.listing(session)) == 2
    finally:
        store.close()


def test_a_look_at_the_frozen_set_counts_once_for_a_turn(store):
    said = []
    for turn in ("one", "one", "two"):
        with store.database.begin() as session:
            said.append(note_use(session, ADA, "f" * 64, turn))
    assert said == [1, 1, 2]


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
