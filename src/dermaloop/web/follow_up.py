"""Two pictures of a lesion to compare: which two, where the second lies on the first, and what to say of it.

Owns the choice of the pair, the words for what came of aligning it, and the numbers that the viewer and a drawing take.
Refuses to align (`inference.registration` does) and to decide which answers may be shown (`cases.timeline` has). A pair
that cannot be aligned is a result with its reason, never an error: the pictures are shown as they were taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dermaloop.cases.images import ImageStore
from dermaloop.cases.records import Image
from dermaloop.cases.timeline import Answer
from dermaloop.cases.words import PictureType
from dermaloop.core.errors import DermaloopError, MissingExtraError
from dermaloop.core.image import decode
from dermaloop.inference import registration
from dermaloop.inference.registration import LEAST_PLACES, Alignment, NotAligned, Photograph, Reason
from dermaloop.web.errors import WebError
from dermaloop.web.translation import gettext as _
from dermaloop.web.translation import number
from dermaloop.web.wording import percent


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a picture lies on another one, as the viewer and an SVG take it.

    Attributes:
        in_view: Left, top and width before it is turned about its middle, as shares of the other picture's width, and
            the turn clockwise in degrees; between spaces.
        transform: The same as a transform of SVG, in pixels of the other picture.
        width_px: Its own width.
        height_px: Its own height.
    """

    in_view: str
    transform: str
    width_px: int
    height_px: int


@dataclass(frozen=True, slots=True)
class Compared:
    """What came of aligning a pair.

    Attributes:
        placed: Where the second lies on the first; None where it could not be aligned.
        said: What came of it, in a sentence or two.
        advice: What it means for judging the size of the lesion, or what to do.
        true_scale: See `Alignment.true_scale`.
        common: The part of the first picture that both show, to begin with: left, top, width and height as shares of
            its width, between spaces; empty where they could not be aligned.
    """

    placed: Placed | None
    said: str
    advice: str = ""
    true_scale: bool = False
    common: str = ""
    found: Alignment | None = None
    """The alignment itself, for programs."""


def choose(answers: Sequence[Answer], first_id: str = "", second_id: str = "") -> tuple[Answer, Answer] | None:
    """The pair to compare, the older one first; None where the lesion has fewer than two pictures.

    Args:
        answers: The lesion's pictures, oldest first.
        first_id: The picture asked for; without one, the latest of an earlier visit and of the second one's kind, or
            what comes nearest to that.
        second_id: The picture asked for; without one, the latest dermoscopic picture, else the latest.

    Raises:
        WebError: `bad_parameter`: a picture asked for is none of this lesion's, or is asked for twice.
    """
    if len(answers) < 2:  # noqa: PLR2004 - a pair
        return None
    places = {answer.image.id: place for place, answer in enumerate(answers)}
    for name, asked in (("first", first_id), ("second", second_id)):
        if asked and asked not in places:
            raise WebError(
                "bad_parameter", "this lesion has no such picture", field=name, way_out="Choose one on the page."
            )
    if first_id and first_id == second_id:
        raise WebError(
            "bad_parameter",
            "a picture cannot be compared with itself",
            field="second",
            way_out="Choose two different pictures.",
        )
    other = places.get(first_id)
    second = places[second_id] if second_id else _latest(answers, other)
    first = _before(answers, second) if other is None else other
    return answers[min(first, second)], answers[max(first, second)]


def _latest(answers: Sequence[Answer], other: int | None) -> int:
    left = [place for place in range(len(answers)) if place != other]
    return max(left, key=lambda place: (answers[place].image.image_type == PictureType.DERMOSCOPIC, place))


def _before(answers: Sequence[Answer], second: int) -> int:
    """The picture to compare another one with: of an earlier visit, of its kind, the latest of those; in this order."""
    chosen = answers[second]

    def fitness(place: int) -> tuple[bool, bool, bool, int]:
        one = answers[place]
        earlier = place < second and one.visit.visited_on < chosen.visit.visited_on
        another_day = one.visit.visited_on != chosen.visit.visited_on
        return earlier, one.image.image_type == chosen.image.image_type, another_day, -abs(place - second)

    return max((place for place in range(len(answers)) if place != second), key=fitness)


