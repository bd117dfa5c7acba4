"""The plots of two models, and what a dossier tells of a change, from made-up evaluations and evidence."""

import dataclasses
import json
import zipfile

import pytest

from dermaloop.cases import model_files
from dermaloop.cases.actor import system
from dermaloop.cases.model_records import GateResult
from dermaloop.cases.model_rows import models_folder
from dermaloop.core.errors import BundleError
from dermaloop.web import dossier_facts, model_plots
from dermaloop.web.dossier import export_change
from dermaloop.web.model_figures import Figure, Line, SideBySide, side_by_side
from support.models import evidence, first_champion, gate, proposal

GATE = GateResult("auc", passed=True, measured=-0.01, limit=-0.05, interval=(-0.03, 0.02), n=800, sentence="It is.")


def evaluation(identity, value, *, curves=True):
    """As a turn writes one: what was measured on the frozen set."""
    figure = {"value": value, "low": value - 0.05, "high": value + 0.05, "n": 200, "note": ""}
    section = {
        "split": "frozen", "source": None, "figures": {"all": {"malignant_auc": figure}},
        "operating_points": {"sensitivity-95": {"all": {"sensitivity": figure, "specificity": figure}}},
        "abstention": {"share_all": figure},
        "roc": {"false_positive_rate": [0.0, 0.5, 1.0], "sensitivity": {"value": [0.0, value, 1.0]}},
        "reliability": {"predicted": [0.1, None, 0.8], "observed": {"value": [0.0, 0.2, 1.0]}},
    }  # fmt: skip
    if not curves:
        section |= {"roc": {"note": "one class"}, "reliability": {"note": "none"}}
    head = {"kind": "dermaloop evaluation", "schema": 1, "manifest": {"sha256": "f" * 64}}
    return json.dumps({**head, "bundle": {"identity": identity}, "sections": [section]})


def test_a_gate_lies_right_of_a_lower_limit_and_nothing_changes_at_zero():
    scale = model_plots.gate_scale(GATE)
    assert scale.limit < scale.bar.low < scale.bar.value < scale.zero < scale.bar.high
    assert all(0 <= place <= model_plots.BAR_WIDTH for place in (scale.limit, scale.bar.high))
    upper = dataclasses.replace(GATE, measured=0.1, interval=(0.05, 0.15), limit=0.3)
    assert model_plots.gate_scale(upper).zero is None, "no difference: zero is no mark to see"
    assert model_plots.gate_scale(upper).limit > model_plots.gate_scale(upper).bar.high
    for missing in ({"interval": None}, {"limit": None}, {"measured": None}):
        assert model_plots.gate_scale(dataclasses.replace(GATE, **missing)) is None


def test_figures_of_a_line_share_a_scale():
    one, other = model_plots.bars((Figure(0.8, 0.7, 0.9, 10), Figure(0.85, None, None, None)))
    assert one.low < one.value < other.value < one.high
    assert (other.low, other.high) == (other.value, other.value)
    assert model_plots.bars((None, Figure(0.8, 0.7, 0.9, 10)))[0] is None
    assert model_plots.bars((None, None)) == (None, None)


def test_curves_stay_in_their_square_and_need_an_evaluation():
    sections = tuple(json.loads(evaluation("x", value))["sections"][0] for value in (0.7, 0.8))
    point = Figure(0.9, 0.8, 0.95, 100)
    lines = tuple(Line(name, higher_is_better=True, champion=point, candidate=point) for name in ("a", "b"))
    table = SideBySide(lines, "", same_pictures=True, note="", curves=sections)
    for plot in (model_plots.roc(table), model_plots.reliability(table)):
        assert [one.who for one in plot.series] == ["champion", "candidate"]
        for one in plot.series:
            for pair in one.line.split():
                x, y = map(float, pair.split(","))
                assert plot.left <= x <= plot.right
                assert plot.top <= y <= plot.bottom
    assert len(model_plots.roc(table).series[0].points) == 1, "where it decides"
    assert len(model_plots.reliability(table).series[0].points) == 2, "a bin without a value is left out"
    empty = dataclasses.replace(table, curves=(None, json.loads(evaluation("x", 0.5, curves=False))["sections"][0]))
    assert (model_plots.roc(empty), model_plots.reliability(empty)) == (None, None)


