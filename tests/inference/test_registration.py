"""Two photographs of one lesion are laid over each other within a tolerance; of two lesions, they are refused."""

import csv
import itertools
import math
import sys
from collections import defaultdict

import numpy as np
import pytest
from PIL import Image, ImageDraw

from dermaloop.core.errors import MissingExtraError
from dermaloop.core.synthetic import draw_lesion
from dermaloop.inference.registration import EXTRA, LEAST_PLACES, Alignment, NotAligned, Photograph, Reason, align
from support.moved import farthest, moved

SIDE = 300


@pytest.fixture(scope="module")
def lesion():
    return draw_lesion(4, size_px=SIDE, malignant=True)


def _align(first, second, first_mm=None, second_mm=None):
    return align(Photograph(first, first.width, first_mm), Photograph(second, second.width, second_mm))


@pytest.mark.parametrize(
    "change",
    [
        {"degrees": 25, "scale": 1.2, "shift": (10, -6), "gain": 0.85, "gamma": 1.2},
        {"degrees": -140, "scale": 0.6, "gain": 1.1},
        {"scale": 1.6, "shift": (-20, 15), "size": (400, 260)},
    ],
    ids=["nearer and darker", "upside down and farther", "another frame"],
)
def test_a_second_photograph_is_found_within_a_pixel(lesion, change):
    again, true = moved(lesion, **change)
    found = _align(lesion, again)
    assert isinstance(found, Alignment)
    assert farthest(found.matrix, true, again.size) < 1
    assert found.scale == found.measured_scale == pytest.approx(1 / change["scale"], rel=0.002)
    assert not found.true_scale
    assert found.places > 50
    assert found.agreement > 0.8


def test_the_same_picture_lies_on_itself_and_a_reduced_copy_stands_for_the_full_one(lesion):
    found = _align(lesion, lesion)
    assert farthest(found.matrix, np.eye(2, 3), lesion.size) < 0.01
    assert found.overlap == 1
    assert found.degrees == pytest.approx(0, abs=0.01)
    again, true = moved(lesion, degrees=10)
    large = Photograph(lesion, 4 * SIDE), Photograph(again, 4 * SIDE)
    true[:, 2] *= 4
    assert farthest(align(*large).matrix, true, (4 * SIDE, 4 * SIDE)) < 2


