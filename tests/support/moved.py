"""A photograph taken again: turned, nearer or farther, shifted, under another light; and where every point went."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def moved(
    picture: Image.Image,
    *,
    scale: float = 1.0,
    degrees: float = 0.0,
    shift: tuple[float, float] = (0.0, 0.0),
    gain: float = 1.0,
    gamma: float = 1.0,
    size: tuple[int, int] | None = None,
) -> tuple[Image.Image, NDArray[np.float64]]:
    """The picture as a second photograph would have it.

    Args:
        picture: RGB.
        scale: Above 1 the camera was nearer.
        degrees: Clockwise turn.
        shift: Of the middle, in pixels of the result.
        gain: Of the light.
        gamma: Of the camera.
        size: (width, height) of the result; None for the picture's.

    Returns:
        The photograph, and the 2 x 3 matrix that takes its points back to the picture's: what aligning should find.
    """
    width, height = size or picture.size
    a, b = scale * math.cos(math.radians(degrees)), scale * math.sin(math.radians(degrees))
    forth = np.array([[a, -b, 0], [b, a, 0], [0, 0, 1.0]])
    forth[:2, 2] = np.array([width / 2, height / 2]) + shift - forth[:2, :2] @ np.array(picture.size) / 2
    back: NDArray[np.float64] = np.linalg.inv(forth)[:2]
    where = tuple(back.ravel().tolist())
    taken = picture.transform((width, height), Image.Transform.AFFINE, where, Image.Resampling.BICUBIC, fillcolor=None)
    light = np.clip(255 * gain * (np.asarray(taken) / 255) ** gamma, 0, 255)
    return Image.fromarray(light.astype(np.uint8)), back


def farthest(found: NDArray[np.float64], true: NDArray[np.float64], size: tuple[int, int]) -> float:
    """How far two matrices take a corner of a picture apart, in pixels, at the most."""
    corners = np.array([[x, y, 1] for x in (0, size[0]) for y in (0, size[1])]).T
    return float(np.linalg.norm((np.asarray(found) - true) @ corners, axis=0).max())
