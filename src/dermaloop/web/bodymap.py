"""The body map: a figure from the front and from the back, in named regions that each belong to a body site.

Owns the drawing (outlines as control points, our own), the regions' names and sites, and the reading of what the form
control sends. Refuses to know records. Coordinates of a place are fractions of the figure's box, (0, 0) its upper left;
left and right are the patient's. The trade-off: one neutral figure for everyone, coarse enough to be drawn in a few
numbers; a place is a point on it, the site follows from the region that the point lies in.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from dermaloop.cases.words import View
from dermaloop.web.errors import WebError
from dermaloop.web.translation import gettext as _
from dermaloop.web.translation import gettext_noop as N_  # noqa: N812 - the name that extraction looks for

WIDTH, HEIGHT = 160.0, 444.0
_MIDDLE = WIDTH / 2
_ON_THE_LINE = 1e-6
_STEPS = 5
"""Points per segment of a smooth line."""

Point = tuple[float, float]
Shape = tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Region:
    """A named part of the figure.

    Attributes:
        name: Stable, e.g. `front-chest-right`.
        view: The side of the figure.
        part: Its name without its side, to be translated.
        side: `left`, `right` (the patient's) or empty for one that lies in the middle.
        site: One of `core.manifest.SITES`.
        outline: Polygon, in units of the drawing.
    """

    name: str
    view: View
    part: str
    side: str
    site: str
    outline: Shape

    @property
    def label(self) -> str:
        """Its name in the reader's language, e.g. 'Chest, right'."""
        part = _(self.part)
        if self.side == "right":
            return _("%(part)s, right") % {"part": part}
        return _("%(part)s, left") % {"part": part} if self.side else part

    @property
    def path(self) -> str:
        """The outline as the `d` of an SVG path."""
        return path_of(self.outline)

    @property
    def centre(self) -> Point:
        """A point inside of it, in fractions of the box: where a choice by keyboard lies."""
        x, y = _inside(self.outline)
        return round(x / WIDTH, 4), round(y / HEIGHT, 4)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a lesion lies: a point of the figure, and the site that follows from it."""

    view: View
    x: float
    y: float
    site: str
    region: str


def path_of(shape: Iterable[Point]) -> str:
    """A closed polygon as the `d` of an SVG path."""
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in shape) + "Z"


# Half of the figure: (distance from the middle, height). The other half is its mirror image.
_HEAD = ((0, 9), (9, 10.5), (15.6, 17), (18, 29), (20.4, 32.5), (20, 41), (17.2, 45), (13.4, 57), (6.6, 65.4), (0, 67))
_NECK = ((0, 58), (11, 58), (10, 68), (11.6, 77), (0, 85))
_SIDE = ((30, 122), (28.6, 140), (25, 168), (26, 186), (30, 204), (31.4, 213))
_SHOULDER_LINE = ((11.6, 77), (18, 82), (30, 87))
_TORSO = (*_SHOULDER_LINE, *_SIDE, (1.5, 238), (0, 238), (0, 85))
_ARM_OUT = ((30, 87), (38, 90), (43.4, 100), (46, 118), (48.6, 140), (52, 162), (55.6, 178), (59.6, 200), (62, 222))
_ARM_IN = ((53, 224), (48.6, 206), (44.2, 188), (41, 170), (37.4, 150), (33.6, 134), (30, 122))
_HAND = (
    (62, 222), (67, 229), (72.4, 239), (73.4, 245.4), (70.6, 246), (66.8, 241.4), (67, 252), (65, 265), (60.4, 269.6),
    (56, 265), (53.2, 250), (52, 236), (53, 224),
)  # fmt: skip
_LEG_OUT = (
    (31.4, 213), (33, 230), (32.8, 252), (30.6, 282), (27.6, 306), (26.4, 320), (27.6, 338), (27.2, 356), (23.6, 384),
    (20.6, 402), (20.4, 410),
)  # fmt: skip
_LEG_IN = (
    (10.6, 410), (9.6, 398), (8.2, 374), (6.4, 352), (7.6, 332), (8, 319), (6, 296), (3.4, 270), (1.5, 238),
)  # fmt: skip
_FOOT = ((20.4, 410), (22.4, 418), (27.4, 427), (28, 433.6), (23, 436), (13, 436), (9.4, 432), (9.4, 421), (10.6, 410))
_GENITAL = ((0, 219), (9, 222), (6, 238), (3, 247), (0, 248))
_MOUTH = ((0, 52), (5, 52.6), (8, 55), (5, 58), (0, 59))

_FLANK_FROM, _FLANK_TO, _BUTTOCK_FROM, _BUTTOCK_TO = 126.0, 208.0, 200.0, 247.0

Part = tuple[str, str, str, list[Point]]
"""Name, words, site, and one half's outline."""


def smooth(points: Iterable[Point]) -> list[Point]:
    """An open line through points, rounded (a Catmull-Rom spline). Source: Catmull and Rom 1974."""
    known = list(points)
    line: list[Point] = []
    padded = [known[0], *known, known[-1]]
    for a, b, c, d in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        for step in range(_STEPS):
            t = step / _STEPS
            line.append((_spline(a[0], b[0], c[0], d[0], t), _spline(a[1], b[1], c[1], d[1], t)))
    return [*line, known[-1]]


def _spline(a: float, b: float, c: float, d: float, t: float) -> float:
    return 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)


