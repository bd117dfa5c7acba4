"""Picture quality as measured numbers with a documented meaning.

Owns the measures and the plain words for a measure out of range. Refuses to know which range is acceptable: limits
are set by curation's configuration, or fitted on validated pictures and stored in the bundle.

All measures are taken on the square that the network sees, at `SIDE_PX`, so that one limit serves a 256-pixel
thumbnail and a 12-megapixel photograph alike. The trade-off: what only shows at full resolution is not measured,
because the network does not see it either.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

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

_BORDER = 40
"""Luma below which a pixel may belong to a dark border."""
_THIN_PX, _LONG_PX, _CONTRAST = 7, 25, 18
"""Hair: at most so wide, at least so long, and so many levels darker than what lies beside it."""
_DIRECTIONS = tuple(
    (math.sin(angle) / most, math.cos(angle) / most)
    for angle in (turn * math.pi / 16 for turn in range(16))
    for most in (max(abs(math.sin(angle)), abs(math.cos(angle))),)
)
"""Steps (down, right) of a line in sixteen directions; the longer of the two is one pixel."""
_TICK_PX, _TICKS, _TICK_GAPS_PX = 5, 7, (4, 32)
"""Ruler: ticks at least so long, so many equal gaps between them, of a width in this range."""
_INK_SATURATION, _INK_BRIGHT = 28, 40
"""Ink: at least so saturated (percent) and so bright."""

Mask = NDArray[np.bool_]
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
    return measure_luma(Image.fromarray(rgb).convert("L"))


def measure_luma(luma: Image.Image) -> dict[str, float]:
    """What `measure_fast` returns, of the square's luma as a picture of mode L (`Image.convert`)."""
    counts = np.asarray(luma.histogram(), np.int64)  # (256,)
    total = int(counts.sum())
    return {
        "blur": _blur(np.asarray(luma)),
        "brightness": float(counts @ np.arange(256)) / total / 255,
        "dark_share": float(counts[:DARK].sum()) / total,
        "bright_share": float(counts[BRIGHT + 1 :].sum()) / total,
    }


def colour_shares(rgb: NDArray[np.uint8]) -> tuple[float, float]:
    """Mean share of red and of blue in a picture's light, which a camera's white balance moves and brightness hardly.

    No measure of quality: skin and lesions differ in it, so there is no limit; drift is watched by it.

    Args:
        rgb: uint8 (S, S, 3), the network's input square.

    Returns:
        Each in [0, 1], a third for grey; a black picture counts as grey.
    """
    # Down the rows first, in the narrowest type that holds so many: several times quicker than pixel by pixel.
    narrow = np.uint16 if len(rgb) <= np.iinfo(np.uint16).max // 255 else np.uint32
    columns = np.add.reduce(rgb.reshape(len(rgb), -1), axis=0, dtype=narrow)  # (3 S,)
    red, green, blue = columns.reshape(-1, 3).sum(axis=0, dtype=np.int64).tolist()
    total = red + green + blue
    return (red / total, blue / total) if total else (1 / 3, 1 / 3)


def _blur(luma: NDArray[np.uint8]) -> float:
    """The blur effect of uint8 (S, S), the worse of the two directions."""
    wide = luma.astype(np.int16)
    sums = np.int32 if luma.size < np.iinfo(np.int32).max // 255 else np.int64
    worst = 0.0
    for values in (wide, np.ascontiguousarray(wide.T)):
        # The step between neighbours after averaging over 9 pixels is (v[i+9] - v[i]) / 9: no average is ever formed.
        step, smoothed = values[5:-4] - values[4:-5], values[9:] - values[:-9]
        np.abs(step, out=step)
        np.abs(smoothed, out=smoothed)
        total = 9 * int(step.sum(dtype=sums))
        if total == 0:
            return 1.0
        step *= 9
        worst = max(worst, int(np.minimum(step, smoothed, out=step).sum(dtype=sums)) / total)
    return worst


def measure(image: Image.Image, *, pixel_aspect: float = 1.0) -> dict[str, float]:
    """All measures of a picture, for the manifest.

    Args:
        image: RGB picture, upright.
        pixel_aspect: See `core.preprocess.frame`.

    Returns:
        What `measure_fast` returns at S = `SIDE_PX`, and

        border_share: Share covered by a dark border or vignette reaching in from the edge.
        hair_share: Share covered by thin, long, dark lines. Fair hair is not seen; wrinkles in close-ups are.
        ruler_share: Share covered by short marks at equal distances in a row, as on a ruler.
        ink_share: Share covered by saturated blue, violet or green: ink, stickers, cloth, and a few blue lesions.
    """
    rgb = network_input(image, Preprocess(SIDE_PX), pixel_aspect=pixel_aspect)
    luma = np.asarray(Image.fromarray(rgb).convert("L"))
    border = _border(luma)
    thin = _thin_dark(luma) & ~border
    return measure_fast(rgb) | {
        "border_share": _share(border),
        "hair_share": _share(_long(thin)),
        "ruler_share": _ruler(thin),
        "ink_share": _share(_ink(rgb) & ~border),
    }


def _share(mask: Mask) -> float:
    return np.count_nonzero(mask) / mask.size


