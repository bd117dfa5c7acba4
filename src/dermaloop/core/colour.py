"""Colour profiles: from what a camera or scanner wrote to sRGB, which is what the network was trained on.

A profile that is broken, or of another kind than the picture, is ignored: the picture is then taken as sRGB, as every
viewer does. Refuses to know where a profile came from.
"""

from __future__ import annotations

import functools
import io

import numpy as np
from PIL import Image, ImageCms

_NEAR_SRGB = 2
"""A profile that moves no test colour by more than this many of 255 levels counts as sRGB."""
_SPACES = {"RGB": "RGB ", "L": "GRAY", "CMYK": "CMYK"}


def to_srgb(image: Image.Image, icc: bytes) -> Image.Image:
    """Converts a picture of mode RGB, L or CMYK that has the profile `icc` to RGB in sRGB.

    Returns:
        RGB, or the picture itself where the profile is unusable or means sRGB already.
    """
    if not icc or image.mode not in _SPACES:
        return image
    transform = _transform(icc, image.mode)
    return image if transform is None else transform.apply(image)


@functools.lru_cache(maxsize=16)
def _transform(icc: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The transform from a profile to sRGB; None where there is nothing to do. Few profiles make up most pictures."""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        if profile.profile.xcolor_space != _SPACES[mode]:
            return None
        transform = ImageCms.ImageCmsTransform(
            profile,
            ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")),
            mode,
            "RGB",
            ImageCms.Intent.PERCEPTUAL,
            # Threads share the transform, so it must not remember the last pixel.
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION | ImageCms.Flags.NOCACHE,
        )
        if mode == "RGB":
            levels = np.linspace(0, 255, 6).round().astype(np.uint8)
            colours = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(6, 36, 3)
            moved = np.asarray(transform.apply(Image.fromarray(colours))).astype(int)
            if np.abs(moved - colours).max() <= _NEAR_SRGB:
                return None
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError, SyntaxError):
        return None
    return transform
