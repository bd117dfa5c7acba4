"""How a turn ends: what the audit log knows of it, what the plan allows, and what is not believed when it goes on.

Training is stubbed: see `stub_training`.
"""

import json
from datetime import UTC, datetime

import pytest

from dermaloop.cases import audit_list, flags, patients, promotion, registry
from dermaloop.cases.frozen_uses import count_uses
from dermaloop.cases.registry_verify import verify_registry
from dermaloop.cases.words import FlagKind
from dermaloop.core.bundle import open_bundle
from dermaloop.core.manifest import Split
from dermaloop.refine import steps, turn_folder
from dermaloop.refine.turn import Inputs, RefineError, take_turn
from support.challengers import Champion, crown, easy_plan, stub_training
from support.models import second_version
from support.refining import ADA, clinic
from support.toy import toy_bundle
from support.trainings import lesion_manifest

NOW = datetime(2026, 11, 1, tzinfo=UTC)


# Which of eight labels the checks doubt follows the random ids of patients; what becomes of doubted ones is tested
# elsewhere.
NO_DOUBTS = {"least_gap": 1.0}


class Killed(BaseException):
    """Stands for the end of the process: nothing in the program catches it."""


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
def turn(store, champion, tmp_path, monkeypatch):
    """Takes a turn in a store with a champion and eight confirmed cases."""
    stub_training(monkeypatch, champion.bundle)
    crown(store, champion)
    clinic(store, 8)

    def take(*, keep_pictures=True, **plan):
        plan = {"checks": NO_DOUBTS, **plan}
        given = Inputs(
            plan=easy_plan(tmp_path, **plan), frozen=champion.frozen, rehearsal=champion.original,
            weights=champion.weights, threads=1, now=NOW, keep_pictures=keep_pictures,
        )  # fmt: skip
        return take_turn(store, ADA, tmp_path / "work", given)

    return take


def killed_in(monkeypatch, module, name):
    """Ends the process where a function would be called; gives what undoes that."""
    original = getattr(module, name)

    def die(*_given, **_named):
        raise Killed

    monkeypatch.setattr(module, name, die)
    return lambda: monkeypatch.setattr(module, name, original)


def noted(store):
    with store.database.read() as session:
        found = audit_list.entries(session, audit_list.Filter(action="refine."))[0]
    return [(entry.action, entry.detail) for entry in reversed(found)]


def test_the_log_knows_plan_evidence_and_end_in_this_order_and_once(store, turn, champion, tmp_path):
    outcome = turn()
    assert outcome.word == "proposed"
    actions = [action for action, _ in noted(store)]
    assert actions == ["refine.begun", "refine.judged", "refine.finished"]
    begun, judged, finished = (detail for _, detail in noted(store))
    assert begun["plan_sha256"] == judged["plan_sha256"] == easy_plan(tmp_path, checks=NO_DOUBTS).sha256
    assert begun["frozen_sha256"] == champion.frozen.identity()
    assert judged["challenger"] == open_bundle(outcome.folder / "challenger.dermaloop").model_sha256
    assert set(judged["files"]) == {path.name for path in (outcome.folder / "evidence").iterdir()}
    assert verify_registry(store, [outcome.folder]).sound
    (outcome.folder / "evidence/gates.json").write_text("[]")
    (outcome.folder / "evidence/measures.json").unlink()
    (fault, other) = verify_registry(store, [outcome.folder]).faults
    assert fault.endswith("evidence: gates.json was changed since it was judged")
    assert other.endswith("evidence: measures.json is missing since it was judged")
    assert (finished["outcome"], finished["model"]) == ("proposed", outcome.model)
    assert (outcome.folder / "gathered" / "images").is_dir()
    again = turn(keep_pictures=False)
    assert (again.word, again.gates) == ("nothing new", ())
    assert not (again.folder / "gathered" / "images").exists(), "patients' pictures go with the turn"
    assert (again.folder / "gathered" / "manifest.parquet").is_file()
    clinic(store, 3, first=700)
    few = turn()
    assert few.word == "too few"
    assert few.said == "3 new lesions since turn 1 may train, 4 are needed."
    with store.database.read() as session:
        assert count_uses(session, champion.frozen.identity()) == 1, "no look at the frozen set for two lesions"


def test_evidence_and_challenger_are_believed_only_as_they_were_judged(store, turn, monkeypatch, tmp_path):
    undo = killed_in(monkeypatch, steps, "propose")
    with pytest.raises(Killed):
        turn(gates={"size_ratio": 0.01})
    undo()
    folder = tmp_path / "work/turns/0001"
    gates = folder / "evidence/gates.json"
    honest = gates.read_text()
    edited = json.loads(honest)
    (size,) = [gate for gate in edited if gate["name"] == "size"]
    assert size["passed"] is False
    size["passed"] = True
    gates.write_text(json.dumps(edited))
    with pytest.raises(RefineError, match=r"changed since it was judged: gates\.json"):
        turn(gates={"size_ratio": 0.01})
    gates.write_text(honest)
    bundle = folder / "challenger.dermaloop"
    own = bundle.read_bytes()
    bundle.write_bytes(second_version(tmp_path / "other").read_bytes())
    with pytest.raises(RefineError, match=r"changed since it was judged: challenger\.dermaloop"):
        turn(gates={"size_ratio": 0.01})
    bundle.write_bytes(own)
    assert turn(gates={"size_ratio": 0.01}).word == "refused"


