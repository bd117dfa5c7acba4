import dataclasses
import hashlib
import io
import itertools
import threading

import numpy as np
import pytest
from PIL import Image

from dermaloop.core import bundle as bundles
from dermaloop.core.errors import BundleError
from dermaloop.core.image import REASONS
from dermaloop.core.prediction import Decision, Status
from dermaloop.core.synthetic import draw_lesion
from dermaloop.core.taxonomy import Diagnosis
from dermaloop.inference.classifier import Classifier, Item
from support.hostile import hostile_files
from support.toy import toy_bundle, toy_spec


def jpeg(seed, size_px=120):
    stream = io.BytesIO()
    draw_lesion(seed, size_px=size_px, malignant=bool(seed % 2)).save(stream, "JPEG", quality=92)
    return stream.getvalue()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return bundles.open_bundle(toy_bundle(tmp_path_factory.mktemp("classifier")))


@pytest.fixture(scope="module")
def classifier(bundle):
    return Classifier(bundle, threads=2)


def gated(bundle, **changes):
    spec = bundle.spec.model_copy(update={"gate": bundle.spec.gate.model_copy(update=changes)})
    return Classifier(dataclasses.replace(bundle, spec=spec), threads=1)


def test_an_assessed_picture_has_everything(classifier, bundle):
    content = jpeg(1)
    given = classifier.classify(content, "arm.jpg")
    assert given.image == "arm.jpg"
    assert given.sha256 == hashlib.sha256(content).hexdigest()
    assert given.bundle == bundle.identity
    assert given.status is Status.ASSESSED
    assert given.reasons == ()
    assert sum(given.probabilities.values()) == pytest.approx(1)
    malignant = sum(given.probabilities[d] for d in ("MEL", "BCC", "AKIEC", "SCC"))
    assert given.malignant_probability == pytest.approx(malignant)
    assert given.operating_point == "sensitivity-95"
    assert given.threshold == 0.5
    assert given.decision is (Decision.REFER if malignant >= 0.5 else Decision.NO_REFERRAL)
    assert given.top_diagnosis == max(given.probabilities, key=given.probabilities.get)
    assert given.heatmap.shape == (8, 8)
    assert given.heatmap.max() == 1.0
    assert given.frame == (0.0, 0.0, 1.0, 1.0)
    assert set(given.quality) >= {"blur", "brightness"}
    assert given.ood_distance > 0
    assert len(given.similar) == 5


def test_both_decisions_occur_and_follow_the_threshold_of_the_operating_point(bundle):
    point = Classifier(bundle, threads=1, operating_point="sensitivity-90")
    seen = set()
    for seed in range(12):
        given = point.classify(jpeg(seed))
        assert given.threshold == 0.6
        assert (given.decision is Decision.REFER) == (given.malignant_probability >= 0.6)
        seen.add(given.decision)
    assert seen == {Decision.REFER, Decision.NO_REFERRAL}


def test_an_unknown_operating_point_is_refused_naming_those_there_are(bundle):
    with pytest.raises(BundleError, match="sensitivity-95, sensitivity-90"):
        Classifier(bundle, operating_point="sensitivity-99")


def test_weights_move_the_suggestion_and_no_probability(classifier, bundle):
    weights = [0.0] * 8
    weights[5] = 20.0
    spec = bundle.spec.model_copy(update={"top_diagnosis_log_weights": tuple(weights)})
    moved = Classifier(dataclasses.replace(bundle, spec=spec), threads=1).classify(jpeg(1))
    plain = classifier.classify(jpeg(1))
    assert moved.top_diagnosis is Diagnosis.DF
    assert moved.decision == plain.decision
    assert list(moved.probabilities.values()) == pytest.approx(list(plain.probabilities.values()), abs=1e-6)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"ood_limit": 0.0}, "out_of_distribution"),
        ({"quality": {"brightness": (0.99, None)}}, "underexposed"),
        ({"ambiguous_low": 0.0, "ambiguous_high": 1.0}, "ambiguous"),
    ],
)
def test_a_declined_picture_has_probabilities_and_reasons_but_no_decision(bundle, changes, code):
    given = gated(bundle, **changes).classify(jpeg(3))
    assert given.status is Status.ABSTAINED
    assert given.decision is Decision.NONE
    assert [reason.code for reason in given.reasons] == [code]
    assert given.malignant_probability is not None
    assert len(given.probabilities) == 8
    assert given.heatmap is not None


def test_hostile_files_get_their_named_reason_alone_and_among_others(classifier):
    files = hostile_files()
    assert len(files) >= 40
    many = classifier.classify_many(Item(name, content) for name, (content, _) in files.items())
    for (name, (content, reason)), among in zip(files.items(), many, strict=True):
        for given in (classifier.classify(content, name), among):
            assert given.image == name
            assert given.sha256 == hashlib.sha256(content).hexdigest()
            if reason is None:
                assert given.status is not Status.UNREADABLE, (name, given.reasons)
            else:
                assert given.status is Status.UNREADABLE
                assert [found.code for found in given.reasons] == [reason], name
                assert reason in REASONS
                assert given.malignant_probability is None
                assert given.heatmap is None


