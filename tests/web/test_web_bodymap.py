"""The body map's regions, and the reading of what its control sends."""

import pytest

from dermaloop.cases.words import View
from dermaloop.core.manifest_row import SITES
from dermaloop.web import bodymap, translation
from dermaloop.web.bodymap import HEIGHT, WIDTH, outlines, read_place, regions, smooth
from dermaloop.web.errors import WebError

ALL = [region for view in View for region in regions(view)]


def _inside(outline, x, y):
    """Even-odd rule."""
    crossings = 0
    for (ax, ay), (bx, by) in zip(outline, (*outline[1:], outline[0]), strict=True):
        if (ay <= y) != (by <= y) and ax + (y - ay) / (by - ay) * (bx - ax) > x:
            crossings += 1
    return crossings % 2 == 1


def _area(outline):
    pairs = zip(outline, (*outline[1:], outline[0]), strict=True)
    return abs(sum(ax * by - bx * ay for (ax, ay), (bx, by) in pairs)) / 2


def test_every_region_belongs_to_a_site_of_the_manifest_and_every_precise_site_has_regions():
    assert {region.site for region in ALL} == set(SITES) - {"torso"}  # 'torso' is what older data call all four


def test_names_and_labels_are_unique():
    assert len({region.name for region in ALL}) == len(ALL)
    for code in translation.codes():
        with translation.speaking(code):
            assert len({(region.view, region.label) for region in ALL}) == len(ALL)


@pytest.mark.parametrize("region", ALL, ids=lambda region: region.name)
def test_a_region_holds_its_centre_and_lies_on_the_figure(region):
    x, y = region.centre
    assert _inside(region.outline, x * WIDTH, y * HEIGHT)
    assert all(0 <= px <= WIDTH and 0 <= py <= HEIGHT for px, py in region.outline)
    assert _area(region.outline) > 60


@pytest.mark.parametrize("view", list(View))
def test_left_and_right_are_the_patients_and_mirror_each_other(view):
    by_name = {region.name: region for region in regions(view)}
    sides = [region for region in by_name.values() if region.side == "right"]
    assert len(sides) >= 10
    for right in sides:
        left = by_name[right.name.removesuffix("right") + "left"]
        assert (right.centre[0] < 0.5) == (view is View.FRONT)
        assert left.centre[0] == pytest.approx(1 - right.centre[0], abs=1e-3)
        assert (left.site, left.part) == (right.site, right.part)


@pytest.mark.parametrize("view", list(View))
def test_the_regions_cover_the_figure(view):
    """A click on the figure hits a region, wherever it is."""
    shapes = [[tuple(map(float, pair.split())) for pair in path[1:-1].split("L")] for path in outlines()]
    missed = on = 0
    for x in range(2, int(WIDTH), 4):
        for y in range(2, int(HEIGHT), 4):
            if not any(_inside(shape, x, y) for shape in shapes):
                continue
            on += 1
            missed += not any(_inside(region.outline, x, y) for region in regions(view))
    assert on > 900
    assert missed / on < 0.005


def test_what_lies_over_another_region_comes_later():
    names = [region.name for region in regions(View.FRONT)]
    assert names.index("front-mouth") > names.index("front-face")
    assert names.index("front-genital") > names.index("front-thigh-left")
    assert names.index("front-flank-left") > names.index("front-abdomen-left")


def test_a_smooth_line_goes_through_its_points():
    points = [(0.0, 0.0), (10.0, 5.0), (12.0, 20.0)]
    line = smooth(points)
    assert all(any(abs(x - a) + abs(y - b) < 1e-9 for x, y in line) for a, b in points)
    assert len(line) > len(points)


def test_nothing_chosen_is_no_place():
    assert read_place({}) is None
    assert read_place({"region": "", "x": "0.5", "y": "0.5"}) is None


def test_without_a_script_the_region_alone_is_sent():
    place = read_place({"region": "back-sole-left"})
    region = next(one for one in ALL if one.name == "back-sole-left")
    assert (place.view, place.site, place.region) == (View.BACK, "palms/soles", "back-sole-left")
    assert (place.x, place.y) == region.centre


def test_with_a_point_the_point_is_taken_and_the_site_is_the_regions():
    form = {"region": "front-chest-right", "view": "back", "x": "0.4", "y": "0.25", "site": "lower extremity"}
    assert read_place(form) == bodymap.Place(View.FRONT, 0.4, 0.25, "anterior torso", "front-chest-right")


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({"region": "front-tail"}, "region"),
        ({"region": "front-face", "x": "1.2", "y": "0.1"}, "x"),
        ({"region": "front-face", "x": "0.5", "y": "-0.1"}, "y"),
        ({"region": "front-face", "x": "nan", "y": "0.1"}, "x"),
        ({"region": "front-face", "x": "left", "y": "0.1"}, "x"),
    ],
)
def test_what_is_no_place_is_refused(form, field):
    with pytest.raises(WebError) as caught:
        read_place(form)
    assert (caught.value.code, caught.value.field) == ("bad_parameter", field)