def test_the_overlap_is_the_share_that_both_show(lesion):
    again, _ = moved(lesion, shift=(SIDE / 2, 0))
    black = np.asarray(again).copy()
    black[:, : SIDE // 2] = 0  # beyond the first picture's edge there is nothing
    found = _align(lesion, Image.fromarray(black))
    assert found.overlap == pytest.approx(0.5, abs=0.04)


def test_two_lesions_are_refused():
    drawn = [
        draw_lesion(seed, size_px=SIDE, malignant=malignant) for seed, malignant in ((4, True), (9, True), (9, False))
    ]
    for first, second in itertools.combinations(drawn, 2):
        found = _align(first, second)
        assert isinstance(found, NotAligned)
        assert found.reason is Reason.TOO_LITTLE_IN_COMMON


def test_a_mirrored_picture_is_refused(lesion):
    assert isinstance(_align(lesion, lesion.transpose(Image.Transpose.FLIP_LEFT_RIGHT)), NotAligned)


def test_a_blank_picture_is_refused(lesion):
    blank = Image.new("RGB", (SIDE, SIDE), (210, 170, 150))
    for pair in ((lesion, blank), (blank, lesion), (blank, blank)):
        assert _align(*pair) == NotAligned(Reason.TOO_LITTLE_IN_COMMON, 0)


def test_what_is_the_camera_s_does_not_align_two_lesions():
    """The same lens, its edge ragged, around two lesions: all that they have in common is not skin."""
    rng = np.random.default_rng(3)
    pictures = []
    edge = [(SIDE / 2 + r * math.cos(t), SIDE / 2 + r * math.sin(t))
            for t, r in zip(np.linspace(0, 2 * np.pi, 90), rng.uniform(118, 126, 90), strict=True)]  # fmt: skip
    lens = Image.new("L", (SIDE, SIDE), 255)
    ImageDraw.Draw(lens).polygon(edge, fill=0)
    for seed in (4, 9):
        picture = draw_lesion(seed, size_px=SIDE, malignant=True)
        picture.paste((4, 3, 3), mask=lens)
        pictures.append(picture)
    assert isinstance(_align(*pictures), NotAligned)
    again, true = moved(pictures[0], degrees=8)
    found = _align(pictures[0], again)
    assert farthest(found.matrix, true, again.size) < 1


def test_a_few_places_that_fit_by_chance_are_not_believed(lesion):
    """A strip of one picture in another: enough places agree, but the pictures do not look alike."""
    other = draw_lesion(9, size_px=SIDE, malignant=True)
    pasted = other.copy()
    pasted.paste(lesion.crop((120, 120, 180, 180)), (120, 120))
    found = _align(lesion, pasted)
    assert isinstance(found, NotAligned)
    assert found.reason is Reason.DO_NOT_LOOK_ALIKE
    assert found.places >= LEAST_PLACES


def test_with_known_pixel_sizes_growth_stays_visible(lesion):
    again, _ = moved(lesion, scale=1.1, degrees=12)
    found = _align(lesion, again, 0.02, 0.02)
    assert found.true_scale
    assert found.scale == 1
    assert found.measured_scale == pytest.approx(1 / 1.1, rel=0.002)
    assert found.degrees == pytest.approx(-12, abs=0.1)
    middle = np.asarray(found.matrix) @ (SIDE / 2, SIDE / 2, 1)
    assert middle == pytest.approx((SIDE / 2, SIDE / 2), abs=12), "they grow apart from their common middle"
    nearer = _align(lesion, again, 0.022, 0.02)
    assert nearer.scale == pytest.approx(0.02 / 0.022)


def test_pixel_sizes_that_cannot_be_right_are_not_believed(lesion):
    again, true = moved(lesion, scale=1.1)
    found = _align(lesion, again, 0.02, 0.05)
    assert not found.true_scale
    assert farthest(found.matrix, true, again.size) < 0.5


def test_the_same_pictures_give_the_same_answer(lesion):
    again, _ = moved(lesion, degrees=77, gamma=1.4)
    assert _align(lesion, again) == _align(lesion, again)


def test_without_opencv_it_says_what_to_install(lesion, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MissingExtraError, match="needs OpenCV") as raised:
        _align(lesion, lesion)
    assert raised.value.way_out == EXTRA


def _ham10000(folder):
    lesions = defaultdict(list)
    with (folder / "ham10000/HAM10000_metadata.csv").open() as stream:
        for row in csv.DictReader(stream):
            lesions[row["lesion_id"]].append(row["image_id"])

    def read(image_id):
        with Image.open(folder / f"ham10000/images/{image_id}.jpg") as opened:
            return opened.convert("RGB")

    return lesions, read


@pytest.mark.real_data
def test_real_photographs_turned_scaled_shifted_and_relit_are_found_again(data_folder):
    lesions, read = _ham10000(data_folder)
    rng = np.random.default_rng(0)
    for image_id in [lesions[name][0] for name in sorted(lesions)[::1500]]:
        picture = read(image_id)
        again, true = moved(
            picture,
            degrees=rng.uniform(-180, 180),
            scale=rng.uniform(0.75, 1.35),
            shift=tuple(rng.uniform(-15, 15, 2)),
            gain=rng.uniform(0.8, 1.1),
            gamma=rng.uniform(0.8, 1.25),
        )
        found = _align(picture, again)
        assert isinstance(found, Alignment), image_id
        assert farthest(found.matrix, true, again.size) < 1, image_id


@pytest.mark.real_data
def test_real_photographs_of_one_lesion_mostly_align_and_of_two_never(data_folder):
    lesions, read = _ham10000(data_folder)
    several = [lesions[name] for name in sorted(lesions) if len(lesions[name]) > 1][::320]
    assert len(several) >= 6
    same = [_align(read(one[0]), read(one[1])) for one in several]
    assert sum(isinstance(found, Alignment) for found in same) >= len(several) - 2
    for one, other in itertools.pairwise(several):
        assert isinstance(_align(read(one[0]), read(other[0])), NotAligned)
