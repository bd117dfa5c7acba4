"""Whether the heatmap falls on the lesion, measured against outlined lesions and a blind guess.

Owns the two measures and the guess. Most lesions lie in the middle of their picture, so a bare share of heat inside
flatters any map that is bright in the middle: a Gaussian at the centre, which has seen nothing, must be beaten.
Refuses to know how heat is made. What it cannot say: whether the place is the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dermaloop.core.preprocess import Preprocess, network_input
from dermaloop.evaluation.bootstrap import interval, replicates
from dermaloop.evaluation.decisions import ratio
from dermaloop.evaluation.figures import LEAST, number

Floats = NDArray[np.float64]

SIGMA_OF_SIDE = 0.25
"""Width of the centre Gaussian, as a share of the side."""


def lesion_mask(mask: Image.Image, size_px: int, *, pixel_aspect: float = 1.0) -> NDArray[np.bool_]:
    """The outline in the square that the network saw: the same cut and scale as the picture's.

    Args:
        mask: Any mode, bright on the lesion, the picture's geometry.
        size_px: Side of the network's input.
        pixel_aspect: Of the picture.

    Returns:
        bool (size_px, size_px).
    """
    square = network_input(mask.convert("RGB"), Preprocess(size_px), pixel_aspect=pixel_aspect)
    return np.asarray(square[:, :, 0] >= 128)  # noqa: PLR2004 - half of 255


def centre_gaussian(size_px: int) -> Floats:
    """The guess: heat at the centre, whatever the picture. float64 (size_px, size_px)."""
    place = (np.arange(size_px) + 0.5) / size_px - 0.5
    along = np.exp(-np.square(place) / (2 * SIGMA_OF_SIDE**2))
    return np.outer(along, along)


def share_inside(heat: Floats, mask: NDArray[np.bool_]) -> float:
    """Share of the positive heat that lies on the lesion, in [0, 1]; NaN where there is no heat.

    Source: the energy-based pointing game of Wang et al. 2020, "Score-CAM", CVPR workshops.
    """
    positive = np.maximum(heat, 0.0)
    total = float(positive.sum())
    return float(positive[mask].sum()) / total if total > 0 else float("nan")


def points_inside(heat: Floats, mask: NDArray[np.bool_]) -> float:
    """Whether the hottest place lies on the lesion (1 or 0; a tie counts by its share); NaN for an even map.

    Source: Zhang et al. 2018, "Top-down neural attention by excitation backprop", doi:10.1007/s11263-017-1059-x.
    """
    highest = heat.max()
    if highest <= heat.min():
        return float("nan")
    return float(mask[heat == highest].mean())


def upsample(heat: NDArray[np.floating[Any]], size_px: int) -> Floats:
    """The coarse map at the input's size, bilinear, as it is shown. (h, w) → float64 (size_px, size_px)."""
    picture = Image.fromarray(np.ascontiguousarray(heat, dtype=np.float32))
    return np.asarray(picture.resize((size_px, size_px), Image.Resampling.BILINEAR), dtype=np.float64)


def check_one(heat: NDArray[np.floating[Any]], mask: NDArray[np.bool_]) -> dict[str, float]:
    """All measures of one picture; `heat` (h, w), `mask` bool (S, S) with at least one pixel of the lesion."""
    size_px = len(mask)
    large, guess = upsample(heat, size_px), centre_gaussian(size_px)
    return {
        "share_inside": share_inside(large, mask),
        "share_inside_guess": share_inside(guess, mask),
        "pointing": points_inside(large, mask),
        "pointing_guess": points_inside(guess, mask),
        "lesion_share": float(mask.mean()),
    }


def summarise(
    measures: Mapping[str, Floats], groups: NDArray[np.int64], *, resamples: int = 1000, seed: int = 0
) -> dict[str, Any]:
    """Means with interval, and the paired difference to the guess.

    Args:
        measures: float64 (N,) by key of `check_one`.
        groups: int64 (N,), patient or lesion.
        resamples: Bootstrap resamples.
        seed: Of the resamples.

    Returns:
        For `share_inside` and `pointing`: model, guess, difference (each a figure), and `beats_guess`, whether the
        whole interval of the difference lies above zero. `lesion_share` is what an even map would reach.
    """
    found: dict[str, Any] = {"n": len(groups), "note": ""}
    if len(groups) < LEAST:
        found["note"] = (
            f"Too few to say: {len(groups) or 'no'} picture{'s'[: len(groups) != 1]} with an outlined lesion."
        )
        return found
    found["lesion_share"] = number(float(np.mean(measures["lesion_share"])))
    for name in ("share_inside", "pointing"):
        model, guess = measures[name], measures[f"{name}_guess"]
        said = np.isfinite(model) & np.isfinite(guess)
        drawn = replicates(
            groups,
            {
                key: _mean(values[said], said)
                for key, values in (("model", model), ("guess", guess), ("difference", model - guess))
            },
            resamples,
            seed,
        )
        entry: dict[str, Any] = {}
        for key, (estimate, resampled) in drawn.items():
            low, high = interval(float(estimate), resampled)
            limits = {"low": number(low), "high": number(high)}
            entry[key] = {"value": number(float(estimate)), **limits, "n": int(said.sum()), "note": ""}
        entry["beats_guess"] = bool(entry["difference"]["low"] is not None and entry["difference"]["low"] > 0)
        found[name] = entry
    return found


def _mean(values: Floats, said: NDArray[np.bool_]) -> Any:
    return lambda weights: ratio(weights[:, said] @ values, weights[:, said].sum(axis=1))
