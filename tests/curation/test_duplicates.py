import io

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from dermaloop.core.synthetic import draw_lesion
from dermaloop.curation import duplicates
from dermaloop.curation.buckets import turned as turned_by
from dermaloop.curation.duplicates import Pair

SIDE = 160


def lesion(seed):
    return draw_lesion(seed, size_px=SIDE, malignant=seed % 2 == 0)


def thumbnails(*pictures):
    return np.stack([duplicates.thumbnail(picture) for picture in pictures])


def recompressed(picture, quality):
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=quality)
    return Image.open(stream).convert("RGB")


def in_round_field(picture, radius):
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    lit = np.hypot(x, y) < radius
    return Image.fromarray(np.where(lit[..., None], np.asarray(picture), 6).astype(np.uint8))


@pytest.fixture(scope="module")
def others():
    """Forty different lesions."""
    return [lesion(seed) for seed in range(100, 140)]


TURNS = {
    "mirrored": Image.Transpose.FLIP_LEFT_RIGHT,
    "upside down": Image.Transpose.FLIP_TOP_BOTTOM,
    "quarter turn": Image.Transpose.ROTATE_90,
    "half turn": Image.Transpose.ROTATE_180,
    "three quarters": Image.Transpose.ROTATE_270,
    "transposed": Image.Transpose.TRANSPOSE,
    "transverse": Image.Transpose.TRANSVERSE,
}
CHANGES = {
    "the same": lambda picture: picture,
    "half the size": lambda picture: picture.resize((80, 80)),
    "twice the size": lambda picture: picture.resize((320, 320)),
    "strongly compressed": lambda picture: recompressed(picture, 30),
    "a little cut": lambda picture: picture.crop((3, 3, SIDE, SIDE)),
    "brighter": lambda picture: ImageEnhance.Brightness(picture).enhance(1.15),
    "other colours": lambda picture: ImageEnhance.Color(picture).enhance(0.6),
    **{name: lambda picture, how=how: picture.transpose(how) for name, how in TURNS.items()},
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_changed_copy_is_found_among_others(others, change, seed):
    found = duplicates.find(thumbnails(*others, lesion(seed), CHANGES[change](lesion(seed))))
    assert [(pair.first, pair.second) for pair in found] == [(40, 41)]


@pytest.mark.parametrize(("right", "down"), [(7, 0), (0, 7), (-6, 6)])
def test_the_second_check_forgives_a_small_shift(right, down):
    wide = draw_lesion(11, size_px=180)
    one = wide.crop((10, 10, 170, 170))
    other = wide.crop((10 + right, 10 + down, 170 + right, 170 + down))
    pictures = thumbnails(one, other, draw_lesion(12, size_px=160))
    shifted, stranger = duplicates.similarity(pictures, np.array([[0, 1, 0], [0, 2, 0]])).tolist()
    assert shifted > 0.8
    assert stranger < 0.5


def test_different_lesions_are_not_duplicates(others):
    assert duplicates.find(thumbnails(*others)) == []


def test_the_same_round_field_does_not_make_duplicates(others):
    fields = [in_round_field(picture, 45) for picture in others]
    assert duplicates.find(thumbnails(*fields)) == []
    copy = recompressed(fields[7], 60)
    assert [(pair.first, pair.second) for pair in duplicates.find(thumbnails(*fields, copy))] == [(7, 40)]


def test_pictures_without_content_take_no_part():
    blank = [Image.new("RGB", (SIDE, SIDE), colour) for colour in ("white", "white", "black", "#c0a090")]
    assert duplicates.find(thumbnails(*blank)) == []


def test_nothing_to_compare():
    assert duplicates.find(np.empty((0, 64, 64), np.uint8)) == []
    assert duplicates.find(thumbnails(lesion(1))) == []


def test_a_squashed_copy_is_the_same_picture_once_its_aspect_is_known():
    wide = draw_lesion(5, size_px=240).crop((0, 30, 240, 210))  # 4:3
    squashed = wide.resize((180, 180))
    cut = wide.crop((30, 0, 210, 180))
    pair = np.stack([duplicates.thumbnail(squashed, pixel_aspect=4 / 3), duplicates.thumbnail(cut)])
    assert [found.similarity > 0.95 for found in duplicates.find(pair)] == [True]


@pytest.mark.parametrize("orientation", range(1, 8))
def test_the_orientation_told_is_the_one_that_undoes_the_turn(others, orientation):
    grey = thumbnails(*others[:9])
    turned = np.ascontiguousarray(turned_by(grey[4:5], orientation))
    (pair,) = duplicates.find(np.concatenate([grey, turned]))
    undone = turned_by(turned[0], pair.orientation)
    assert np.array_equal(undone, grey[4])


def test_groups_are_chains_named_by_their_smallest_key():
    pairs = [Pair(0, 1, 1, 0), Pair(1, 3, 1, 0), Pair(4, 5, 1, 0)]
    assert duplicates.group_names(["s/d", "s/b", "s/c", "s/a", "t/1", "s/z"], pairs) == [
        "s/a",
        "s/a",
        "",
        "s/a",
        "s/z",
        "s/z",
    ]


@pytest.mark.real_data
def test_known_pairs_of_the_real_data_are_found(data_folder):
    pairs = [
        ("pad_ufes_20/images/PAT_759_1433_914.jpg", "pad_ufes_20/images/PAT_759_1538_566.jpg"),
        ("ham10000/images/ISIC_0031554.jpg", "ham10000/images/ISIC_0025472.jpg"),
        ("ham10000/images/ISIC_0029323.jpg", "ham10000/images/ISIC_0031171.jpg"),
    ]
    strangers = sorted((data_folder / "ham10000" / "images").iterdir())[:300]
    pictures = [Image.open(data_folder / name).convert("RGB") for pair in pairs for name in pair]
    found = duplicates.find(thumbnails(*pictures, *(Image.open(path).convert("RGB") for path in strangers)))
    assert {(0, 1), (2, 3), (4, 5)} <= {(pair.first, pair.second) for pair in found}