@pytest.fixture
def turn(store, tmp_path):
    """(champion, challenger) of a turn whose evidence has everything."""
    champion = first_champion(store, tmp_path)
    changed = [
        {"image_id": "F-1", "malignant": True, "champion": 0.2, "challenger": 0.7, "champion_refers": False,
         "challenger_refers": True, "champion_declines": False, "challenger_declines": False},
        {"image_id": "F-2", "malignant": True, "champion": 0.9, "challenger": None, "champion_refers": True,
         "challenger_refers": False, "champion_declines": False, "challenger_declines": True},
    ]  # fmt: skip
    counts = {"cases": 9, "confirmed": 4, "by_histopathology": 3}
    files = {
        "feedback.json": {
            "cases": 40, "pictures": 55, "usable": {"pictures": 31, "lesions": 30, "patients": 29},
            "excluded": {"no_consent": 12, "of another version": 1}, "by_diagnosis": {"MEL": 7, "XYZ": 1},
            "verification": {"refer": counts, "no referral": counts, "declined": counts},
        },
        "checks.json": {"confirmations": 30, "doubted_confirmations": 3, "held_back": 2, "rejected": 1},
        "training.json": {"said": ["It starts from the champion."], "recipe": {"seed": 3}},
        "run.json": {"steps": 400, "training_images": {"alpha": 16, "clinic": 13}},
        "turn.json": {"given": {"frozen_sha256": "f" * 64}},
        "measures.json": {"frozen_pictures": 800, "new_pictures": 6, "uses": 2, "changed_decisions": changed},
    }  # fmt: skip
    texts = {name: json.dumps(content) for name, content in files.items()}
    texts["evaluation-champion.json"] = evaluation(champion.identity, 0.8)
    texts["evaluation-challenger.json"] = evaluation("toy-next", 0.85)
    texts["report.html"] = "<!doctype html><title>Turn</title>"
    evidence(tmp_path / "evidence", **texts)
    return champion, proposal(store, tmp_path, gates=[gate("sensitivity"), gate("auc", passed=None)])


def test_both_are_shown_as_the_turn_measured_them_on_one_set(store, turn):
    champion, challenger = turn
    with store.database.read() as session:
        folder = models_folder(session)
        table = side_by_side(folder, champion, challenger)
        assert (table.same_pictures, table.note) == (True, "")
        assert table.measured == "the frozen test set, by the turn that made this model"
        by_title = {line.title: line for line in table.lines}
        assert by_title["AUC, malignant versus benign"].change == pytest.approx(0.05)
        assert [one is not None for one in table.curves] == [True, True]
        other = dataclasses.replace(champion, id="another", version="9")
        assert "no evaluation" in side_by_side(folder, other, challenger).note, "it was not measured by this turn"
    path = model_files.evidence_file(folder, challenger.evidence_sha256)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(BundleError):
        model_files.read_evidence(folder, challenger.evidence_sha256, "gates.json")
    assert "cannot be read" in side_by_side(folder, champion, challenger).note


def test_a_dossier_has_the_parts_of_a_change_control_plan(store, turn, tmp_path):
    export_change(store, system("test"), turn[1].id, tmp_path / "change.zip")
    with zipfile.ZipFile(tmp_path / "change.zip") as packed:
        page = " ".join(packed.read("dossier.html").decode().split())
        assert packed.read("evidence/report.html").startswith(b"<!doctype html>")
        assert 'href="evidence/report.html"' in page
    parts = (
        "1. Description of modifications", "2. Modification protocol", "2.1 Data management", "2.2 Retraining",
        "2.3 Performance evaluation", "2.4 Update procedure", "3. Impact assessment", "4. Records",
    )  # fmt: skip
    assert [page.index(f">{part}</h") for part in parts] == sorted(page.index(f">{part}</h") for part in parts)
    for said in (
        "40 cases with 55 pictures were gathered; 31 pictures of 30 lesions of 29 patients were eligible.",
        'The patient has not agreed to training.</td><td class="n">12<', "of another version", "Melanoma (MEL)",
        ">XYZ<",
        "of 30 confirmations 3 did not fit their picture; 2 pictures were held back", "800 pictures that nothing",
        "It starts from the champion.", "400 steps of training on alpha 16, clinic 13",
        "The decision changes on 2 pictures of 800.", "1 referred anew", "1 no longer referred", "F-2", "ROC curve",
        "It misses cancers that the champion finds",
    ):  # fmt: skip
        assert said in page, said


def test_what_is_not_known_is_said_to_be(store, tmp_path):
    champion = first_champion(store, tmp_path)
    export_change(store, system("test"), champion.id, tmp_path / "change.zip")
    with zipfile.ZipFile(tmp_path / "change.zip") as packed:
        page = packed.read("dossier.html").decode()
    for said in (
        "It is compared with no other model.", "No plan stands behind this model.",
        "The evidence says nothing of the data.", "The evidence says nothing of the training.",
        "The evidence does not say on which pictures the decision changes.",
    ):  # fmt: skip
        assert said in page


def test_files_of_evidence_stay_where_they_are_unpacked(tmp_path):
    path = tmp_path / "evidence.zip"
    with zipfile.ZipFile(path, "w") as packed:
        for name in ("report.html", "sub/rows.json", "../outside.html", "/etc/outside.json", "weights.bin"):
            packed.writestr(name, b"{}")
    assert set(dossier_facts.evidence_files(path)) == {"report.html", "sub/rows.json"}
    path.write_bytes(b"no zip")
    with pytest.raises(BundleError):
        dossier_facts.evidence_files(path)