def _cut(shape: Iterable[Point], keep: Callable[[Point], float]) -> list[Point]:
    """The part of a polygon where `keep` is at least 0; `keep` is linear in the point (Sutherland-Hodgman)."""
    points = list(shape)
    kept: list[Point] = []
    for before, here in zip([points[-1], *points], points, strict=False):
        there, now = keep(before), keep(here)
        if there * now < 0:
            share = there / (there - now)
            kept.append((before[0] + share * (here[0] - before[0]), before[1] + share * (here[1] - before[1])))
        if now >= 0:
            kept.append(here)
    return kept


def _below(height: float) -> Callable[[Point], float]:
    return lambda point: point[1] - height


def _above(height: float) -> Callable[[Point], float]:
    return lambda point: height - point[1]


def _outside(point: Point) -> float:
    """At least 0 beyond the line along the side of the trunk."""
    return point[0] - (23.5 - 0.05 * (point[1] - _FLANK_FROM))


@functools.cache
def _halves() -> dict[str, list[Point]]:
    """The outlines of one half of the figure, smooth."""
    return {
        "head": smooth(_HEAD),
        "neck": list(_NECK),
        "torso": [*smooth(_SHOULDER_LINE), *smooth(_SIDE), *_TORSO[-3:]],
        "arm": [*smooth(_ARM_OUT), *smooth(_ARM_IN)],
        "hand": smooth(_HAND),
        "leg": [*smooth(_LEG_OUT), *smooth(_LEG_IN)],
        "foot": smooth(_FOOT),
    }


def _whole(half: Iterable[Point]) -> Shape:
    """Half a shape that lies on the middle line, and its mirror image, as one."""
    right = list(half)
    top = min(range(len(right)), key=lambda one: (right[one][0] > _ON_THE_LINE, right[one][1]))
    right = right[top:] + right[:top]  # from the middle line above, along the outside, to the middle line below
    return _placed([*right, *((-x, y) for x, y in reversed(right) if x > _ON_THE_LINE)])


def _placed(shape: Iterable[Point], *, mirrored: bool = False) -> Shape:
    return tuple((_MIDDLE - x if mirrored else _MIDDLE + x, y) for x, y in shape)


def _torso_parts(view: View) -> Iterable[Part]:
    torso, leg = _halves()["torso"], _halves()["leg"]
    if view is View.FRONT:
        yield "chest", N_("Chest"), "anterior torso", _cut(torso, _above(142))
        yield "abdomen", N_("Abdomen and groin"), "anterior torso", _cut(torso, _below(142))
    else:
        yield "upper-back", N_("Upper back"), "posterior torso", _cut(torso, _above(152))
        yield "lower-back", N_("Lower back"), "posterior torso", _cut(_cut(torso, _below(152)), _above(_BUTTOCK_FROM))
        # The trunk ends in a slanting edge, where the leg begins: the buttock lies on both sides of it.
        upper, lower = _cut(torso, _below(_BUTTOCK_FROM)), _cut(leg, _above(_BUTTOCK_TO))
        edge = upper.index(_SIDE[-1])
        yield "buttock", N_("Buttock"), "posterior torso", [*upper[:edge], *lower, *upper[edge + 2 :]]
    # Over the others, as mouth and genitals are.
    yield (
        "flank",
        N_("Flank"),
        "lateral torso",
        _cut(_cut(_cut(torso, _outside), _below(_FLANK_FROM)), _above(_FLANK_TO)),
    )


