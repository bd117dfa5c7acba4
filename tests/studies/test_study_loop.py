"""The study of the loop, small: who is in which part, months that resume, and tables that say what was found.

Training and packaging are stubbed, as in `tests/refine/test_refine_resume.py`; with DERMALOOP_TRAIN_STUDY set in the
environment they are real (two steps each, about a minute of one core).
"""

import io
import json
import os
import subprocess
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from PIL import Image

import loop
import study as tables
from dermaloop.cases import idempotency
from dermaloop.cases.actor import system
from dermaloop.cases.feedback import read_feedback
from dermaloop.client import Client
from dermaloop.core import bundle as bundles
from dermaloop.core.manifest import Split
from dermaloop.core.taxonomy import MALIGNANT, Diagnosis
from dermaloop.refine import steps
from dermaloop.training.run import RUN, WEIGHTS
from loopstudy import cohort, models, months, page, practice, service, staff
from loopstudy.size import FULL, SMOKE
from support.toy import toy_bundle
from support.trainings import lesion_manifest

REAL = bool(os.environ.get("DERMALOOP_TRAIN_STUDY"))


@pytest.fixture(scope="module")
def curated(tmp_path_factory):
    return lesion_manifest(
        tmp_path_factory.mktemp("drawn"), sources=("ham10000", "isic2017"), per_split={Split.TRAIN: 56, Split.TEST: 8}
    )


@pytest.fixture
def _stubbed(monkeypatch, tmp_path):
    """Each training gives the toy bundle under another name."""
    if REAL:
        return
    toy = bundles.open_bundle(toy_bundle(tmp_path / "toy"))

    def trains(recipe, rows, out, **_):
        assert {str(split) for split in rows.column("split")} >= {"train", "calibration"}
        out.mkdir(parents=True, exist_ok=True)
        (out / WEIGHTS).write_bytes(b"weights")
        (out / RUN).write_text(json.dumps({"last_session_s": 2.0}))
        return SimpleNamespace(recipe=recipe)

    def packages(trained, rows, out, *, version="1", licence, created, **_):
        about = {"name": trained.recipe.name, "version": version, "licence": licence, "created": created}
        spec = toy.spec.model_copy(update={**about, "manifest_sha256": rows.identity()})
        return bundles.write(out, spec, dict(toy.parts))

    for module, name, stub in (
        (models, "train", trains), (models, "package", packages), (models, "check", lambda *_: None),
        (steps.training, "train", trains), (steps.packaging, "package", packages),
        (steps.packaging, "check", lambda *_: None),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, stub)


def test_no_lesion_is_in_two_parts_and_the_test_split_in_none(curated, tmp_path):
    parts = cohort.divide(curated, SMOKE, tmp_path)
    every = [parts.base, parts.frozen, *parts.months, parts.foreign, parts.foreign_test]
    groups = [set(part.groups()) for part in every]
    assert sum(map(len, groups)) == len(set().union(*groups)), "a lesion in two parts"
    unopened = set(curated.where(split=Split.TEST).column("image_id"))
    assert not unopened & {name for part in every for name in part.column("image_id")}
    assert len(parts.months) == SMOKE.last
    assert set(parts.base.column("split")) == {"train", "validation", "calibration"}
    assert set(parts.frozen.column("split")) == {"test"}
    again = cohort.divide(curated, SMOKE, tmp_path)
    assert again.frozen.identity() == parts.frozen.identity()


def test_the_rare_diagnoses_come_later(tmp_path):
    drawn = lesion_manifest(
        tmp_path / "drawn", sources=("ham10000", "isic2017"), per_split={Split.TRAIN: 48}, size_px=24
    )
    rare = ["DF" if code == Diagnosis.BKL else code for code in drawn.column("diagnosis")]
    curated = drawn.with_columns(diagnosis=rare, candidates=[str(code) for code in rare])
    parts = cohort.divide(curated, FULL, tmp_path / "cohort")
    share = {
        code: len(parts.base.where(diagnosis=code)) / len(curated.where(source="ham10000", diagnosis=code))
        for code in ("MEL", "DF")
    }
    assert share["DF"] < 0.6 * share["MEL"]


def test_the_plan_of_the_full_study_differs_in_its_recipe_only(tmp_path):
    own = models.plan_of(FULL, tmp_path)
    shipped = models.plans.load(models.ROOT / "recipes" / "plan.toml")
    own_values, shipped_values = own.plain(), shipped.plain()
    assert own_values.pop("recipe") != shipped_values.pop("recipe")
    assert own_values == shipped_values
    assert (own.recipe.run.steps, own.recipe.run.evaluate_px) == (FULL.turn_steps, FULL.evaluate_px)
    assert own.recipe.network == shipped.recipe.network, "frozen blocks and all"


def _lasting(found):
    """What must be the same in every run: all but what a clock says, and which code it was."""
    kept = json.loads(json.dumps({name: value for name, value in found.items() if name not in ("seconds", "code")}))
    for turn in kept.values():
        if isinstance(turn, dict) and "gates" in turn:
            turn["gates"] = [gate for gate in turn["gates"] if gate["name"] != "latency"]
    for name in ("unchecked", "freezing"):
        del kept[name]["seconds"]
    return kept