def test_evidence_that_was_never_sealed_is_measured_anew(store, turn, champion, monkeypatch, tmp_path):
    undo = killed_in(monkeypatch, steps.evidence, "seal")
    with pytest.raises(Killed):
        turn()
    undo()
    gates = tmp_path / "work/turns/0001/evidence/gates.json"
    gates.write_text("[]")
    outcome = turn()
    assert (outcome.word, outcome.turn) == ("proposed", 1)
    assert len(json.loads(gates.read_text())) == len(outcome.gates) > 0
    with store.database.read() as session:
        assert count_uses(session, champion.frozen.identity()) == 1


def test_a_plan_that_says_so_is_carried_out_and_a_kill_after_it_is_made_good(store, turn, monkeypatch, tmp_path):
    real = turn_folder.write_json

    def dies_at_the_end(path, content):
        if path.name == "outcome.json":
            raise Killed
        real(path, content)

    monkeypatch.setattr(turn_folder, "write_json", dies_at_the_end)
    with pytest.raises(Killed):
        turn(promotion="automatic")
    monkeypatch.setattr(turn_folder, "write_json", real)
    with store.database.read() as session:
        serving = registry.champion(session)
        entry = registry.history(session)[-2]
        assert (entry.actor_kind, entry.reason) == (
            "system", "Plan easy 1 allows it: every required gate was passed."
        )  # fmt: skip
    assert serving.name == "stub"
    again = turn(promotion="automatic")
    known = json.loads((tmp_path / "work/turns/0001/outcome.json").read_text())
    assert (known["word"], known["model"]) == ("promoted", serving.id)
    assert len(known["gates"]) > 0
    assert (again.turn, again.word) == (2, "nothing new"), "the champion knows these cases already"
    with store.database.begin() as session:
        back = promotion.roll_back(session, turn_folder.system("registry rollback"), reason="too many referrals")
    assert back.id != serving.id
    assert turn(promotion="automatic").word == "nothing new", "what was taken back is not promoted again overnight"


def test_the_program_promotes_over_no_champion_that_it_did_not_compare_with(store, turn, monkeypatch, tmp_path):
    original = steps.propose

    def while_another_is_promoted(*given):
        found = original(*given)
        with store.database.begin() as session:
            added = registry.add(session, ADA, second_version(tmp_path / "second"))
            monkeypatch.setattr(promotion, "is_lead", lambda *_: True)
            promotion.promote(session, ADA, added.id, reason="a person was quicker", without_gates=True)
        return found

    monkeypatch.setattr(steps, "propose", while_another_is_promoted)
    outcome = turn(promotion="automatic")
    assert outcome.word == "proposed"
    assert "Another champion serves meanwhile, so a lead decides." in outcome.said


@pytest.mark.parametrize("change", ["consent", "finding"])
def test_a_turn_whose_ground_was_taken_back_meanwhile_begins_anew(store, turn, monkeypatch, tmp_path, change):
    undo = killed_in(monkeypatch, steps, "train")
    with pytest.raises(Killed):
        turn()
    undo()
    row = json.loads((tmp_path / "work/turns/0001/gathered/rows.json").read_text())["rows"][0]
    with store.database.begin() as session:
        if change == "consent":
            known = patients.show_patient(session, ADA, row["patient_id"]).patient
            patients.change_patient(
                session, ADA, known.id, pseudonym=known.pseudonym, birth_year=1960, sex="female", skin_type=2, note="",
                training_consent="withdrawn",
            )  # fmt: skip
        else:
            flags.raise_flags(
                session,
                ADA,
                [flags.Suspicion(row["confirmation_id"], FlagKind.LABEL, "about", "It looks otherwise.", {})],
            )
            (flag,) = [one for one in flags.list_flags(session, ADA) if one.about == "about"]
            flags.review_flag(session, ADA, flag.id, verdict="rejected", reason="slides were mixed up")
    outcome = turn()
    first = json.loads((tmp_path / "work/turns/0001/outcome.json").read_text())
    assert first["word"] == "abandoned"
    assert first["said"] == "Consent or finding of 1 of its pictures no longer stands."
    assert (outcome.turn, outcome.word) == (2, "proposed")
    rows = json.loads((outcome.folder / "checked" / "checks.json").read_text())
    assert rows["rows"] == (7 if change == "consent" else 8)
    used = {entry[1]["outcome"] for entry in noted(store) if entry[0] == "refine.finished"}
    assert used == {"abandoned", "proposed"}
