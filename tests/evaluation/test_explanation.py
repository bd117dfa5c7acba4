import numpy as np
import pytest
from PIL import Image, ImageDraw

from dermaloop.evaluation import explanation


def disc(size_px, x, y, radius):
    rows, columns = np.mgrid[:size_px, :size_px]
    return (rows - y) ** 2 + (columns - x) ** 2 <= radius**2


def test_the_mask_goes_through_the_same_cut_as_the_picture():
    drawn = Image.new("1", (400, 200))  # wide: the network sees columns 100 to 300
    ImageDraw.Draw(drawn).rectangle((100, 0, 199, 199), fill=1)
    mask = explanation.lesion_mask(drawn, 50)
    assert mask[:, :24].all()
    assert not mask[:, 26:].any()


def test_a_squashed_picture_has_a_squashed_mask():
    drawn = Image.new("L", (200, 200))
    ImageDraw.Draw(drawn).rectangle((0, 0, 24, 199), fill=255)  # lies outside the true central square at 4:3
    assert not explanation.lesion_mask(drawn, 60, pixel_aspect=4 / 3)[:, 1:].any()
    assert explanation.lesion_mask(drawn, 60)[:, :6].all()


def test_shares_by_hand():
    heat = np.array([[1.0, 3.0], [0.0, -4.0]])
    mask = np.array([[False, True], [True, True]])
    assert explanation.share_inside(heat, mask) == pytest.approx(0.75)  # negative evidence is not heat
    assert explanation.points_inside(heat, mask) == 1.0
    assert explanation.points_inside(heat, ~mask) == 0.0


def test_a_map_without_heat_says_nothing():
    mask = np.ones((4, 4), dtype=bool)
    assert np.isnan(explanation.share_inside(np.zeros((4, 4)), mask))
    assert np.isnan(explanation.points_inside(np.full((4, 4), 0.3), mask))


def test_the_guess_is_centred_and_symmetric():
    guess = explanation.centre_gaussian(20)
    np.testing.assert_allclose(guess, guess[::-1])
    np.testing.assert_allclose(guess, guess.T)
    assert np.unravel_index(guess.argmax(), guess.shape) in {(9, 9), (9, 10), (10, 9), (10, 10)}


def measured(place):
    """40 pictures whose lesion wanders; heat at the lesion, at the centre, or nowhere in particular."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(40):
        x, y = rng.uniform(12, 52, 2)
        mask = disc(64, x, y, 9)
        heat = {
            "lesion": disc(64, x, y, 12).astype(float),
            "centre": explanation.centre_gaussian(64),
            "noise": rng.random((64, 64)),
        }[place]
        found.append(explanation.check_one(heat, mask))
    return {key: np.array([entry[key] for entry in found]) for key in found[0]}


def test_heat_on_the_lesion_beats_the_guess():
    found = explanation.summarise(measured("lesion"), np.arange(40), resamples=200)
    for name in ("share_inside", "pointing"):
        assert found[name]["beats_guess"]
        assert found[name]["difference"]["value"] == pytest.approx(
            found[name]["model"]["value"] - found[name]["guess"]["value"], abs=1e-5
        )


@pytest.mark.parametrize("place", ["centre", "noise"])
def test_blind_heat_does_not_beat_the_guess(place):
    found = explanation.summarise(measured(place), np.arange(40), resamples=200)
    assert not found["share_inside"]["beats_guess"]


def test_few_outlines_say_nothing():
    few = {key: values[:9] for key, values in measured("lesion").items()}
    found = explanation.summarise(few, np.arange(9))
    assert found["note"] == "Too few to say: 9 pictures with an outlined lesion."
    assert "pointing" not in found