@pytest.fixture
def servers(monkeypatch):
    """Every server process that the study starts."""
    started, found = subprocess.Popen, []

    def noted(*given, **named):
        found.append(started(*given, **named))
        return found[-1]

    monkeypatch.setattr(service.subprocess, "Popen", noted)
    return found


def _run_killed(work, curated, weights, monkeypatch, servers):
    """Runs the study until the second finding of the poisoned month, and lets a day go by. Gives what was sent."""
    confirm, calls = Client.confirm, []
    months_before = cohort.divide(curated, SMOKE, work / "cohort").months[: SMOKE.poisoned - 1]
    last = sum(len(set(month.groups())) for month in months_before) + 2

    def sent(self, case_id, entry, *, key):
        calls.append(key)
        if len(calls) == last:  # its lesion is there, and its finding is not
            servers[-1].stdin.close()
            servers[-1].wait(60)  # the server ends with what ties it to the study, however that ends
            raise KeyboardInterrupt
        return confirm(self, case_id, entry, key=key)

    monkeypatch.setattr(Client, "confirm", sent)
    with pytest.raises(KeyboardInterrupt):
        loop.run(work, curated, weights, SMOKE)
    with practice.opened(work) as place, place.store.database.begin() as session:
        session.execute(sa.delete(idempotency.AnswerRow))
    return calls


def _read_findings(work):
    with practice.opened(work) as place, place.store.database.begin() as session:
        cases = read_feedback(session, system("test"), "test")
    told = {one.document: one for case in cases for one in case.findings}
    assert len(told) == len(cases), "each lesion once, though one came twice"
    return told


@pytest.mark.usefixtures("_stubbed")
def test_the_whole_study_small_and_killed_in_the_middle(curated, tmp_path, monkeypatch, capsys, servers):
    monkeypatch.setenv("DERMALOOP_DATABASE_URL", "postgresql://127.0.0.1:1/a-clinic")  # the user's own, not the study's
    calls = _run_killed(tmp_path / "work", curated, tmp_path, monkeypatch, servers)
    capsys.readouterr()
    found = loop.run(tmp_path / "work", curated, tmp_path, SMOKE)
    assert "first:" not in capsys.readouterr().out, "what was done is not done again"
    assert found == json.loads((tmp_path / "work" / "study.json").read_text())
    assert len(calls) == len(set(calls)) + 1, "no finding was sent twice but the one that was lost"
    assert len(servers) == 2, "one server until the kill, and one after it"

    poisoned, last = found[f"month-{SMOKE.poisoned}"], found[f"month-{SMOKE.last}"]
    parts = cohort.divide(curated, SMOKE, tmp_path / "work" / "cohort")
    month, told = parts.months[SMOKE.poisoned - 1], _read_findings(tmp_path / "work")
    assert set(told) == {group for part in (*parts.months, parts.foreign) for group in part.groups()}
    assert {one.actor_name for one in told.values()} == {f"{name} / study" for name in staff.CLINICIANS}
    assert poisoned["cases"] == len(set(month.groups()))
    assert poisoned["wrong"] == round(poisoned["cases"] / 5) > 0
    wrong = months.wrong(SimpleNamespace(size=SMOKE, cohort=parts), SMOKE.poisoned)
    for lesion, code in zip(month.groups(), month.column("diagnosis"), strict=True):
        assert told[lesion].diagnosis == (practice.flipped(code) if lesion in wrong else code)
    assert last["watch_after"]["visits"] == last["watch"]["visits"] + SMOKE.foreign
    if not REAL:
        words = [found[f"month-{number}"]["outcome"] for number in range(1, SMOKE.last + 1)]
        assert words == ["proposed"] * SMOKE.last, "the toy is no worse than itself"
        assert last["champion"] != found["month-1"]["champion"], "the lead promoted"
        assert last["watch"]["visits"] == last["cases"], "what the month before was promoted answered all of them"

    in_one_go = loop.run(tmp_path / "again", curated, tmp_path, SMOKE)
    assert _lasting(in_one_go) == _lasting(found), "in one go or killed, the result is the same"

    for write in tables.PARTS.values():
        lines = write(found).splitlines()
        assert len({line.count("|") for line in lines}) == 1, write.__name__
    page.draw(found, tmp_path / "figure.svg")
    text = (tmp_path / "figure.svg").read_text()
    assert "everything at once" in text
    assert "<image" not in text


def test_what_a_refused_turn_says():
    refused = {"outcome": "refused", "said": "", "gates": [
        {"name": "auc", "passed": True}, {"name": "brier", "passed": False}, {"name": "new_cases", "passed": None},
        {"name": "stress", "passed": None}]}  # fmt: skip
    assert tables.outcome(refused) == "refused: brier, stress"
    assert tables.outcome({"outcome": "too few", "said": "3 lesions.", "gates": []}) == "too few: 3 lesions."


def test_pictures_that_were_squashed_are_stretched_back(curated):
    path = curated.image_path(0)
    assert practice.photographed(path, 1.0) == path.read_bytes()
    with Image.open(path) as before, Image.open(io.BytesIO(practice.photographed(path, 4 / 3))) as after:
        assert after.size == (round(before.width * 4 / 3), before.height)


def test_flips_change_sides():
    for code in Diagnosis:
        assert (practice.flipped(code) in MALIGNANT) != (code in MALIGNANT)
