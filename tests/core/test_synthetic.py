"""Drawn lesions: repeatable, different, and different in what the criteria look for."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from dermaloop.core.synthetic import draw_lesion


def test_the_same_arguments_give_the_same_pixels():
    one, two = draw_lesion(7, size_px=96), draw_lesion(7, size_px=96)
    assert one.tobytes() == two.tobytes()


def test_every_seed_and_kind_gives_another_picture():
    drawn = {
        hashlib.sha256(draw_lesion(seed, size_px=64, malignant=bad).tobytes()).digest()
        for seed in range(25)
        for bad in (0, 1)
    }
    assert len(drawn) == 50


@pytest.mark.parametrize("size_px", [16, 97, 450])
def test_the_size_is_as_asked(size_px):
    drawn = draw_lesion(0, size_px=size_px)
    assert drawn.size == (size_px, size_px)
    assert drawn.mode == "RGB"
    assert drawn.info == {}


def test_a_lesion_needs_some_pixels():
    with pytest.raises(ValueError, match="at least 16"):
        draw_lesion(0, size_px=15)


def test_the_middle_is_darker_than_the_corners():
    gaps = []
    for seed in range(12):
        for malignant in (False, True):
            values = np.asarray(draw_lesion(seed, size_px=96, malignant=malignant).convert("L")).astype(float)
            corners = [values[:15, :15], values[:15, -15:], values[-15:, :15], values[-15:, -15:]]
            gaps.append(np.median(corners) - values[40:56, 40:56].mean())
    assert min(gaps) > 0
    assert np.median(gaps) > 25


def test_malignant_ones_are_less_symmetric():
    def asymmetry(malignant: bool) -> float:  # noqa: FBT001 - two kinds are compared
        gaps = []
        for seed in range(20):
            values = np.asarray(draw_lesion(seed, size_px=96, malignant=malignant)).astype(float)
            gaps.append(np.abs(values - values[:, ::-1]).mean())
        return float(np.mean(gaps))

    assert asymmetry(malignant=True) > 1.1 * asymmetry(malignant=False)
