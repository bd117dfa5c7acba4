"""A finished training becomes a bundle that classifies, fitted on the splits it may see and no other."""

import dataclasses
import shutil

import numpy as np
import pytest
import torch

from dermaloop.core import bundle as bundles
from dermaloop.core import calibrated
from dermaloop.core.errors import ManifestError
from dermaloop.core.manifest import Split
from dermaloop.core.prediction import Status
from dermaloop.core.preprocess import Preprocess, network_input
from dermaloop.core.taxonomy import MALIGNANT, Diagnosis
from dermaloop.inference.classifier import Classifier, Item
from dermaloop.inference.session import Session
from dermaloop.pipeline.package import check, package
from dermaloop.training import recipe, run
from dermaloop.training.network import normalisation
from support.trainings import lesion_manifest, small

CLASSES = tuple(Diagnosis)
LICENCE = "Only for tests."
VALUES = small(
    network={"lesion_attention": True},
    run={"steps": 40, "steps_per_epoch": 20, "batch": 16, "train_px": [[0.0, 32]]},
    optimiser={"rate": 4e-3, "ema_decay": 0.9},
    package={"sensitivity": [0.9, 0.75], "ood_accept": 0.95},
)


def without_files(rows, split):
    """The same rows, the pictures of one split gone."""
    for path, of in zip(rows.image_paths(), rows.column("split"), strict=True):
        if of == split:
            path.unlink()
    return rows


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """(rows, trained, written bundle, its path); the test pictures were deleted before anything began."""
    folder = tmp_path_factory.mktemp("package")
    rows = without_files(lesion_manifest(folder / "images"), Split.TEST)
    trained = run.train(recipe.parse(VALUES), rows, folder / "run", show_progress=False)
    path = folder / "small.dermaloop"
    return rows, trained, package(trained, rows, path, licence=LICENCE), path


@pytest.fixture(scope="module")
def held(done):
    """Calibration rows: (raw logits by the bundle's graph, malignant or not)."""
    rows, _, written, _ = done
    held = rows.where(split=Split.CALIBRATION)
    squares = [network_input(_picture(path), Preprocess(written.spec.size_px)) for path in held.image_paths()]
    outputs = Session(written, threads=1).run(np.stack(squares))
    fine = np.array([CLASSES.index(Diagnosis(code)) for code in held.column("diagnosis")])
    return outputs, fine, np.array(held.malignant(), dtype=bool)


def _picture(path):
    from PIL import Image  # noqa: PLC0415 - for this line

    return Image.open(path).convert("RGB")


def test_the_bundle_opens_and_is_signed_with_what_made_it(done):
    rows, trained, written, path = done
    opened = bundles.open_bundle(path)
    assert opened.sha256 == written.sha256
    spec = opened.spec
    assert spec.name == "small"
    assert spec.licence == LICENCE
    assert spec.classes == CLASSES
    assert spec.size_px == 48
    assert spec.manifest_sha256 == rows.identity()
    assert spec.recipe_sha256 == trained.recipe.identity()
    assert spec.code_sha256 == trained.facts["code_sha256"]
    assert spec.sources == {"alpha": 24, "beta": 24}
    assert recipe.parse(spec.training["recipe"]) == trained.recipe
    assert spec.training["validation"] == trained.facts["validation"]
    (event,) = opened.json(bundles.HISTORY)
    assert event["event"] == "packaged"
    card = opened.parts[bundles.CARD].decode()
    assert LICENCE in card
    assert "Not a medical device." in card


def test_the_graph_is_the_trained_network(done, held):
    rows, trained, written, _ = done
    squares = [
        network_input(_picture(path), Preprocess(written.spec.size_px))
        for path in rows.where(split=Split.CALIBRATION).image_paths()
    ]
    mean, std = (value.view(1, 3, 1, 1) for value in normalisation(trained.network))
    with torch.inference_mode():
        pictures = torch.from_numpy(np.stack(squares)).permute(0, 3, 1, 2) / 255
        expected = torch.softmax(trained.network((pictures - mean) / std), dim=1).numpy()
    plain = bundles.Calibration(temperature=1.0, bias=(0.0,) * 8, fitted_on="")
    assert np.abs(calibrated.probabilities(held[0].logits, plain) - expected).max() < 1e-4


def test_calibration_lowers_the_loss_on_its_split(done, held):
    _, _, written, _ = done
    outputs, fine, _ = held
    plain = bundles.Calibration(temperature=1.0, bias=(0.0,) * 8, fitted_on="")

    def nll(calibration):
        return -np.log(calibrated.probabilities(outputs.logits, calibration)[np.arange(len(fine)), fine]).mean()

    assert nll(written.spec.calibration) < nll(plain) - 0.01
    assert "calibration split (alpha 24, beta 24; 48 lesions or patients)" in written.spec.calibration.fitted_on


