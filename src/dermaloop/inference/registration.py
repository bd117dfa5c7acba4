"""Two photographs of one lesion laid over each other: where the second lies on the first, or that it cannot be told.

Owns the search for places that both pictures show, the similarity (turn, one scale, shift) that takes most of them onto
each other, and the judgement whether that is to be believed: enough separate places must agree, and then the pictures
themselves, laid over each other, must look alike. Refuses to know files, records and pages.

The trade-off: a similarity and nothing more flexible. A dermatoscope lies flat on the skin, so it is what happens
between two visits; a warp that bends pictures until they fit would bend away the change that one looks for. One such
change remains at risk, even growth, which looks like coming closer: where the size of a pixel on the skin is known for
both pictures, the scale is taken from there and growth stays visible; where it is not, `Alignment.true_scale` says so.

OpenCV is imported when first needed: it is the extra `follow-up`, not part of the base install.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dermaloop.core.errors import MissingExtraError

EXTRA = "pip install 'dermaloop[follow-up]'"
"""What makes aligning possible where it is not."""
WORK_SIDE_PX = 512
"""Longer side at which pictures are compared; more than this need not be decoded."""
LEAST_PLACES = 8
LEAST_AGREEMENT = 0.3
"""Limits of belief. On pairs of HAM10000's training split, pictures of two lesions had at most 4 places in common (240
pairs), those of one lesion 64 in the median; docs/web.md has the figures on the validation split, which these limits
were not chosen on, and `benchmarks/follow_up.py` measures them."""
_LEAST_OVERLAP = 0.02
_SCALES = (0.2, 5.0)
_SIZES_FIT = 1.25
"""Stated pixel sizes and what the pictures show may differ by this factor; a lesion that grew differs too."""

_FEATURES, _CONTRAST, _EDGE = 1500, 0.01, 12.0
_RATIO = 0.85
_REACH_PX = 4.0
_TRIALS, _CERTAINTY = 5000, 0.9999
_SAME_PLACE_PX = 6.0
_DARK = 30
_MARGIN_PX = 25
_FINE_PX, _COARSE_PX = 2.0, 16.0


class Reason(StrEnum):
    """Why two pictures could not be aligned."""

    TOO_LITTLE_IN_COMMON = "too_little_in_common"
    DO_NOT_LOOK_ALIKE = "do_not_look_alike"


@dataclass(frozen=True, slots=True)
class NotAligned:
    """That two pictures could not be aligned, and what was found."""

    reason: Reason
    places: int


@dataclass(frozen=True, slots=True)
class Alignment:
    """Where the second picture lies on the first, in pixels of the upright full-size pictures.

    A point (x, y) of the second is at (a x - b y + c, b x + a y + d) of the first, with a = scale cos, b = scale sin.

    Attributes:
        scale: Pixels of the first per pixel of the second.
        degrees: Clockwise turn of the second, as seen.
        shift_px: (c, d).
        places: Separate places that agree on it.
        overlap: Share of the first picture that the second covers, in [0, 1].
        agreement: Correlation of the two pictures' structure where both are, in [-1, 1].
        true_scale: Whether the scale is that of the stated pixel sizes, so that growth stays visible.
        measured_scale: The scale that fits the pictures best; differs from `scale` only where `true_scale`.
    """

    scale: float
    degrees: float
    shift_px: tuple[float, float]
    places: int
    overlap: float
    agreement: float
    true_scale: bool
    measured_scale: float

    @property
    def matrix(self) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
        """The same as the rows of a 2 x 3 matrix."""
        a = self.scale * math.cos(math.radians(self.degrees))
        b = self.scale * math.sin(math.radians(self.degrees))
        return (a, -b, self.shift_px[0]), (b, a, self.shift_px[1])


@dataclass(frozen=True, slots=True)
class Photograph:
    """One of the two pictures.

    Attributes:
        image: RGB, upright; may be smaller than the file's (`core.image.decode`).
        width_px: Of the full-size picture.
        pixel_size_mm: Side of one of its pixels on the skin, where known.
    """

    image: Image.Image
    width_px: int
    pixel_size_mm: float | None = None


@dataclass(frozen=True, slots=True)
class _Seen:
    grey: NDArray[np.uint8]  # (h, w)
    skin: NDArray[np.uint8]  # (h, w), 255 where the picture shows anything but the dark around the lens
    points: NDArray[np.float32]  # (N, 2), x and y
    words: NDArray[np.float32]  # (N, 128)
    factor: float  # its pixels per pixel of the full-size picture


def align(first: Photograph, second: Photograph) -> Alignment | NotAligned:
    """Finds where the second picture lies on the first. The same pictures give the same answer.

    Args:
        first: Stays where it is.
        second: Is laid on it. Lighting, turn, distance and frame may differ; a mirrored picture does not fit.

    Raises:
        MissingExtraError: OpenCV is not installed.

    Source: Lowe 2004, "Distinctive image features from scale-invariant keypoints", IJCV (SIFT and the ratio test);
        Arandjelović and Zisserman 2012, "Three things everyone should know to improve object retrieval", CVPR (the
        square root of SIFT); Fischler and Bolles 1981, CACM (RANSAC).
    """
    _library()
    here, there = _see(first), _see(second)
    pairs = _pairs(there.words, here.words)
    found = _similarity(there.points[pairs[:, 0]], here.points[pairs[:, 1]])
    if found is None:
        return NotAligned(Reason.TOO_LITTLE_IN_COMMON, 0)
    matrix, fits = found
    source, target = there.points[pairs[fits, 0]], here.points[pairs[fits, 1]]
    places = min(_separate(source), _separate(target))
    work_scale = math.hypot(matrix[0, 0], matrix[1, 0])
    if places < LEAST_PLACES or not _SCALES[0] <= work_scale <= _SCALES[1]:
        return NotAligned(Reason.TOO_LITTLE_IN_COMMON, places)
    overlap, agreement = _compare(here, there, matrix)
    if overlap < _LEAST_OVERLAP or agreement < LEAST_AGREEMENT:
        return NotAligned(Reason.DO_NOT_LOOK_ALIKE, places)
    measured = work_scale * there.factor / here.factor
    scale, true_scale = _scale(measured, first.pixel_size_mm, second.pixel_size_mm)
    degrees = math.degrees(math.atan2(matrix[1, 0], matrix[0, 0]))
    shift = _shift(scale, degrees, source / there.factor, target / here.factor)
    return Alignment(scale, degrees, shift, places, overlap, agreement, true_scale, measured)


def _library() -> Any:
    try:
        import cv2  # noqa: PLC0415 - an extra, and slow to import
    except ImportError as error:
        raise MissingExtraError("aligning pictures needs OpenCV, which is not installed", way_out=EXTRA) from error
    return cv2


def _see(photograph: Photograph) -> _Seen:
    cv2 = _library()
    rgb = np.asarray(photograph.image.convert("RGB"))
    factor = WORK_SIDE_PX / max(rgb.shape[:2])
    how = cv2.INTER_CUBIC if factor > 1 else cv2.INTER_AREA
    rgb = cv2.resize(rgb, None, fx=factor, fy=factor, interpolation=how)
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    skin = _skin(grey)
    even = cv2.createCLAHE(2.0, (8, 8)).apply(grey)
    corners, words = cv2.SIFT_create(
        nfeatures=_FEATURES, contrastThreshold=_CONTRAST, edgeThreshold=_EDGE
    ).detectAndCompute(even, skin)
    # From the middle of the first pixel to its corner, where pictures of different sizes have the same origin.
    points = np.asarray([corner.pt for corner in corners], dtype=np.float32).reshape(-1, 2) + np.float32(0.5)
    words = np.zeros((0, 128), np.float32) if words is None else words
    words = np.sqrt(words / np.maximum(words.sum(axis=1, keepdims=True), 1e-9)).astype(np.float32)
    return _Seen(grey, skin, points, words, grey.shape[1] / photograph.width_px)


def _skin(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Leaves out the dark around the lens, with a margin: it is the camera's, and alike in pictures of two lesions."""
    cv2 = _library()
    dark = (cv2.GaussianBlur(grey, (0, 0), 3) < _DARK).astype(np.uint8)
    _, areas = cv2.connectedComponents(dark)
    edge = np.unique(np.concatenate([areas[0], areas[-1], areas[:, 0], areas[:, -1]]))
    outside = np.isin(areas, edge[edge > 0]).astype(np.uint8)
    skin: NDArray[np.uint8] = 255 * (1 - cv2.dilate(outside, np.ones((_MARGIN_PX, _MARGIN_PX), np.uint8)))
    return skin


