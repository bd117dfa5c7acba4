"""The square that the network sees."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dermaloop.core.preprocess import Preprocess, frame, network_input
from dermaloop.core.synthetic import draw_lesion

SIDES = st.integers(32, 5000)


@given(SIDES, SIDES, st.floats(0.3, 3))
def test_the_frame_is_the_largest_centred_square_on_the_skin(width, height, aspect):
    left, top, right, bottom = frame(width, height, pixel_aspect=aspect)
    assert 0 <= left < right <= 1 + 1e-12
    assert 0 <= top < bottom <= 1 + 1e-12
    assert left + right == pytest.approx(1)
    assert top + bottom == pytest.approx(1)
    on_skin = ((right - left) * width * aspect, (bottom - top) * height)
    assert on_skin[0] == pytest.approx(on_skin[1])
    assert max(right - left, bottom - top) == pytest.approx(1), "it touches two sides"


@pytest.mark.parametrize(
    ("width", "height", "aspect", "expected"),
    [
        (100, 100, 1, (0, 0, 1, 1)),
        (600, 450, 1, (0.125, 0, 0.875, 1)),
        (450, 600, 1, (0, 0.125, 1, 0.875)),
        (256, 256, 4 / 3, (0.125, 0, 0.875, 1)),  # squashed from 4:3: the same square as of 600 x 450
    ],
)
def test_frames_by_hand(width, height, aspect, expected):
    assert frame(width, height, pixel_aspect=aspect) == pytest.approx(expected)


@given(st.integers(16, 64), st.integers(20, 200), st.integers(20, 200))
def test_the_input_has_its_size_and_type(size_px, width, height):
    seen = network_input(Image.new("RGB", (width, height), (10, 20, 30)), Preprocess(size_px))
    assert seen.shape == (size_px, size_px, 3)
    assert seen.dtype == np.uint8
    assert (seen == [10, 20, 30]).all(), "nothing from beyond the picture mixes in"


def test_what_lies_beside_the_square_is_not_seen():
    lesion = draw_lesion(1, size_px=300)
    wide = Image.new("RGB", (500, 300), (255, 0, 255))
    wide.paste(lesion, (100, 0))
    seen = network_input(wide, Preprocess(96)).astype(int)
    assert np.abs(seen[:, 2:-2] - network_input(lesion, Preprocess(96)).astype(int)[:, 2:-2]).max() <= 2


def test_a_squashed_picture_gives_what_the_straight_one_gives():
    straight = Image.new("RGB", (600, 450), (214, 168, 142))
    straight.paste(draw_lesion(2, size_px=450), (75, 0))
    squashed = straight.resize((450, 450), Image.Resampling.LANCZOS)
    one = network_input(straight, Preprocess(128)).astype(int)
    other = network_input(squashed, Preprocess(128), pixel_aspect=4 / 3).astype(int)
    assert np.abs(one - other).mean() < 1.5
    ignored = network_input(squashed, Preprocess(128)).astype(int)
    assert np.abs(one - ignored).mean() > 3, "without the aspect another square is seen"


def test_resizing_is_antialiased():
    stripes = np.zeros((960, 960, 3), np.uint8)
    stripes[:, ::2] = 255
    seen = network_input(Image.fromarray(stripes), Preprocess(96))
    assert np.abs(seen.astype(int) - 127).max() <= 6, "even grey, where the nearest pixel would be black or white"


def test_a_picture_of_the_right_size_is_passed_on_as_it_is():
    lesion = draw_lesion(3, size_px=96)
    assert (network_input(lesion, Preprocess(96)) == np.asarray(lesion)).all()