def test_operating_points_reach_their_targets_there(done, held):
    _, _, written, _ = done
    outputs, _, malignant = held
    probability = calibrated.probabilities(outputs.logits, written.spec.calibration)
    risk = calibrated.malignant_probability(probability, CLASSES)
    assert [point.name for point in written.spec.operating_points] == ["sensitivity-90", "sensitivity-75"]
    assert written.spec.default_operating_point == "sensitivity-90"
    for point, target in zip(written.spec.operating_points, (0.9, 0.75), strict=True):
        referred = risk >= point.threshold
        assert referred[malignant].mean() >= target
        assert referred[malignant].mean() == pytest.approx(point.sensitivity)
        assert (~referred[~malignant]).mean() == pytest.approx(point.specificity)
        assert (point.n_malignant, point.n_benign) == (int(malignant.sum()), int((~malignant).sum()))


def test_the_gate_accepts_the_share_asked_for(done, held):
    from dermaloop.inference import gate  # noqa: PLC0415 - for this test

    _, _, written, _ = done
    distance = gate.distance(held[0].texture, written.arrays(bundles.DISTRIBUTION))
    assert (distance <= written.spec.gate.ood_limit).mean() == pytest.approx(0.95, abs=0.03)


def test_it_classifies_and_names_similar_cases(done):
    rows, _, written, _ = done
    classifier = Classifier(written, threads=1)
    held = rows.where(split=Split.CALIBRATION)
    found = list(classifier.classify_many(Item(str(path), path) for path in held.image_paths()))
    assert {prediction.status for prediction in found} <= {Status.ASSESSED, Status.ABSTAINED}
    assert sum(prediction.status == Status.ASSESSED for prediction in found) > len(found) / 2
    similar = {(case.source, case.image_id) for prediction in found for case in prediction.similar}
    train = rows.where(split=Split.TRAIN)
    assert similar <= set(zip(train.column("source"), train.column("image_id"), strict=True))
    assert len(similar) > 5


def references(written):
    arrays = written.arrays(bundles.REFERENCES)
    names = [str(arrays["sources"][index]) for index in arrays["source_index"]]
    return set(zip(names, arrays["image_ids"].tolist(), strict=True))


def test_only_rows_with_a_lesion_id_become_references(done, tmp_path):
    rows, trained, written, _ = done
    train = rows.where(split=Split.TRAIN)
    assert references(written) == set(zip(train.column("source"), train.column("image_id"), strict=True))
    nameless = rows.with_columns(
        lesion_id=[
            "" if source == "beta" else lesion
            for source, lesion in zip(rows.column("source"), rows.column("lesion_id"), strict=True)
        ]
    )
    other = package(trained, nameless, tmp_path / "other", licence=LICENCE)
    assert {source for source, _ in references(other)} == {"alpha"}
    assert len(references(other)) == 24


def test_too_many_references_keep_the_rare_diagnoses_whole(done, monkeypatch):
    from dermaloop.pipeline import package as module  # noqa: PLC0415 - patched

    rows, _, _, _ = done
    train = rows.where(split=Split.TRAIN)
    fine = np.array([CLASSES.index(Diagnosis(code)) for code in train.column("diagnosis")])
    fine[:5] = CLASSES.index(Diagnosis.DF)
    predicted = module._Predicted(train, _raw(len(train)), np.eye(8, dtype=bool)[fine])
    named = train.with_columns(diagnosis=[CLASSES[index] for index in fine])
    monkeypatch.setattr(module, "_MOST_REFERENCES", 15)
    arrays = module._references(dataclasses.replace(predicted, rows=named), 1)
    codes = [str(arrays["diagnoses"][index]) for index in arrays["diagnosis_index"]]
    assert len(codes) == 15
    assert codes.count("DF") == 5
    again = module._references(dataclasses.replace(predicted, rows=named), 1)
    assert arrays["image_ids"].tolist() == again["image_ids"].tolist()


def _raw(number):
    from dermaloop.inference.classifier import Raw  # noqa: PLC0415 - for this line

    rng = np.random.default_rng(0)
    array = rng.normal(size=(number, 12)).astype(np.float32)
    return Raw(array[:, :8], array, array, None, {}, {})


