"""The quality measures see what they are named after, and little else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFilter

from dermaloop.core import manifest, quality
from dermaloop.core.preprocess import Preprocess, network_input
from dermaloop.core.synthetic import draw_lesion

SIDE = quality.SIDE_PX


def skin(*, seed: int = 0) -> Image.Image:
    """Skin without a lesion, hair or ruler: even colour and a little grain."""
    grain = np.random.default_rng(seed).normal(0, 2, (SIDE, SIDE, 1))
    return Image.fromarray(np.clip(np.array([214, 168, 142]) + grain, 0, 255).astype(np.uint8))


def test_every_measure_has_its_column_in_the_manifest():
    measured = quality.measure(draw_lesion(1))
    assert tuple(measured) == quality.MEASURES
    assert {f"quality_{name}" for name in measured} <= set(manifest.SCHEMA.names)
    assert tuple(quality.measure_fast(np.asarray(skin()))) == quality.FAST


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.booleans(), st.sampled_from([64, 224, 300]))
def test_measures_are_shares(seed, malignant, size_px):
    for value in quality.measure(draw_lesion(seed, malignant=malignant, size_px=size_px)).values():
        assert 0 <= value <= 1
        assert isinstance(value, float)


@given(st.integers(12, 80), st.integers(0, 255))
def test_a_blank_picture_of_any_size_has_nothing_sharp_in_it(side, level):
    measured = quality.measure_fast(np.full((side, side, 3), level, np.uint8))
    assert measured["blur"] == 1.0
    assert measured["brightness"] == pytest.approx(level / 255, abs=0.01)
    assert measured["dark_share"] == (1.0 if level < quality.DARK else 0.0)
    assert measured["bright_share"] == (1.0 if level > quality.BRIGHT else 0.0)


def test_blur_rises_with_blur_and_falls_with_noise():
    lesion = draw_lesion(1, size_px=SIDE)
    radii = [0, 0.7, 1.5, 3]
    values = [quality.measure(lesion.filter(ImageFilter.GaussianBlur(radius)))["blur"] for radius in radii]
    assert values == sorted(values)
    assert values[-1] - values[0] > 0.3
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8))
    assert quality.measure(noise)["blur"] < values[0]


def test_blur_along_one_direction_counts():
    """A hand that moved sideways leaves edges of the other direction sharp: the worse direction decides."""
    lesion = draw_lesion(1, size_px=SIDE)
    values = np.asarray(lesion).astype(float)
    moved = sum(np.roll(values, shift, axis=1) for shift in range(9)) / 9
    blur = quality.measure(Image.fromarray(moved.astype(np.uint8)))["blur"]
    assert blur > quality.measure(lesion)["blur"] + 0.1


def test_blur_agrees_with_its_definition():
    """Crété's measure, computed the long way: average over 9 pixels, then compare the steps between neighbours."""
    luma = np.asarray(draw_lesion(3, size_px=64).convert("L")).astype(float)
    worst = 0.0
    for values in (luma, luma.T):
        means = np.stack([values[i : i + 9].mean(axis=0) for i in range(len(values) - 8)])
        step = np.abs(np.diff(values, axis=0))[4:-4]
        smoothed = np.abs(np.diff(means, axis=0))
        lost = np.maximum(step - smoothed, 0)
        worst = max(worst, (step.sum() - lost.sum()) / step.sum())
    rgb = np.asarray(draw_lesion(3, size_px=64))
    assert quality.measure_fast(rgb)["blur"] == pytest.approx(worst, abs=1e-9)


def test_the_same_lesion_measures_alike_at_any_size():
    large = draw_lesion(2, size_px=1200)
    small = quality.measure(large.resize((256, 256), Image.Resampling.LANCZOS))
    for name, value in quality.measure(large).items():
        assert small[name] == pytest.approx(value, abs=0.06), name


def test_fast_measures_are_those_of_the_network_input():
    lesion = draw_lesion(4, size_px=500)
    fast = quality.measure_fast(network_input(lesion, Preprocess(SIDE)))
    assert {name: quality.measure(lesion)[name] for name in quality.FAST} == fast