def _pairs(words: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.intp]:
    """Words that are each other's nearest, and by far: indices (P, 2) into both."""
    if min(len(words), len(others)) < LEAST_PLACES:
        return np.zeros((0, 2), np.intp)
    alike = words @ others.T  # (N, M), cosine: the words have length 1
    best = alike.argmax(axis=1)
    back = alike.argmax(axis=0)
    two = np.partition(alike, -2, axis=1)[:, -2:]
    far = np.sqrt(np.maximum(2 - 2 * two, 0))  # (N, 2), distances of the second-nearest and the nearest
    rows = np.arange(len(words))
    good = (back[best] == rows) & (far[:, 1] < _RATIO * far[:, 0])
    return np.stack([rows[good], best[good]], axis=1)


def _similarity(
    source: NDArray[np.float32], target: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]] | None:
    if len(source) < LEAST_PLACES:
        return None
    cv2 = _library()
    matrix, fits = cv2.estimateAffinePartial2D(source, target, None, cv2.RANSAC, _REACH_PX, _TRIALS, _CERTAINTY, 20)
    return None if matrix is None else (np.asarray(matrix, np.float64), fits.ravel().astype(bool))


def _separate(points: NDArray[np.float32]) -> int:
    """How many places they are: one spot often gives several points."""
    return len(np.unique(np.round(points / _SAME_PLACE_PX), axis=0))


