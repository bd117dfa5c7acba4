import json
import re
from html.parser import HTMLParser

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import roc_auc_score

from dermaloop.core import bundle as bundles
from dermaloop.core.errors import ManifestError, OutputError
from dermaloop.pipeline import card
from dermaloop.pipeline.evaluate import DISCLAIMER, Options, evaluate
from support.drawn import drawn_manifest
from support.toy import toy_bundle

FILES = {"predictions.parquet", "evaluation.json", "report.html", "card.md"}


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """One full evaluation of the toy bundle: (folder, result)."""
    folder = tmp_path_factory.mktemp("evaluated")
    toy_bundle(folder, packed=True)
    drawn_manifest(folder, 48, splits=("test", "test", "external"), broken=2)
    options = Options(
        splits=("test", "external"), resamples=100, stress=True, stress_pictures=6, explain=True, threads=1,
        write_into_bundle=True,
    )  # fmt: skip
    return folder, evaluate(folder / "toy.dermaloop", folder / "manifest.parquet", folder / "out", options)


def test_the_files_are_there_and_nothing_else(done):
    folder, result = done
    assert {path.name for path in (folder / "out").iterdir()} == FILES
    assert json.loads((folder / "out/evaluation.json").read_text()) == json.loads(json.dumps(result))


def test_others_can_compute_the_figures_again_from_the_predictions(done):
    folder, result = done
    rows = pq.read_table(folder / "out/predictions.parquet").to_pylist()
    part = next(part for part in result["sections"] if (part["split"], part["source"]) == ("test", "clinic_a"))
    used = [
        row
        for row in rows
        if (row["split"], row["source"]) == ("test", "clinic_a") and row["malignant"] is not None
        and row["status"] != "unreadable"
    ]  # fmt: skip
    auc = roc_auc_score([row["malignant"] for row in used], [row["malignant_probability"] for row in used])
    assert part["figures"]["all"]["malignant_auc"]["value"] == pytest.approx(auc, abs=1e-6)
    assert part["figures"]["all"]["malignant_auc"]["n"] == len(used)


def test_sections_are_by_source_and_pooled_but_external_sources_stay_apart(done):
    _, result = done
    assert [(part["split"], part["source"]) for part in result["sections"]] == [
        ("test", None), ("test", "clinic_a"), ("test", "clinic_b"), ("external", "clinic_a"), ("external", "clinic_b"),
    ]  # fmt: skip
    pooled, *by_source = (part["counts"]["rows"] for part in result["sections"][:3])
    assert pooled == sum(by_source)


def test_unreadable_pictures_are_counted_and_not_measured(done):
    _, result = done
    by_source = [part for part in result["sections"] if part["source"]]
    assert sum(part["abstention"]["unreadable"] for part in by_source) == 2
    assert sum(part["counts"]["rows"] for part in by_source) == 48


def test_opening_the_test_split_is_logged_with_its_headline(done):
    folder, result = done
    history = bundles.open_bundle(folder / "toy.dermaloop").json(bundles.HISTORY)
    assert len(history) == 1
    assert history[0]["event"] == "test split opened"
    assert history[0]["n"] == result["sections"][0]["counts"]["rows"]
    assert history[0]["manifest_sha256"] == result["manifest"]["sha256"]
    assert history[0]["headline"]["malignant_auc"] == result["sections"][0]["figures"]["all"]["malignant_auc"]
    assert history[0]["command"] == "dermaloop evaluate toy.dermaloop manifest.parquet --split test --split external"


def test_the_bundle_carries_result_report_and_card(done):
    folder, result = done
    bundle = bundles.open_bundle(folder / "toy.dermaloop")
    assert bundle.json(bundles.EVALUATION) == json.loads(json.dumps(result))
    assert bundle.parts[bundles.REPORT] == (folder / "out/report.html").read_bytes()
    assert bundle.parts[bundles.CARD] == (folder / "out/card.md").read_bytes()
    assert bundle.spec.parts[bundles.MODEL] == result["bundle"]["model_sha256"]