def test_clean_skin_has_no_border_hair_ruler_or_ink():
    measured = quality.measure(skin())
    for name in ("border_share", "hair_share", "ruler_share", "ink_share", "dark_share", "bright_share"):
        assert measured[name] == 0, name


def test_a_vignette_is_a_border_and_a_dark_lesion_is_not():
    picture = skin()
    ImageDraw.Draw(picture).ellipse((80, 80, 144, 144), fill=(20, 12, 10))
    measured = quality.measure(picture)
    assert measured["border_share"] == 0
    assert measured["dark_share"] == pytest.approx(np.pi * 32**2 / SIDE**2, rel=0.05)
    round_view = Image.composite(picture, Image.new("RGB", picture.size), Image.new("L", picture.size))
    mask = Image.new("L", picture.size)
    ImageDraw.Draw(mask).ellipse((12, 12, SIDE - 13, SIDE - 13), fill=255)
    round_view.paste(picture, mask=mask)
    expected = 1 - np.pi * (SIDE / 2 - 12) ** 2 / SIDE**2
    assert quality.measure(round_view)["border_share"] == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("angle", [0, 20, 45, 70, 90, 110, 135, 160])
def test_hair_is_seen_in_every_direction_and_measured(angle):
    picture = skin()
    pen = ImageDraw.Draw(picture)
    across = np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
    aside = np.array([-across[1], across[0]])
    for offset in (-50, -10, 40):
        middle = np.array([SIDE / 2, SIDE / 2]) + offset * aside
        pen.line([tuple(middle - 70 * across), tuple(middle + 70 * across)], fill=(50, 35, 30), width=2)
    drawn = float((np.asarray(picture.convert("L")) < 100).mean())
    assert quality.measure(picture)["hair_share"] == pytest.approx(drawn, rel=0.5)


def test_dots_and_patches_are_not_hair():
    picture = skin()
    pen = ImageDraw.Draw(picture)
    for x, y in np.random.default_rng(1).integers(10, SIDE - 10, (60, 2)):
        pen.ellipse((x - 2, y - 2, x + 2, y + 2), fill=(70, 45, 40))
    pen.ellipse((60, 60, 160, 160), fill=(90, 55, 40))
    assert quality.measure(picture)["hair_share"] < 0.002


def with_ruler(angle: float, gap: float) -> Image.Image:
    picture = skin()
    pen = ImageDraw.Draw(picture)
    across = np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
    aside = np.array([-across[1], across[0]])
    middle = np.array([SIDE / 2, SIDE / 2])
    for tick in range(-5, 6):
        at = middle + tick * gap * across
        pen.line([tuple(at - 7 * aside), tuple(at + 7 * aside)], fill=(40, 40, 40), width=2)
    return picture


@pytest.mark.parametrize("angle", [0, 7, 30, 45, 85, 90, 120, 160])
@pytest.mark.parametrize("gap", [8, 14.5])
def test_a_ruler_is_seen_in_every_direction(angle, gap):
    assert quality.measure(with_ruler(angle, gap))["ruler_share"] > 0.01


def test_marks_at_random_distances_are_no_ruler():
    picture = skin()
    pen = ImageDraw.Draw(picture)
    for x in np.random.default_rng(3).choice(np.arange(10, SIDE - 10), 14, replace=False).tolist():
        pen.line([(x, 100), (x, 114)], fill=(40, 40, 40), width=1)
    assert quality.measure(picture)["ruler_share"] == 0


@pytest.mark.parametrize("colour", [(88, 60, 150), (40, 70, 160), (30, 140, 90)], ids=["violet", "blue", "green"])
def test_ink_is_seen(colour):
    picture = skin()
    ImageDraw.Draw(picture).rectangle((0, 0, SIDE, 21), fill=colour)
    assert quality.measure(picture)["ink_share"] == pytest.approx(22 / SIDE, abs=0.01)


@pytest.mark.parametrize(
    "colour", [(214, 168, 142), (120, 72, 50), (60, 36, 30), (190, 40, 50), (250, 250, 250), (92, 94, 104)]
)
def test_skin_pigment_blood_glare_and_grey_veil_are_not_ink(colour):
    picture = Image.new("RGB", (SIDE, SIDE), colour)
    assert quality.measure(picture)["ink_share"] == 0