def compare(images: ImageStore, first: Image, second: Image) -> Compared:
    """Aligns a pair, or says why it cannot be. Takes some tenths of a second; to be run off the event loop.

    Args:
        images: Where their bytes are.
        first: Stays where it is.
        second: Is laid on it.
    """
    try:
        found = registration.align(_photograph(images, first), _photograph(images, second))
    except MissingExtraError:
        said = _("The pictures are shown as they were taken: what lays them over each other is not installed here.")
        advice = _("Whoever looks after this installation can add it: %(command)s") % {"command": registration.EXTRA}
        return Compared(None, said, advice)
    except DermaloopError:  # the viewer shows of which picture
        return Compared(None, _("Could not be aligned: a picture cannot be read."))
    if isinstance(found, NotAligned):
        return Compared(None, _refusal(found), _("The pictures are shown as they were taken."))
    return Compared(
        placed_on(found, first, second),
        _aligned(found),
        _size(found, first, second),
        found.true_scale,
        common_part(found, first, second),
        found,
    )


def _photograph(images: ImageStore, image: Image) -> Photograph:
    assert image.sha256 is not None
    decoded = decode(images.read(image.sha256), least_side_px=registration.WORK_SIDE_PX)
    return Photograph(decoded.image, image.width_px, image.pixel_size_mm)


def placed_on(found: Alignment, first: Image, second: Image) -> Placed:
    """Where the second picture lies on the first."""
    (a, minus_b, c), (b, _a, d) = found.matrix
    middle_x = a * second.width_px / 2 + minus_b * second.height_px / 2 + c
    middle_y = b * second.width_px / 2 + a * second.height_px / 2 + d
    left = middle_x - found.scale * second.width_px / 2
    top = middle_y - found.scale * second.height_px / 2
    shares = (left / first.width_px, top / first.width_px, found.scale * second.width_px / first.width_px)
    return Placed(
        in_view=" ".join(f"{value:.6f}" for value in (*shares, found.degrees)),
        transform=f"matrix({a:.6f} {b:.6f} {minus_b:.6f} {a:.6f} {c:.3f} {d:.3f})",
        width_px=second.width_px,
        height_px=second.height_px,
    )


def common_part(found: Alignment, first: Image, second: Image) -> str:
    """The upright rectangle of the first picture around what the second covers of it; see `Compared.common`."""
    corners = [(x, y) for x in (0, second.width_px) for y in (0, second.height_px)]
    laid = [[row[0] * x + row[1] * y + row[2] for x, y in corners] for row in found.matrix]
    sides = [
        (max(0.0, min(values)), min(float(longest), max(values)))
        for values, longest in zip(laid, (first.width_px, first.height_px), strict=True)
    ]
    (left, right), (top, bottom) = sides
    return " ".join(f"{value / first.width_px:.6f}" for value in (left, top, right - left, bottom - top))


def _aligned(found: Alignment) -> str:
    return _("Aligned on %(places)s places that both pictures show; the second covers %(share)s of the first.") % {
        "places": number(found.places),
        "share": percent(found.overlap, 0),
    }


def _refusal(found: NotAligned) -> str:
    if found.reason is Reason.DO_NOT_LOOK_ALIKE:
        return _("Could not be aligned: laid over each other, the pictures do not look alike.")
    return _(
        "Could not be aligned: %(found)s places were found that both pictures show, and it takes %(least)s. Are they"
        " pictures of the same lesion, and of the same kind?"
    ) % {"found": number(found.places), "least": number(LEAST_PLACES)}


def _size(found: Alignment, first: Image, second: Image) -> str:
    if found.true_scale:
        return _("To scale, by the pixel sizes stated for both pictures: a lesion that grew looks larger.")
    if first.pixel_size_mm and second.pixel_size_mm:
        return _(
            "Not to scale: by the pixel sizes stated, the second picture belongs on the first at %(stated)s times its"
            " size; by what the pictures show, at %(measured)s times. One of the sizes is probably wrong. A lesion that"
            " grew evenly can look unchanged here."
        ) % {
            "stated": number(second.pixel_size_mm / first.pixel_size_mm, 2),
            "measured": number(found.measured_scale, 2),
        }
    return _(
        "Not to scale: the size of a pixel is not stated for both pictures, so the second was enlarged or reduced until"
        " it fitted. A lesion that grew evenly can look unchanged here: do not judge its size by this comparison."
    )