def test_stress_and_explanation_are_measured(done):
    _, result = done
    assert [entry["split"] for entry in result["stress"]] == ["test", "external"]
    flips = {entry["name"]: entry["flipped"]["value"] for entry in result["stress"][0]["perturbations"]}
    assert result["stress"][0]["mean_flipped"]["value"] == pytest.approx(np.mean(list(flips.values())), abs=1e-5)
    assert any(entry["mean_change"] > 0 for entry in result["stress"][0]["perturbations"])
    whole = result["explanation"][0]
    assert whole["n"] == result["sections"][0]["counts"]["rows"]
    # The outline is a disc of 24 px radius in 96: it covers 19.6 % of the square.
    assert whole["lesion_share"] == pytest.approx(np.pi * 24**2 / 96**2, abs=0.01)


class _Outside(HTMLParser):
    """Collects what a page would load or run, and ids that stand twice."""

    def __init__(self):
        super().__init__()
        self.loads, self.ids, self.text = [], [], []

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name in ("src", "href", "xlink:href") and value and not value.startswith("#"):
                self.loads.append((tag, value))
            if name == "id":
                self.ids.append(value)
            if name.startswith("on"):
                self.loads.append((tag, name))
        if tag in ("script", "link", "iframe"):
            self.loads.append((tag, ""))

    def handle_data(self, data):
        self.text.append(data)


def test_the_report_is_self_contained_and_says_what_it_is(done):
    folder, result = done
    page = (folder / "out/report.html").read_text()
    parsed = _Outside()
    parsed.feed(page)
    assert parsed.loads == []
    assert len(parsed.ids) == len(set(parsed.ids))
    for target in re.findall(r'href="#([^"]+)"', page):
        assert target in parsed.ids
    text = " ".join(parsed.text)
    assert DISCLAIMER in text
    assert f"Licence of the model: {result['bundle']['licence']}" in text
    assert page.count("<svg") >= 4
    assert "@import" not in page
    assert "url(http" not in page


def test_every_figure_of_the_tables_stands_in_the_report(done):
    folder, result = done
    page = (folder / "out/report.html").read_text()
    for part in result["sections"]:
        for figure in part["figures"]["all"].values():
            if figure["value"] is not None:
                assert f"{figure['value']:.3f}" in page


def test_the_card_is_made_of_the_result(done):
    folder, result = done
    text = (folder / "out/card.md").read_text()
    for heading in ("Intended use", "Not for", "Data and licences", "Figures", "What it is bad at", "Never tested on"):
        assert f"## {heading}" in text
    auc = result["sections"][0]["figures"]["all"]["malignant_auc"]
    assert f"{auc['value']:.3f} ({auc['low']:.3f} to {auc['high']:.3f})" in text
    assert "## The test split was opened" in text
    assert DISCLAIMER in text
    for block in re.findall(r"(?:^\|.*\|\n)+", text, flags=re.MULTILINE):
        assert len({line.replace("\\|", "").count("|") for line in block.splitlines()}) == 1, block


def test_a_card_before_any_evaluation_claims_nothing(done):
    folder, _ = done
    text = card.render(bundles.open_bundle(folder / "toy.dermaloop").spec)
    assert "Not evaluated yet." in text
    assert "no figure stands behind any use" in text
    assert "AUC" not in text


def test_the_same_again_gives_the_same(done, tmp_path):
    folder, result = done
    options = Options(splits=("external",), resamples=100, threads=2)
    again = evaluate(folder / "toy.dermaloop", folder / "manifest.parquet", tmp_path / "out", options)
    first = [part for part in result["sections"] if part["split"] == "external"]
    assert again["sections"] == json.loads(json.dumps(first))
    assert len(bundles.open_bundle(folder / "toy.dermaloop").json(bundles.HISTORY)) == 1  # test was not opened