def test_a_squashed_picture_is_measured_on_the_square_that_the_network_sees():
    wide = draw_lesion(1, size_px=600).crop((0, 75, 600, 525))
    squashed = wide.resize((450, 450))
    straight, restored = quality.measure(wide), quality.measure(squashed, pixel_aspect=4 / 3)
    assert restored["brightness"] == pytest.approx(straight["brightness"], abs=0.005)
    assert restored["blur"] == pytest.approx(straight["blur"], abs=0.05)


class TestProblems:
    def test_within_limits_is_no_problem(self):
        limits = {"blur": (0.1, 0.5), "brightness": (None, None), "unheard_of": (0.0, 0.0)}
        assert quality.problems({"blur": 0.5, "brightness": 2.0}, limits) == []

    @pytest.mark.parametrize(
        ("name", "value", "code", "limit"),
        [
            ("blur", 0.6, "blurred", 0.5),
            ("blur", 0.05, "noisy", 0.1),
            ("brightness", 0.05, "underexposed", 0.1),
            ("brightness", 0.6, "overexposed", 0.5),
            ("dark_share", 0.6, "underexposed", 0.5),
            ("bright_share", 0.6, "overexposed", 0.5),
            ("border_share", 0.6, "border", 0.5),
            ("hair_share", 0.6, "hair", 0.5),
            ("ruler_share", 0.6, "ruler", 0.5),
            ("ink_share", 0.6, "ink", 0.5),
            ("another", 0.6, "another_high", 0.5),
            ("another", 0.05, "another_low", 0.1),
        ],
    )
    def test_each_measure_out_of_range_has_its_name_and_words(self, name, value, code, limit):
        (reason,) = quality.problems({name: value}, {name: (0.1, 0.5)})
        assert (reason.code, reason.value, reason.limit) == (code, value, limit)
        assert reason.text.endswith(".")

    def test_one_name_is_given_once(self):
        found = quality.problems(
            {"brightness": 0.01, "dark_share": 0.9}, {"brightness": (0.1, None), "dark_share": (None, 0.5)}
        )
        assert [reason.code for reason in found] == ["underexposed"]


@pytest.mark.real_data
def test_ordinary_real_pictures_are_far_from_alarming(data_folder):
    paths = sorted((data_folder / "ham10000").rglob("*.jpg"))[:60]
    assert paths
    measured = [quality.measure(Image.open(path).convert("RGB")) for path in paths]
    for name, most in {
        "blur": 0.6,
        "hair_share": 0.05,
        "ink_share": 0.05,
        "ruler_share": 0.02,
        "border_share": 0.1,
    }.items():
        assert np.median([one[name] for one in measured]) < most


def test_colour_shares_follow_the_white_balance_and_not_the_light():
    picture = np.asarray(skin())
    red, blue = quality.colour_shares(picture)
    mean = picture.reshape(-1, 3).mean(axis=0)
    assert (red, blue) == pytest.approx((mean[0] / mean.sum(), mean[2] / mean.sum()))
    darker = (picture * 0.5).round().astype(np.uint8)
    assert quality.colour_shares(darker) == pytest.approx((red, blue), abs=0.003)
    warmer = np.clip(picture * np.asarray([1.1, 1.0, 0.9]), 0, 255).astype(np.uint8)
    assert quality.colour_shares(warmer)[0] > red + 0.02
    assert quality.colour_shares(np.zeros((16, 16, 3), np.uint8)) == (1 / 3, 1 / 3)


@pytest.mark.parametrize("side", [257, 258, 400])
def test_colour_shares_hold_for_large_white_squares(side):
    """The sums down the columns are taken in 16 bits as long as they fit."""
    white = np.full((side, side, 3), (255, 255, 0), np.uint8)
    assert quality.colour_shares(white) == (0.5, 0.0)


def test_measures_of_the_luma_are_those_of_the_square():
    lesion = skin()
    assert quality.measure_luma(lesion.convert("L")) == quality.measure_fast(np.asarray(lesion))
