"""From a decoded picture to the network's input: one function for training's evaluation, ONNX, web and cluster.

The network sees the largest centred square of the picture, as uint8; normalisation is part of the exported graph, so
no caller can forget it. The trade-off: whatever lies outside the central square of a wide photograph is not seen,
which `frame` states so that the page can show it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Frame = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Preprocess:
    """How a picture becomes the network's input; stored in every bundle."""

    size_px: int
    """Side of the square input."""
    version: int = 1
    """Raised whenever the same picture would give another input."""


def frame(width_px: int, height_px: int, *, pixel_aspect: float = 1.0) -> Frame:
    """Returns the central square that the network sees, in fractions (left, top, right, bottom) of the picture.

    Args:
        width_px: Stored width.
        height_px: Stored height.
        pixel_aspect: Width of one stored pixel over its height on the skin. 1 for ordinary pictures; 4/3 for a
            picture that was squashed from 4:3 to a square. The square is a square on the skin.
    """
    true_width = width_px * pixel_aspect
    side = min(true_width, float(height_px))
    half_x, half_y = side / true_width / 2, side / height_px / 2
    return (0.5 - half_x, 0.5 - half_y, 0.5 + half_x, 0.5 + half_y)


def network_input(image: Image.Image, preprocess: Preprocess, *, pixel_aspect: float = 1.0) -> NDArray[np.uint8]:
    """Cuts the central square and resizes it (antialiased bilinear).

    Args:
        image: RGB picture, upright.
        preprocess: Target size.
        pixel_aspect: See `frame`.

    Returns:
        uint8 (size_px, size_px, 3), RGB.
    """
    return np.asarray(network_picture(image, preprocess, pixel_aspect=pixel_aspect), dtype=np.uint8)


def network_picture(image: Image.Image, preprocess: Preprocess, *, pixel_aspect: float = 1.0) -> Image.Image:
    """The same pixels as `network_input`, still a picture, for what else is to be measured of them."""
    left, top, right, bottom = frame(image.width, image.height, pixel_aspect=pixel_aspect)
    box = (left * image.width, top * image.height, right * image.width, bottom * image.height)
    size = (preprocess.size_px, preprocess.size_px)
    return image.resize(size, Image.Resampling.BILINEAR, box=box, reducing_gap=2.0)
