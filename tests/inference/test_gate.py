import itertools

import numpy as np
import pytest

from dermaloop.core.bundle import Gate, array_part
from dermaloop.inference import gate
from support import everyday

LIMITS = Gate(
    ood_limit=2.0,
    ood_fitted_on="drawn",
    ambiguous_low=0.3,
    ambiguous_high=0.5,
    ambiguous_fitted_on="drawn",
    quality={"blur": (None, 0.6)},
)


def clouds(count=400, length=40, classes=4, seed=0):
    """Class clouds in a ten-dimensional subspace, and the same number of points outside it."""
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.normal(size=(length, 10)))[0]
    labels = rng.integers(0, classes, count)
    centres = 3 * rng.normal(size=(classes, 10))
    inside = (centres[labels] + rng.normal(size=(count, 10))) @ basis.T + 0.05 * rng.normal(size=(count, length))
    outside = rng.normal(size=(count, length)) * inside.std()
    return (inside + 5).astype(np.float32), labels, (outside + 5).astype(np.float32)


@pytest.mark.parametrize("length", [40, 600])
def test_points_outside_the_training_features_are_farther(length):
    inside, labels, outside = clouds(length=length)
    fitted = gate.fit_distribution(inside[:300], labels[:300])
    near, far = gate.distance(inside[300:], fitted), gate.distance(outside, fitted)
    assert (far > near.max()).mean() > 0.99


def test_a_usual_picture_is_about_one_away():
    features = np.random.default_rng(2).normal(3, 2, (2000, 30)).astype(np.float32)
    fitted = gate.fit_distribution(features, np.zeros(2000, np.int64))
    assert np.median(gate.distance(features, fitted)) == pytest.approx(1, abs=0.05)


def test_the_distance_is_mahalanobis():
    rng = np.random.default_rng(3)
    features = (rng.normal(size=(5000, 6)) @ rng.normal(size=(6, 6))).astype(np.float32)
    distances = gate.distance(features, gate.fit_distribution(features, np.zeros(5000, np.int64)))
    centred = features - features.mean(axis=0)
    exact = np.sqrt(np.einsum("ni,ij,nj->n", centred, np.linalg.inv(np.cov(features.T)), centred) / 6)
    assert np.corrcoef(distances, exact)[0, 1] > 0.97


def test_a_small_source_counts_as_much_as_a_large_one():
    rng = np.random.default_rng(1)
    large, small = rng.normal(size=(1000, 8)), rng.normal(size=(40, 8)) + 4
    features = np.concatenate([large, small]).astype(np.float32)
    sources = ["large"] * 1000 + ["small"] * 40
    labels = np.zeros(len(features), np.int64)
    plain = gate.distance(features, gate.fit_distribution(features, labels))
    even = gate.distance(features, gate.fit_distribution(features, labels, sources=sources))
    assert plain[1000:].mean() > 1.5 * plain[:1000].mean()
    assert even[1000:].mean() < 1.15 * even[:1000].mean()


def test_the_parameters_survive_the_bundle_and_are_small(tmp_path):
    rng = np.random.default_rng(0)
    features = np.abs(rng.normal(size=(500, 1280))).astype(np.float32)
    fitted = gate.fit_distribution(features, rng.integers(0, 8, 500))
    content = array_part(**fitted)
    assert len(content) < 600_000
    (tmp_path / "d.npz").write_bytes(content)
    with np.load(tmp_path / "d.npz", allow_pickle=False) as loaded:
        again = gate.distance(features, {name: loaded[name] for name in loaded.files})
    np.testing.assert_array_equal(again, gate.distance(features, fitted))


def test_a_constant_feature_and_few_pictures_are_no_division_by_zero():
    features = np.ones((3, 5), dtype=np.float32)
    features[:, 0] = [1, 2, 3]
    fitted = gate.fit_distribution(features, np.array([0, 1, -1]))
    assert np.isfinite(gate.distance(features, fitted)).all()
    far = features[:1].copy()
    far[0, 4] = 9
    assert gate.distance(far, fitted)[0] > 100 * gate.distance(features, fitted).max()


@pytest.mark.parametrize(
    ("quality", "distance", "probability", "codes"),
    [
        (0.2, 1.0, 0.1, ()),
        (0.2, 2.0, 0.1, ()),  # a limit itself is accepted
        (0.2, 2.1, 0.1, ("out_of_distribution",)),
        (0.7, 1.0, 0.1, ("blurred",)),
        (0.7, 3.0, 0.4, ("blurred", "out_of_distribution")),  # ambiguity says nothing of what is not accepted at all
        (0.2, 1.0, 0.3, ("ambiguous",)),
        (0.2, 1.0, 0.4999, ("ambiguous",)),
        (0.2, 1.0, 0.5, ()),
        (0.2, float("nan"), 0.1, ("out_of_distribution",)),
    ],
)
def test_reasons(quality, distance, probability, codes):
    found = gate.reasons(LIMITS, quality={"blur": quality}, distance=distance, malignant_probability=probability)
    assert tuple(reason.code for reason in found) == codes
    assert all(len(reason.text) > 40 and reason.value is not None for reason in found)


def test_an_empty_band_is_never_ambiguous():
    limits = LIMITS.model_copy(update={"ambiguous_low": 0.5, "ambiguous_high": 0.5})
    for probability in (0.499, 0.5, 0.501):
        assert not gate.reasons(limits, quality={}, distance=0.0, malignant_probability=probability)


def test_everyday_pictures_are_varied_and_repeatable():
    first = list(itertools.islice(everyday.pictures(4), 21))
    again = list(itertools.islice(everyday.pictures(4), 21))
    assert {kind for kind, _ in first} >= set(everyday.KINDS) - {"photograph"}
    assert [picture.tobytes() for _, picture in first] == [picture.tobytes() for _, picture in again]
    assert len({picture.tobytes() for _, picture in first}) == 21