def test_files_that_cannot_be_read_become_rows(classifier, tmp_path):
    (tmp_path / "a.jpg").write_bytes(jpeg(0))
    places = [tmp_path / "none.jpg", tmp_path / "a.jpg", tmp_path]
    given = list(classifier.classify_many(Item(str(place), place) for place in places))
    assert [one.status for one in given] == ["unreadable", "assessed", "unreadable"]
    assert [reason.code for one in given for reason in one.reasons] == ["missing_file", "unreadable_file"]
    assert given[0].sha256 == ""


@pytest.mark.parametrize("threads", [1, 3])
def test_many_are_the_same_as_each_alone_and_keep_the_order(bundle, threads):
    contents = [jpeg(seed) if seed % 5 else b"no picture" for seed in range(23)]
    many = Classifier(bundle, threads=threads)
    got = list(many.classify_many(Item(f"{place}.jpg", content) for place, content in enumerate(contents)))
    assert [one.image for one in got] == [f"{place}.jpg" for place in range(23)]
    single = Classifier(bundle, threads=1)
    for content, one in zip(contents, got, strict=True):
        expected = single.classify(content, one.image)
        assert (one.status, one.decision, one.top_diagnosis) == (
            expected.status,
            expected.decision,
            expected.top_diagnosis,
        )
        if expected.status is not Status.UNREADABLE:
            np.testing.assert_allclose(
                list(one.probabilities.values()), list(expected.probabilities.values()), atol=1e-5
            )
            np.testing.assert_allclose(one.heatmap, expected.heatmap, atol=1e-3)
            assert one.ood_distance == pytest.approx(expected.ood_distance, rel=1e-4)
            assert [case.image_id for case in one.similar] == [case.image_id for case in expected.similar]


def test_pictures_are_taken_only_as_the_reader_goes_on(bundle):
    taken = itertools.count()
    last = 0

    def endless():
        nonlocal last
        content = jpeg(0)
        while True:
            last = next(taken)
            yield Item(str(last), content)

    predictions = Classifier(bundle, threads=2).classify_many(endless())
    for _ in range(3):
        next(predictions)
    assert last < 40
    before = threading.active_count()
    predictions.close()
    assert threading.active_count() < before


def test_an_error_of_the_reader_of_items_is_not_swallowed(classifier):
    def broken():
        yield Item("a", jpeg(0))
        raise RuntimeError("the list ended badly")

    with pytest.raises(RuntimeError, match="ended badly"):
        list(classifier.classify_many(broken()))


def test_each_is_called_with_every_picture(classifier):
    seen = {}
    items = [Item(str(seed), jpeg(seed)) for seed in range(9)]
    list(classifier.classify_many(items, each=lambda item, prediction: seen.update({item.name: prediction.image})))
    assert seen == {str(seed): str(seed) for seed in range(9)}


def test_a_squashed_picture_with_its_aspect_gives_the_answer_of_the_original(classifier):
    original = draw_lesion(5, size_px=600).crop((0, 75, 600, 525))  # 4:3
    squashed = original.resize((450, 450), Image.Resampling.LANCZOS)
    contents = []
    for image in (original, squashed):
        stream = io.BytesIO()
        image.save(stream, "PNG")
        contents.append(stream.getvalue())
    plain = classifier.classify(contents[0])
    undone = classifier.classify(contents[1], pixel_aspect=4 / 3)
    wrong = classifier.classify(contents[1])
    assert undone.malignant_probability == pytest.approx(plain.malignant_probability, abs=0.01)
    assert abs(wrong.malignant_probability - plain.malignant_probability) > abs(
        undone.malignant_probability - plain.malignant_probability
    )


def test_raw_rows_match_predictions_and_unreadable_ones_are_nan(classifier, tmp_path):
    for seed in range(6):
        (tmp_path / f"{seed}.jpg").write_bytes(jpeg(seed) if seed != 2 else b"broken")
    paths = sorted(tmp_path.iterdir())
    raw = classifier.raw_many(paths, activation=True)
    assert raw.logits.shape == (6, 8)
    assert raw.activation.shape == (6, 8, 8, 8)
    assert list(raw.unreadable) == [2]
    assert np.isnan(raw.logits[2]).all()
    assert np.isnan(raw.quality["blur"][2])
    assert np.isfinite(np.delete(raw.texture, 2, axis=0)).all()
    spec = toy_spec()
    scaled = raw.logits[0].astype(float) / spec.calibration.temperature
    expected = np.exp(scaled - scaled.max())
    given = classifier.classify(paths[0].read_bytes())
    np.testing.assert_allclose(expected / expected.sum(), list(given.probabilities.values()), atol=1e-5)
    assert given.quality["blur"] == pytest.approx(raw.quality["blur"][0])


def test_raw_of_nothing_has_no_rows(classifier):
    raw = classifier.raw_many([])
    assert raw.logits.shape == (0, 8)
    assert raw.embedding.shape[0] == 0


def test_several_threads_may_use_one_classifier(classifier):
    expected = {seed: classifier.classify(jpeg(seed)).malignant_probability for seed in range(4)}
    wrong = set()

    def work(seed):
        for _ in range(10):
            if classifier.classify(jpeg(seed)).malignant_probability != pytest.approx(expected[seed], abs=1e-6):
                wrong.add(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in expected]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