def _border(luma: NDArray[np.uint8]) -> Mask:
    """Dark pixels from which only dark pixels lead straight to the edge: bool (S, S)."""
    dark = luma < _BORDER
    reached = np.zeros_like(dark)
    for axis in (0, 1):
        for way in (slice(None), slice(None, None, -1)):
            turned = np.flip(dark, axis) if way.step else dark
            run = np.logical_and.accumulate(turned, axis=axis)
            reached |= np.flip(run, axis) if way.step else run
    return reached


def _window(values: NDArray[Any], step: tuple[float, float], length: int, pick: np.ufunc, fill: int) -> NDArray[Any]:
    """The extreme over a line of `length` pixels in the direction `step` around each pixel; `fill` beyond the edge."""
    half = length // 2
    padded = np.pad(values, half, constant_values=fill)
    size = values.shape[0]
    shifts = {(round(i * step[0]), round(i * step[1])) for i in range(-half, half + 1)}
    views = [padded[half + y : half + y + size, half + x : half + x + size] for y, x in shifts]
    result = views[0].copy()
    for view in views[1:]:
        pick(result, view, out=result)
    return result


def _thin_dark(luma: NDArray[np.uint8]) -> Mask:
    """Dark structures that are thin in some direction: bool (S, S). The closing along a line fills what is thinner."""
    closed = luma
    for step in _DIRECTIONS[::4]:
        widened = _window(luma, step, _THIN_PX, np.maximum, 0)
        closed = np.maximum(closed, _window(widened, step, _THIN_PX, np.minimum, 255))
    return closed.astype(np.int16) - luma > _CONTRAST


def _long(thin: Mask) -> Mask:
    """The part that lies in nearly straight runs of `_LONG_PX` pixels: an opening along sixteen directions."""
    # One pixel wider, so that a hair between two directions, or a bent one, still fits.
    near = _window(thin, (0.0, 1.0), 3, np.logical_or, 0) | _window(thin, (1.0, 0.0), 3, np.logical_or, 0)
    kept = np.zeros_like(thin)
    for step in _DIRECTIONS:
        core = _window(near, step, _LONG_PX, np.logical_and, 0)
        if core.any():
            kept |= _window(core, step, _LONG_PX, np.logical_or, 0)
    return kept & thin


def _ruler(thin: Mask) -> float:
    """Share covered by the ticks of a ruler, in whatever direction it lies: the largest over the directions tried."""
    best = 0.0
    if np.count_nonzero(thin) < _TICKS * _TICK_PX:
        return best
    marks = thin.astype(np.uint8)
    picture = Image.fromarray(marks)
    for angle in range(0, 90, 10):
        turned = np.asarray(picture.rotate(angle)) if angle else marks
        best = max(best, _ticks(turned), _ticks(np.ascontiguousarray(turned.T)))
    return best


def _ticks(marks: NDArray[np.uint8]) -> float:
    """Share covered by rows of thin marks, 1 in uint8 (S, S), that cross a strip at equal distances."""
    rows = len(marks) - _TICK_PX + 1
    height = marks[:rows].copy()
    for place in range(1, _TICK_PX):
        height += marks[place : place + rows]
    crossed = height >= _TICK_PX - 1  # bool (S - T + 1, S): a mark runs through the strip
    starts = crossed[:, 1:] & ~crossed[:, :-1]
    covered: Mask | None = None
    for row in np.flatnonzero(np.count_nonzero(starts, axis=1) > _TICKS):
        left, right = _even(np.flatnonzero(starts[row]).tolist())
        if right:
            covered = np.zeros(marks.shape, bool) if covered is None else covered
            covered[row : row + _TICK_PX, left:right] = True
    return 0.0 if covered is None else _share(covered)


def _even(columns: list[int]) -> tuple[int, int]:
    """Where the longest series of equal distances begins and ends; (0, 0) where it has fewer than `_TICKS`."""
    most, begin, found = _TICKS - 1, 0, (0, 0)
    least = widest = columns[1] - columns[0]
    for index in range(1, len(columns)):
        gap = columns[index] - columns[index - 1]
        least, widest = min(least, gap), max(widest, gap)
        if widest - least > max(1, least // 8) or not _TICK_GAPS_PX[0] <= gap <= _TICK_GAPS_PX[1]:
            begin, least, widest = index - 1, gap, gap  # the odd gap may begin a series of its own
        if index - begin > most and least >= _TICK_GAPS_PX[0] and widest <= _TICK_GAPS_PX[1]:
            most, found = index - begin, (columns[begin], columns[index] + 1)
    return found


def _ink(rgb: NDArray[np.uint8]) -> Mask:
    """Saturated pixels in whose colour red does not lead, as it does in skin, blood and pigment: bool (S, S)."""
    wide = rgb.astype(np.int16)
    most, least = wide.max(axis=2), wide.min(axis=2)
    ink: Mask = (
        (most * 100 > wide[..., 0] * 105) & ((most - least) * 100 > most * _INK_SATURATION) & (most > _INK_BRIGHT)
    )
    return ink


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
TEXTS: tuple[str, ...] = tuple(text for table in (_TOO_HIGH, _TOO_LOW) for _, text in table.values())
"""Every reason in plain words, for those who translate them."""


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