def _compare(here: _Seen, there: _Seen, matrix: NDArray[np.float64]) -> tuple[float, float]:
    """Share of the first picture that the second covers, and how alike their structure is there."""
    cv2 = _library()
    size = (here.grey.shape[1], here.grey.shape[0])
    by_pixel = matrix.copy()
    by_pixel[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5  # OpenCV counts from the middle of the first pixel
    laid = cv2.warpAffine(_structure(there.grey), by_pixel, size)
    covered = (cv2.warpAffine(there.skin, by_pixel, size, flags=cv2.INTER_NEAREST) > 0) & (here.skin > 0)
    overlap = float(covered.mean())
    if overlap < _LEAST_OVERLAP:
        return overlap, 0.0
    pair = np.stack([_structure(here.grey)[covered], laid[covered]]).astype(np.float64)
    pair -= pair.mean(axis=1, keepdims=True)
    spread = float(np.sqrt((pair[0] ** 2).sum() * (pair[1] ** 2).sum()))
    return overlap, float((pair[0] * pair[1]).sum() / spread) if spread > 0 else 0.0


def _structure(grey: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What is between noise and lighting in size."""
    cv2 = _library()
    real = grey.astype(np.float32)
    band: NDArray[np.float32] = cv2.GaussianBlur(real, (0, 0), _FINE_PX) - cv2.GaussianBlur(real, (0, 0), _COARSE_PX)
    return band


def _scale(measured: float, first_mm: float | None, second_mm: float | None) -> tuple[float, bool]:
    if not first_mm or not second_mm:
        return measured, False
    stated = second_mm / first_mm
    fits = 1 / _SIZES_FIT <= measured / stated <= _SIZES_FIT
    return (stated, True) if fits else (measured, False)


def _shift(
    scale: float, degrees: float, source: NDArray[np.float32], target: NDArray[np.float32]
) -> tuple[float, float]:
    """The shift that takes the middle of the places onto the middle of their counterparts: the best one in squares."""
    a, b = scale * math.cos(math.radians(degrees)), scale * math.sin(math.radians(degrees))
    x, y = (float(value) for value in source.mean(axis=0))
    goal_x, goal_y = (float(value) for value in target.mean(axis=0))
    return goal_x - (a * x - b * y), goal_y - (b * x + a * y)
