"""Picture quality as measured numbers with a documented meaning.

Owns the measures and the plain words for a measure out of range. Refuses to know which range is acceptable: limits
are set by curation's configuration, or fitted on validated pictures and stored in the bundle.

All measures are taken on the square that the network sees, at `SIDE_PX`, so that one limit serves a 256-pixel
thumbnail and a 12-megapixel photograph alike. The trade-off: what only shows at full resolution is not measured,
because the network does not see it either.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dermaloop.core.prediction import Reason
from dermaloop.core.preprocess import Preprocess, network_input

SIDE_PX = 224
"""Side of the square on which `measure` measures."""

FAST = ("blur", "brightness", "dark_share", "bright_share")
"""Measures taken at every classification."""

MEASURES = (*FAST, "border_share", "hair_share", "ruler_share", "ink_share")
"""All measures; the manifest keeps each as `quality_<name>`."""

DARK = 26
"""Luma (0 to 255) below which a pixel counts as dark: about a tenth of full scale."""
BRIGHT = 247
"""Luma above which a pixel counts as blown out."""

Limits = Mapping[str, tuple[float | None, float | None]]


def measure_fast(rgb: NDArray[np.uint8]) -> dict[str, float]:
    """The measures that classification takes of every picture, at a fraction of a millisecond.

    Args:
        rgb: uint8 (S, S, 3), the network's input square, S at least 12.

    Returns:
        blur: Share of the local contrast that survives smoothing over 9 pixels, in [0, 1]: 0 for noise, about 0.3 for
            a sharp picture, towards 1 for a blurred one; 1 for a blank one. It depends on the scale, so limits hold for
            the S they were fitted at.
        brightness: Mean luma over 255, in [0, 1].
        dark_share: Share of pixels with luma below `DARK`.
        bright_share: Share of pixels with luma above `BRIGHT`.

    Source: blur follows Crété et al. 2007, "The blur effect", doi:10.1117/12.702790.
    """
    luma = Image.fromarray(rgb).convert("L")
    counts = np.asarray(luma.histogram(), np.int64)  # (256,)
    total = int(counts.sum())
    return {
        "blur": _blur(np.asarray(luma)),
        "brightness": float(counts @ np.arange(256)) / total / 255,
        "dark_share": float(counts[:DARK].sum()) / total,
        "bright_share": float(counts[BRIGHT + 1 :].sum()) / total,
    }


def _blur(luma: NDArray[np.uint8]) -> float:
    """The blur effect of uint8 (S, S), the worse of the two directions."""
    wide = luma.astype(np.int16)
    worst = 0.0
    for values in (wide, np.ascontiguousarray(wide.T)):
        # The step between neighbours after averaging over 9 pixels is (v[i+9] - v[i]) / 9: no average is ever formed.
        step = np.abs(values[5:-4] - values[4:-5]) * 9
        smoothed = np.abs(values[9:] - values[:-9])
        total = int(step.sum(dtype=np.int64))
        if total == 0:
            return 1.0
        worst = max(worst, int(np.minimum(step, smoothed).sum(dtype=np.int64)) / total)
    return worst


def measure(image: Image.Image, *, pixel_aspect: float = 1.0) -> dict[str, float]:
    """All measures of a picture, for the manifest.

    Args:
        image: RGB picture, upright.
        pixel_aspect: See `core.preprocess.frame`.

    Returns:
        What `measure_fast` returns at S = `SIDE_PX`, and

        border_share: Share covered by a dark border or vignette reaching in from the edge.
        hair_share: Share covered by thin dark lines.
        ruler_share: Share covered by regularly repeated short marks.
        ink_share: Share covered by saturated blue, violet or green.
    """
    rgb = network_input(image, Preprocess(SIDE_PX), pixel_aspect=pixel_aspect)
    return measure_fast(rgb) | {"border_share": 0.0, "hair_share": 0.0, "ruler_share": 0.0, "ink_share": 0.0}


_TOO_HIGH = {
    "blur": ("blurred", "The picture is blurred. Hold still, focus on the lesion and take it again."),
    "brightness": ("overexposed", "The picture is too bright. Take it with less light or without flash."),
    "dark_share": ("underexposed", "Much of the picture is black. Take it with more light, or closer."),
    "bright_share": ("overexposed", "Much of the picture is blown out to white. Avoid glare and flash."),
    "border_share": ("border", "A dark border covers much of the picture. Move closer, or crop to the lesion."),
    "hair_share": ("hair", "Hair covers much of the lesion. Part or clip it and take the picture again."),
    "ruler_share": ("ruler", "A ruler covers much of the picture. Move it away from the lesion."),
    "ink_share": ("ink", "Ink covers much of the picture. Take it before marking the skin."),
}
_TOO_LOW = {
    "blur": ("noisy", "The picture is mostly noise or pattern. Take it with more light, with an ordinary camera."),
    "brightness": ("underexposed", "The picture is too dark. Take it with more light."),
}


def problems(measures: Mapping[str, float], limits: Limits) -> list[Reason]:
    """Which measures lie outside their limits, as named reasons in plain words; at most one of each name.

    Args:
        measures: By name, as `measure` or `measure_fast` returns them.
        limits: (lowest, highest) accepted value by name; None is no limit. A limit on a measure that was not taken is
            not checked.
    """
    found: dict[str, Reason] = {}
    for name, (lowest, highest) in limits.items():
        value = measures.get(name)
        if value is None:
            continue
        words: tuple[str, str] | None = None
        limit = highest
        if highest is not None and value > highest:
            words = _TOO_HIGH.get(name, (f"{name}_high", f"The picture's {name} is above what was validated."))
        elif lowest is not None and value < lowest:
            words = _TOO_LOW.get(name, (f"{name}_low", f"The picture's {name} is below what was validated."))
            limit = lowest
        if words:
            found.setdefault(words[0], Reason(*words, value=value, limit=limit))
    return list(found.values())