def _limb_parts(view: View) -> Iterable[Part]:
    half = _halves()
    arm, leg, front = half["arm"], half["leg"], view is View.FRONT
    yield "shoulder", N_("Shoulder"), "upper extremity", _cut(arm, _above(112))
    yield "upper-arm", N_("Upper arm"), "upper extremity", _cut(_cut(arm, _below(112)), _above(162))
    yield "forearm", N_("Forearm"), "upper extremity", _cut(arm, _below(162))
    if front:
        yield "palm", N_("Palm"), "palms/soles", half["hand"]
    else:
        yield "hand", N_("Back of the hand"), "upper extremity", half["hand"]
    thigh = leg if front else _cut(leg, _below(_BUTTOCK_TO))
    yield "thigh", N_("Thigh"), "lower extremity", _cut(thigh, _above(308))
    knee = N_("Knee") if front else N_("Hollow of the knee")
    yield "knee", knee, "lower extremity", _cut(_cut(leg, _below(308)), _above(336))
    shin = N_("Shin") if front else N_("Calf")
    yield "lower-leg", shin, "lower extremity", _cut(leg, _below(336))
    if front:
        yield "foot", N_("Back of the foot"), "lower extremity", half["foot"]
    else:
        yield "sole", N_("Sole and heel"), "palms/soles", half["foot"]


def _middle(view: View) -> Iterable[Part]:
    head, neck = _halves()["head"], _halves()["neck"]
    if view is View.FRONT:
        yield "neck", N_("Neck"), "head/neck", neck
        yield "scalp", N_("Scalp"), "head/neck", _cut(head, _above(23))
        yield "face", N_("Face"), "head/neck", _cut(head, _below(23))
        yield "mouth", N_("Mouth"), "oral/genital", smooth(_MOUTH)
        yield "genital", N_("Genitals"), "oral/genital", smooth(_GENITAL)
    else:
        yield "neck", N_("Nape"), "head/neck", neck
        yield "scalp", N_("Back of the head"), "head/neck", head


def regions(view: str) -> tuple[Region, ...]:
    """The regions of one side of the figure, from head to foot; a later one lies over an earlier one.

    Args:
        view: One of `cases.words.View`; as plain text too, since templates have no other.
    """
    return _regions(View(view))


@functools.cache
def _regions(view: View) -> tuple[Region, ...]:
    # Seen from the front, the patient's right is at the left of the drawing.
    mirrored_side = "right" if view is View.FRONT else "left"
    found = [Region(f"{view}-{name}", view, part, "", site, _whole(half)) for name, part, site, half in _middle(view)]
    for name, part, site, half in (*_torso_parts(view), *_limb_parts(view)):
        for side in ("right", "left"):
            outline = _placed(half, mirrored=side == mirrored_side)
            found.append(Region(f"{view}-{name}-{side}", view, part, side, site, outline))
    return tuple(sorted(found, key=lambda region: region.name.endswith(("-mouth", "-genital"))))


@functools.cache
def outlines() -> tuple[str, ...]:
    """The contour of the figure's parts, as `d` of SVG paths; alike from the front and the back."""
    half = _halves()
    both = [half[name] for name in ("torso", "arm", "hand", "leg", "foot")]
    paths = [path_of(_placed(one, mirrored=mirrored)) for one in both for mirrored in (False, True)]
    return (*paths, path_of(_whole(half["neck"])), path_of(_whole(half["head"])))


@functools.cache
def _by_name() -> dict[str, Region]:
    return {region.name: region for view in View for region in regions(view)}


def read_place(form: Mapping[str, str]) -> Place | None:
    """The place that the form control sent; None where none was chosen.

    Args:
        form: `region`, the name of a region; and, where a script was there to take a point, `x` and `y`.

    Raises:
        WebError: `bad_parameter`: no such region, or a point that is none.
    """
    name = form.get("region", "")
    if not name:
        return None
    region = _by_name().get(name)
    if region is None:
        raise WebError("bad_parameter", f"{name!r} is no region of the body map", field="region", way_out="Choose one.")
    x, y = _coordinate(form, "x"), _coordinate(form, "y")
    if x is None or y is None:
        x, y = region.centre
    return Place(region.view, x, y, region.site, region.name)


def _coordinate(form: Mapping[str, str], name: str) -> float | None:
    text = form.get(name, "")
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise WebError("bad_parameter", f"{text!r} is no place on the figure", field=name, way_out="Choose one on it.")
    return round(value, 4)


def _inside(outline: Shape) -> Point:
    """A point well inside a polygon: the middle of its widest span at the height of its middle."""
    height = (min(y for _x, y in outline) + max(y for _x, y in outline)) / 2
    crossings = sorted(
        a[0] + (height - a[1]) / (b[1] - a[1]) * (b[0] - a[0])
        for a, b in zip(outline, (*outline[1:], outline[0]), strict=True)
        if (a[1] <= height) != (b[1] <= height)
    )
    spans = list(zip(crossings[::2], crossings[1::2], strict=True))
    left, right = max(spans, key=lambda span: span[1] - span[0])
    return (left + right) / 2, height
