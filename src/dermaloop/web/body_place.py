"""Places on the body map, read back from records and from forms.

Owns the way from a stored point to its region, and from a form to a place that is consistent. Refuses to draw: the
figure is `web.bodymap`'s.
"""

from __future__ import annotations

from collections.abc import Mapping

from dermaloop.cases.records import Lesion
from dermaloop.web.bodymap import HEIGHT, WIDTH, Place, Region, Shape, read_place, regions
from dermaloop.web.clinical import site_name


def region_at(view: str, x: float, y: float, site: str = "") -> Region:
    """The region that a point lies in; the nearest one's where it lies in none.

    Args:
        view: Side of the figure.
        x: Fraction of the figure's width.
        y: Fraction of its height.
        site: Only regions of this site, where there are any.
    """
    known = [region for region in regions(view) if region.site == site] or list(regions(view))
    point = (x * WIDTH, y * HEIGHT)
    inside = [region for region in known if contains(region.outline, point)]
    if inside:
        return inside[-1]  # a later one lies over an earlier one
    return min(known, key=lambda region: (region.centre[0] - x) ** 2 + (region.centre[1] - y) ** 2)


def contains(outline: Shape, point: tuple[float, float]) -> bool:
    """Whether a point lies in a polygon. Source: Shimrat 1962, even-odd rule."""
    x, y = point
    inside = False
    for a, b in zip(outline, (*outline[1:], outline[0]), strict=True):
        if (a[1] <= y) != (b[1] <= y) and x < a[0] + (y - a[1]) / (b[1] - a[1]) * (b[0] - a[0]):
            inside = not inside
    return inside


def place_of(lesion: Lesion) -> Place | None:
    """Where a recorded lesion lies, as the form control takes it; None where no point is recorded."""
    if lesion.view is None or lesion.x is None or lesion.y is None:
        return None
    region = region_at(lesion.view, lesion.x, lesion.y, lesion.site)
    return Place(lesion.view, lesion.x, lesion.y, lesion.site, region.name)


def place_name(lesion: Lesion) -> str:
    """Where a recorded lesion lies, in words: the region of the body map, else the body site, else nothing."""
    place = place_of(lesion)
    return region_at(place.view, place.x, place.y, place.site).label if place else site_name(lesion.site)


def read_consistent(form: Mapping[str, str]) -> Place | None:
    """The place that the form control sent.

    Without a script only the region's list changes while the old point is sent along: the region decides then.

    Raises:
        WebError: `bad_parameter`: as `read_place` says.
    """
    place = read_place(form)
    if place is None or region_at(place.view, place.x, place.y).site == place.site:
        return place
    return read_place({"region": place.region})
