import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dermaloop.core import calibrated
from dermaloop.core.bundle import Calibration
from dermaloop.core.taxonomy import MALIGNANT, Diagnosis
from dermaloop.inference import explain

CLASSES = tuple(Diagnosis)
CALIBRATION = Calibration(temperature=1.7, bias=(0.2, -0.4, 0, 0.1, 0, 0, 0.3, -0.2), fitted_on="nothing")


def log_odds(logits):
    malignant = calibrated.malignant_probability(calibrated.probabilities(logits, CALIBRATION), CLASSES)
    return np.log(malignant) - np.log1p(-malignant)


@given(st.integers(0, 10_000))
def test_the_weights_are_the_derivative_of_the_log_odds(seed):
    logits = np.random.default_rng(seed).normal(0, 1.5, (1, 8))
    weights = explain.malignancy_weights(calibrated.probabilities(logits, CALIBRATION), CLASSES)[0]
    step = 1e-5
    for place in range(8):
        raised, lowered = logits.copy(), logits.copy()
        raised[0, place] += step
        lowered[0, place] -= step
        numeric = (log_odds(raised) - log_odds(lowered))[0] / (2 * step) * CALIBRATION.temperature
        assert weights[place] == pytest.approx(numeric, abs=1e-5)


def test_the_weights_of_each_side_sum_to_one_even_where_it_has_no_probability():
    probability = np.zeros((1, 8))
    probability[0, CLASSES.index(Diagnosis.NV)] = 1.0
    weights = explain.malignancy_weights(probability, CLASSES)[0]
    malignant = np.array([diagnosis in MALIGNANT for diagnosis in CLASSES])
    assert weights[malignant].sum() == pytest.approx(1)
    assert weights[~malignant].sum() == pytest.approx(-1)
    assert weights[malignant].min() == pytest.approx(0.25)


def test_heat_lies_where_a_malignant_class_is_active():
    activation = np.zeros((2, 8, 5, 5), dtype=np.float32)
    activation[0, CLASSES.index(Diagnosis.MEL), 1, 3] = 4.0
    activation[1, CLASSES.index(Diagnosis.NV), 1, 3] = 4.0  # speaks against
    heat = explain.heatmap(activation, np.full((2, 8), 1 / 8), CLASSES)
    assert heat.shape == (2, 5, 5)
    assert heat.dtype == np.float32
    assert heat[0, 1, 3] == 1.0
    assert heat[0].sum() == 1.0
    assert heat[1, 1, 3] == 0.0
    assert heat[1, 0, 0] == 1.0


def test_a_benign_lesion_shows_its_most_suspicious_part_and_not_the_skin_around_it():
    attention = np.full((1, 5, 5), 0.02, dtype=np.float32)
    attention[0, 1:4, 1:4] = 1.0
    attention /= attention.mean()
    said = np.full((8, 5, 5), 0.0, dtype=np.float32)
    said[CLASSES.index(Diagnosis.NV)] = 3.0
    said[CLASSES.index(Diagnosis.NV), 2, 3] = 1.0  # the least benign place of the lesion
    activation = said[None] * attention[:, None]
    probability = np.full((1, 8), 1 / 8)
    heat = explain.heatmap(activation, probability, CLASSES, attention)[0]
    assert np.unravel_index(heat.argmax(), heat.shape) == (2, 3)
    assert heat[attention[0] < 1].max() < 0.05
    without = explain.heatmap(activation, probability, CLASSES)[0]
    assert without[0, 0] > 0.5  # what it would show if attention were not known


def test_even_attention_ranks_the_places_as_none_does():
    rng = np.random.default_rng(0)
    activation = rng.normal(size=(3, 8, 7, 7)).astype(np.float32)
    probability = rng.dirichlet(np.ones(8), 3)
    even = explain.heatmap(activation, probability, CLASSES, np.ones((3, 7, 7), np.float32))
    none = explain.heatmap(activation, probability, CLASSES)
    for one, other in zip(even, none, strict=True):
        hot = other > 0
        assert hot.any()
        np.testing.assert_array_equal(np.argsort(one[hot]), np.argsort(other[hot]))
        assert one[~hot].max() < one[hot].min()


def test_a_place_that_the_network_hardly_looked_at_is_never_the_hottest():
    attention = np.full((1, 5, 5), 1.0, dtype=np.float32)
    attention[0, 0, 0] = 0.1
    attention /= attention.mean()
    said = np.zeros((8, 5, 5), dtype=np.float32)
    said[CLASSES.index(Diagnosis.MEL), 2, 2] = 1.0
    said[CLASSES.index(Diagnosis.MEL), 0, 0] = 20.0
    heat = explain.heatmap(said[None] * attention[:, None], np.full((1, 8), 1 / 8), CLASSES, attention)[0]
    assert np.unravel_index(heat.argmax(), heat.shape) == (2, 2)


def test_a_picture_that_is_the_same_everywhere_has_no_heat():
    activation = np.full((1, 8, 4, 4), 3.0, dtype=np.float32)
    assert not explain.heatmap(activation, np.full((1, 8), 1 / 8), CLASSES).any()
    attention = np.linspace(0.5, 1.5, 16, dtype=np.float32).reshape(1, 4, 4)
    assert not explain.heatmap(activation * attention[:, None], np.full((1, 8), 1 / 8), CLASSES, attention).any()


def test_an_enlarged_heatmap_is_smooth_and_keeps_its_peak():
    heat = np.zeros((7, 7), dtype=np.float32)
    heat[2, 5] = 1.0
    large = explain.upsample(heat, (280, 140))
    assert large.shape == (140, 280)
    row, column = np.unravel_index(large.argmax(), large.shape)
    assert (row // 20, column // 40) == (2, 5)
    assert np.abs(np.diff(large, axis=1)).max() < 0.06
    assert 0 <= large.min() <= large.max() <= 1


def test_the_overlay_shows_the_photograph_where_there_is_no_evidence_and_outside_the_frame():
    image = Image.new("RGB", (300, 200), (200, 150, 120))
    heat = np.zeros((7, 7), dtype=np.float32)
    heat[3, 3] = 1.0
    frame = (1 / 6, 0.0, 5 / 6, 1.0)
    shown = np.asarray(explain.overlay(image, heat, frame))
    assert shown.shape == (200, 300, 3)
    assert (shown[:, :49] == (200, 150, 120)).all()
    assert (shown[:, 251:] == (200, 150, 120)).all()
    assert (shown[:20, 60:240] == (200, 150, 120)).all()
    assert np.abs(shown[100, 150].astype(int) - (200, 150, 120)).max() > 20
    np.testing.assert_array_equal(np.asarray(explain.overlay(image, heat, frame, 0.0)), np.asarray(image))


def test_lightness_rises_with_the_evidence():
    drawn = explain.colours(np.linspace(0, 1, 64, dtype=np.float32)[None]).astype(float)[0]
    lightness = drawn[:, :3] @ (0.2126, 0.7152, 0.0722)
    assert (np.diff(lightness) > 0).all()
    assert (np.diff(drawn[:, 3]) >= 0).all()
    assert drawn[0, 3] == 0
    assert drawn[-1, 3] == 255
