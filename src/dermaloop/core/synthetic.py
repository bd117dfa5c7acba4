"""Lesions drawn by the program: for the page's sample and for tests that must run without a real image.

Owns one drawing: skin with uneven light, a pigmented patch, some hairs. Refuses to know what any model makes of it: a
drawn lesion looks like a dermoscopic picture from afar, and no figure measured on one says anything about skin cancer.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Array = NDArray[np.float32]

_SKIN = ((226, 178, 152), (236, 196, 172), (205, 152, 124), (176, 122, 94))
_BENIGN = ((150, 94, 62), (126, 78, 54), (168, 108, 74))
_DARK = ((74, 46, 36), (58, 36, 34), (92, 50, 36))
_VEIL = (112, 116, 134)


def draw_lesion(seed: int, *, size_px: int = 450, malignant: bool = False) -> Image.Image:
    """Draws one lesion; the same arguments always give the same pixels.

    Args:
        seed: Chooses shape, colours, light and hairs.
        size_px: Side of the square picture, at least 16.
        malignant: Draws what the dermoscopic criteria look for (asymmetry, an irregular border, several colours, a
            blue-grey veil) instead of an even, round patch.

    Returns:
        RGB picture (size_px, size_px).
    """
    if size_px < 16:  # noqa: PLR2004 - stated in the docstring
        raise ValueError(f"size_px is {size_px}, but a lesion needs at least 16")
    rng = np.random.default_rng([seed, int(malignant)])
    axis = np.linspace(-1, 1, size_px, dtype=np.float32)
    x, y = np.meshgrid(axis, axis)  # (S, S)
    skin = np.asarray(_SKIN[rng.integers(len(_SKIN))], np.float32) + rng.normal(0, 5, 3).astype(np.float32)
    picture: Array = (
        skin + 9 * _smooth_noise(rng, 8, size_px)[..., None] + 4 * _smooth_noise(rng, 60, size_px)[..., None]
    )

    distance = _distance(rng, x, y, malignant=malignant)  # below 1 inside the lesion
    softness = rng.uniform(0.04, 0.08) if malignant else rng.uniform(0.08, 0.16)
    inside = _step(1 - distance, softness)
    base = np.asarray(_BENIGN[rng.integers(len(_BENIGN))], np.float32)
    dark = np.asarray(_DARK[rng.integers(len(_DARK))], np.float32)
    variegation = _smooth_noise(rng, 5, size_px) if malignant else -0.5 - distance
    network = _network(rng, x, y, inside)
    colour: Array = base + (dark - base) * _step(variegation, 0.5 if malignant else 0.9)[..., None]
    colour = colour - 16 * network[..., None]
    if malignant:
        veil = _step(_smooth_noise(rng, 4, size_px) - 0.4, 0.35) * 0.8
        colour = colour + (np.asarray(_VEIL, np.float32) - colour) * veil[..., None]
    picture = picture + (colour - picture) * inside[..., None]

    tilt = rng.uniform(0, 2 * np.pi)
    light = 1 + 0.07 * (np.cos(tilt) * x + np.sin(tilt) * y) - 0.09 * (x * x + y * y)
    grain = rng.normal(0, 2.2, (size_px, size_px, 1)).astype(np.float32)
    drawn = Image.fromarray(np.clip(picture * light[..., None] + grain, 0, 255).astype(np.uint8))
    return _hairs(rng, drawn)


def _step(value: Array, softness: float) -> Array:
    """A smooth step from 0 to 1 around 0; `softness` is its width."""
    stepped: Array = 0.5 + 0.5 * np.tanh(value / softness)
    return stepped


def _smooth_noise(rng: np.random.Generator, cells: int, size_px: int) -> Array:
    """Noise with about `cells` hills across the picture: float32 (S, S), mean about 0, deviation about 1."""
    coarse = Image.fromarray(rng.normal(0, 1, (cells + 3, cells + 3)).astype(np.float32))
    return np.asarray(coarse.resize((size_px, size_px), Image.Resampling.BICUBIC), np.float32)


def _distance(rng: np.random.Generator, x: Array, y: Array, *, malignant: bool) -> Array:
    """Distance from the lesion's centre over its radius in that direction: float32 (S, S), 1 on the border."""
    centre = rng.uniform(-0.1, 0.1, 2)
    dx, dy = x - np.float32(centre[0]), y - np.float32(centre[1])
    angle = np.arctan2(dy, dx)
    radius = np.full_like(x, rng.uniform(0.36, 0.58))
    for order in range(1, 10):
        strength = (0.22 if malignant else 0.06) / order ** (0.7 if malignant else 1.2)
        amount, phase = np.float32(strength * rng.normal()), np.float32(rng.uniform(0, 2 * np.pi))
        radius *= 1 + amount * np.cos(order * angle + phase)
    relative: Array = np.hypot(dx, dy) / np.clip(radius, 0.12, 0.85)
    return relative


def _network(rng: np.random.Generator, x: Array, y: Array, inside: Array) -> Array:
    """A pigment network: a grid of dark lines, bent, fading outwards; float32 (S, S) in [0, 1]."""
    bend = 0.05 * _smooth_noise(rng, 6, x.shape[0])
    turn, pitch = rng.uniform(0, np.pi), rng.uniform(55, 85)
    u = (np.cos(turn) * x + np.sin(turn) * y + bend) * np.float32(pitch)
    v = (np.cos(turn) * y - np.sin(turn) * x + bend) * np.float32(pitch)
    grid: Array = np.maximum(np.cos(u), np.cos(v)).clip(0, 1) ** 4 * inside
    return grid.astype(np.float32)


def _hairs(rng: np.random.Generator, picture: Image.Image) -> Image.Image:
    """Up to seven dark, slightly bent hairs."""
    size = picture.width
    mask = Image.new("L", picture.size)
    pen = ImageDraw.Draw(mask)
    for _ in range(int(rng.integers(0, 8))):
        start, end = rng.uniform(-0.1, 1.1, (2, 2)) * size
        middle = (start + end) / 2 + rng.normal(0, 0.08, 2) * size
        t = np.linspace(0, 1, 24)[:, None]
        curve = (1 - t) ** 2 * start + 2 * t * (1 - t) * middle + t**2 * end
        pen.line([(float(px), float(py)) for px, py in curve], fill=200, width=max(1, size // 220))
    mask = mask.filter(ImageFilter.GaussianBlur(size / 900))
    picture.paste((48, 36, 32), mask=mask)
    return picture
