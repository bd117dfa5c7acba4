import numpy as np
import pytest
from PIL import Image

from dermaloop.core.synthetic import draw_lesion
from dermaloop.evaluation import stress
from dermaloop.evaluation.stress import PERTURBATIONS
from support.cohort import cohort

LESION = draw_lesion(3, size_px=120, malignant=True)
EACH = pytest.mark.parametrize("perturbation", PERTURBATIONS.values(), ids=PERTURBATIONS)
KINDS = {"rotation", "flip", "jpeg", "blur", "brightness", "contrast", "crop", "white_balance", "noise"}


def test_every_kind_that_is_promised_is_there():
    assert {perturbation.kind for perturbation in PERTURBATIONS.values()} == KINDS


@EACH
def test_it_changes_the_picture_repeatably_and_keeps_its_size_and_mode(perturbation):
    wide = LESION.crop((0, 10, 120, 100))
    before = np.asarray(wide).copy()
    changed = perturbation.apply(wide, 5)
    assert changed.mode == "RGB"
    assert sorted(changed.size) == sorted(wide.size)
    assert changed.size == wide.size or perturbation.name in ("rotate_90", "rotate_270")
    np.testing.assert_array_equal(np.asarray(changed), np.asarray(perturbation.apply(wide, 5)))
    assert changed.size != wide.size or not np.array_equal(np.asarray(changed), before)
    np.testing.assert_array_equal(np.asarray(wide), before)  # the picture given is left alone


@EACH
def test_it_stays_the_same_lesion(perturbation):
    changed = np.asarray(perturbation.apply(LESION, 0), dtype=float)
    if perturbation.exact:
        assert np.sort(changed.ravel()).tolist() == np.sort(np.asarray(LESION).ravel()).tolist()
    assert np.abs(changed.mean() - np.asarray(LESION).mean()) < 0.3 * np.asarray(LESION).mean()


def test_a_turned_picture_has_no_black_corners():
    plain = Image.new("RGB", (60, 40), (200, 150, 140))
    assert np.asarray(stress.rotate(plain, 33)).min() >= 139


def test_a_full_turn_in_two_halves_gives_the_picture_back():
    twice = stress.rotate(stress.rotate(LESION, 180), 180)
    assert np.abs(np.asarray(twice, dtype=int) - np.asarray(LESION, dtype=int)).max() <= 1


def test_crop_enlarges_the_middle():
    dot = Image.new("RGB", (100, 100))
    dot.paste((255, 255, 255), (40, 40, 60, 60))
    share = np.asarray(stress.crop(dot, 0.5)).mean() / np.asarray(dot).mean()
    assert share == pytest.approx(4.0, rel=0.05)


def test_nothing_changed_flips_nothing():
    rows = cohort(100)
    found = stress.compare(rows, rows.malignant_probability, rows.assessed, resamples=100)
    assert found["flipped"]["value"] == 0
    assert 0 < found["flipped"]["high"] < 0.1  # none of 50 lesions is not yet never
    assert found["newly_declined"]["value"] == 0
    assert (found["auc_change"]["value"], found["auc_change"]["low"], found["auc_change"]["high"]) == (0, 0, 0)


def test_flips_declines_and_the_change_in_auc_are_counted():
    rows = cohort(200)
    other = rows.malignant_probability.copy()
    other[:20] = np.where(rows.refer[:20], 0.0, 1.0)
    other[30] = np.nan  # could not be read any more: not counted
    assessed = np.arange(200) >= 10
    found = stress.compare(rows, other, assessed, resamples=200)
    assert found["n"] == 199
    assert found["flipped"]["value"] == pytest.approx(20 / 199, abs=1e-6)
    assert found["newly_declined"]["value"] == pytest.approx(10 / 199, abs=1e-6)
    assert found["auc_change"]["high"] < 0


def test_overall_counts_the_pictures_that_anything_flips():
    rows = cohort(100)
    first, second = np.arange(100) < 10, np.arange(100) < 20
    found = stress.overall({"a": first, "b": second}, rows, resamples=100)
    assert found["mean_flipped"]["value"] == pytest.approx(0.15)
    assert found["ever_flipped"]["value"] == pytest.approx(0.20)