def left_out_result(done, tmp_path, **changes):
    folder, _ = done
    content = json.loads((folder / "out/evaluation.json").read_text())
    content["bundle"]["sources"] = {"clinic_a": 10}
    content.update(changes)
    path = tmp_path / "left_out.json"
    path.write_text(json.dumps(content))
    return folder, path


def test_a_left_out_source_stands_beside_the_pooled_figure(done, tmp_path):
    folder, path = left_out_result(done, tmp_path)
    options = Options(splits=("external",), resamples=100, leave_one_out={"clinic_b": path}, threads=1)
    result = evaluate(folder / "toy.dermaloop", folder / "manifest.parquet", tmp_path / "out", options)
    (entry,) = result["leave_one_source_out"]
    assert (entry["source"], entry["split"], entry["note"]) == ("clinic_b", "external", "")
    assert entry["left_out"]["figures"] == entry["all_sources"]["figures"]  # the same toy on the same pictures
    assert "A source it has never seen" in (tmp_path / "out/report.html").read_text()
    assert "### Trained without the source" in (tmp_path / "out/card.md").read_text()


def test_a_source_that_was_left_out_whole_stands_beside_what_the_others_kept_of_it_for_the_test(done, tmp_path):
    folder, path = left_out_result(done, tmp_path)
    content = json.loads(path.read_text())
    for part in content["sections"]:
        part["split"] = "validation"
    path.write_text(json.dumps(content))
    options = Options(splits=("external",), resamples=100, leave_one_out={"clinic_b": path}, threads=1)
    result = evaluate(folder / "toy.dermaloop", folder / "manifest.parquet", tmp_path / "out", options)
    (entry,) = result["leave_one_source_out"]
    assert (entry["left_out"]["split"], entry["all_sources"]["split"]) == ("validation", "external")
    assert entry["note"] == "The two were not measured on the same pictures."
    assert "clinic_b (validation)" in (tmp_path / "out/card.md").read_text()
    assert "clinic_b (external)" in (tmp_path / "out/card.md").read_text()


@pytest.mark.parametrize(
    ("source", "changes", "rule"),
    [
        ("clinic_a", {}, "not_left_out"),
        ("clinic_c", {}, "source_not_measured"),
        ("clinic_b", {"kind": "something else"}, "not_a_result"),
    ],
)
def test_a_wrong_left_out_result_is_refused_before_anything_runs(done, tmp_path, source, changes, rule):
    folder, path = left_out_result(done, tmp_path, **changes)
    options = Options(splits=("external",), leave_one_out={source: path})
    with pytest.raises(ManifestError) as caught:
        evaluate(folder / "toy.dermaloop", folder / "manifest.parquet", tmp_path / "out", options)
    assert caught.value.rule == rule
    assert not (tmp_path / "out").exists()


def test_a_split_without_pictures_is_named_with_those_there_are(done, tmp_path):
    folder, _ = done
    with pytest.raises(ManifestError, match=r"no picture in the split 'calibration'.*external, test"):
        evaluate(folder / "toy.dermaloop", folder / "manifest.parquet", tmp_path, Options(splits=("calibration",)))


def test_an_unreadable_outline_is_named(tmp_path):
    toy_bundle(tmp_path, packed=True)
    manifest = drawn_manifest(tmp_path, 4, splits=("external",))
    (tmp_path / "pictures/outline.png").write_bytes(b"")
    options = Options(splits=("external",), explain=True, threads=1)
    with pytest.raises(ManifestError, match=r"outline\.png: the outline cannot be read"):
        evaluate(tmp_path / "toy.dermaloop", manifest, tmp_path / "out", options)


def test_without_a_log_the_test_split_stays_closed(tmp_path, monkeypatch):
    toy_bundle(tmp_path, packed=True)
    manifest = drawn_manifest(tmp_path, 4)
    monkeypatch.setattr("dermaloop.pipeline.evaluate.os.access", lambda *_: False)
    with pytest.raises(OutputError, match="opening the test split must be logged"):
        evaluate(tmp_path / "toy.dermaloop", manifest, tmp_path / "out", Options(resamples=100))
    assert not (tmp_path / "out").exists()