def test_another_package_section_makes_another_bundle_of_the_same_training(done, tmp_path):
    rows, trained, written, _ = done
    values = {**VALUES, "package": {"sensitivity": [0.6]}}
    other = package(
        trained.with_package(recipe.parse(values)), rows, tmp_path / "other", licence=LICENCE, name="mine", version="2"
    )
    assert [point.name for point in other.spec.operating_points] == ["sensitivity-60"]
    assert (other.spec.name, other.spec.version) == ("mine", "2")
    assert other.parts[bundles.MODEL] == written.parts[bundles.MODEL]
    assert other.spec.recipe_sha256 != written.spec.recipe_sha256


def test_a_bundle_that_follows_another_keeps_its_operating_points(done, tmp_path):
    """One network on the same rows: its points stay where they were; one that the former lacks is chosen anew."""
    rows, trained, written, _ = done
    other = package(trained, rows, tmp_path / "kept", licence=LICENCE, former=written)
    kept_points = 0
    for kept, point in zip(other.spec.operating_points, written.spec.operating_points, strict=True):
        if kept == point:  # the cases speak against it: chosen anew, which on the same rows is the same
            continue
        kept_points += 1
        assert kept.target == f"{point.target}, kept from the model before"
        assert (kept.name, kept.specificity) == (point.name, pytest.approx(point.specificity))
        assert kept.sensitivity >= point.sensitivity, "the lowest threshold with that specificity"
    assert kept_points
    values = {**VALUES, "package": {"sensitivity": [0.6]}}
    named_otherwise = package(
        trained.with_package(recipe.parse(values)), rows, tmp_path / "anew", licence=LICENCE, former=written
    )
    assert [point.target for point in named_otherwise.spec.operating_points] == ["sensitivity >= 0.6"]


@pytest.mark.parametrize(
    ("rows_kept", "rule", "words"),
    [
        (lambda split, bad: split != "calibration", "empty_split", "no row of the sources to calibrate on"),
        (lambda split, bad: split != "calibration" or bad, "one_class_only", "no benign row"),
        (lambda split, bad: split != "calibration" or not bad, "one_class_only", "no malignant row"),
    ],
)
def test_a_calibration_split_that_cannot_serve_is_refused_before_any_work(done, rows_kept, rule, words):
    rows, trained, _, _ = done
    kept = [rows_kept(split, bad) for split, bad in zip(rows.column("split"), rows.malignant(), strict=True)]
    with pytest.raises(ManifestError, match=words) as refused:
        check(trained.recipe, rows.select(kept))
    assert refused.value.rule == rule


def test_calibration_takes_the_sources_named_and_none_left_out(done, tmp_path):
    rows, trained, _, _ = done
    values = {**VALUES, "package": {"sensitivity": [0.9], "calibration_sources": ["beta"]}}
    with pytest.raises(ManifestError, match="no row of the sources"):
        check(recipe.without_source(recipe.parse(values), "beta"), rows)
    other = package(trained.with_package(recipe.parse(values)), rows, tmp_path / "other", licence=LICENCE)
    assert "(beta 24; 24 lesions" in other.spec.calibration.fitted_on


def test_an_unreadable_picture_is_refused_by_name(done, tmp_path):
    rows, trained, _, _ = done
    held = rows.column("split").index("calibration")
    broken = tmp_path / "broken.png"
    shutil.copy(rows.image_path(held), broken)
    broken.write_bytes(broken.read_bytes()[:200])
    paths = rows.column("path")
    paths[held] = str(broken)
    with pytest.raises(ManifestError, match=r"broken\.png"):
        package(trained, rows.with_columns(path=paths), tmp_path / "other", licence=LICENCE)
    assert not (tmp_path / "other").exists()


def test_coarse_labels_alone_are_enough_from_manifest_to_classification(tmp_path):
    rows = without_files(lesion_manifest(tmp_path / "images", sources=("alpha",), coarse=True), Split.TEST)
    values = {**VALUES, "run": {**VALUES["run"], "steps": 8, "steps_per_epoch": 4}}
    trained = run.train(recipe.parse(values), rows, tmp_path / "run", show_progress=False)
    assert set(trained.facts["validation"]) == {"malignant_auc/alpha", "validation_score"}
    written = package(trained, rows, tmp_path / "coarse.dermaloop", licence=LICENCE)
    assert references(written) == set()
    first = rows.where(split=Split.CALIBRATION).image_path(0)
    prediction = Classifier(bundles.open_bundle(tmp_path / "coarse.dermaloop"), threads=1).classify(first.read_bytes())
    assert prediction.status != Status.UNREADABLE
    assert prediction.similar == ()
    assert sum(prediction.probabilities.values()) == pytest.approx(1)
    assert 0 <= sum(prediction.probabilities[diagnosis] for diagnosis in MALIGNANT) <= 1
