"""Which places of the picture speak for malignancy: the heatmap, and its picture.

Owns the formula and the colours. Refuses to know files and pages. The trade-off: the map is as coarse as the network's
last features (7 x 7 at 224 px), and exact there: for a network that pools its last features by a mean, plain or
weighted by attention, the classifier's output is the mean of these maps, so no gradient is approximated and the heatmap
costs nothing beyond the forward pass.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dermaloop.core.preprocess import Frame
from dermaloop.core.taxonomy import MALIGNANT, Diagnosis

_TINY = 1e-12
_LEAST_ATTENTION = 1e-3
_FLAT = 1e-5
"""Differences below this share of the evidence are rounding."""


def malignancy_weights(probability: NDArray[np.float64], classes: Sequence[Diagnosis]) -> NDArray[np.float64]:
    """How the log-odds of malignancy answer to each class's logit, up to the calibration's temperature.

    With p = softmax(logits / T + b) and m the sum of p over the malignant classes,

        d log(m / (1 - m)) / d logit_k  =  1/T * (  p_k / m        for a malignant class k,
                                                   -p_k / (1 - m)  for a benign one        )

    so the weights of the malignant classes sum to 1 and those of the benign ones to -1: what speaks for the malignant
    diagnoses that come into question, less what speaks for the benign ones that do.

    Args:
        probability: float64 (N, K), calibrated, rows sum to 1.
        classes: The K diagnoses.

    Returns:
        float64 (N, K). Where one side has no probability at all, its weights are spread evenly.
    """
    malignant = np.asarray([diagnosis in MALIGNANT for diagnosis in classes])
    weights = np.zeros_like(probability)
    for side, sign in ((malignant, 1.0), (~malignant, -1.0)):
        if side.any():
            share = probability[:, side] + _TINY
            weights[:, side] = sign * share / share.sum(axis=1, keepdims=True)
    return weights


def evidence(
    activation: NDArray[np.float32], probability: NDArray[np.float64], classes: Sequence[Diagnosis]
) -> NDArray[np.float32]:
    """Signed evidence for malignancy by place: sum over k of weight_k * activation_k, see `malignancy_weights`.

    Its mean over the places, plus a constant of the classifier's bias, is the first-order change of the log-odds of
    malignancy. For such a network this is what Grad-CAM of the log-odds computes, without its rectifier.

    Args:
        activation: float32 (N, K, h, w).
        probability: float64 (N, K).
        classes: The K diagnoses.

    Returns:
        float32 (N, h, w), positive where the picture speaks for malignancy.

    Source: Zhou et al. 2016, "Learning deep features for discriminative localization", CVPR (class activation maps);
        Selvaraju et al. 2017, "Grad-CAM", ICCV (their equality under global average pooling).
    """
    weights = malignancy_weights(probability, classes).astype(np.float32)
    total: NDArray[np.float32] = np.einsum("nk,nkhw->nhw", weights, activation)
    return total


def heatmap(
    activation: NDArray[np.float32],
    probability: NDArray[np.float64],
    classes: Sequence[Diagnosis],
    attention: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Where the picture speaks for malignancy, scaled to [0, 1] within each picture.

    What the features of a place say is taken relative to a baseline, so that a benign lesion shows its most suspicious
    part instead of the skin around it, whose evidence is merely not negative. Without attention the baseline is the
    average over the picture, and less than that is cut at 0. With attention it is the least that any place says, and
    the difference is weighed by attention twice: once as the network does it, once more because a place that the
    network hardly looked at must not become the hottest, however extreme its features:

        heat = attention^2 * (said - min(said)) / its maximum

    Of the formulas tried, this one beat a guess in the middle of the picture both by its share on the lesion and by
    its hottest place (EXPERIMENTS.md). It ranks places within one picture; it does not compare pictures. A picture that
    says the same everywhere (a blank one) gets zeros.

    Args:
        activation: float32 (N, K, h, w), attention included.
        probability: float64 (N, K).
        classes: The K diagnoses.
        attention: float32 (N, h, w), positive, mean 1; None where all places weigh the same.

    Returns:
        float32 (N, h, w) in [0, 1].
    """
    values = evidence(activation, probability, classes)
    if attention is None:
        above = np.maximum(values - values.mean(axis=(1, 2), keepdims=True), 0.0)
    else:
        weight = np.maximum(attention, np.float32(_LEAST_ATTENTION))
        said = values / weight
        above = weight * weight * (said - said.min(axis=(1, 2), keepdims=True))
    highest = above.max(axis=(1, 2), keepdims=True)
    flat = highest <= _FLAT * np.maximum(1.0, np.abs(values).max(axis=(1, 2), keepdims=True))
    scaled: NDArray[np.float32] = np.where(flat, 0.0, above / np.where(flat, 1.0, highest)).astype(np.float32)
    return scaled


# Lightness rises all the way, so a colour-blind reader and a grey print keep the order (Smith and van der Walt 2015,
# "magma", the default maps of matplotlib). Its violet and yellow ends are hues that skin does not have; viridis' green
# and the brown middle of cividis read worse on it.
_HIDDEN, _FADE = 0.1, 0.4
"""Below `_HIDDEN` nothing is drawn; over the next `_FADE` it fades in."""
_COLOURS = np.array(
    [
        (28, 16, 68),
        (79, 18, 123),
        (129, 37, 129),
        (181, 54, 122),
        (229, 80, 100),
        (251, 135, 97),
        (254, 194, 135),
        (252, 253, 191),
    ],
    dtype=np.float64,
)
"""Eight anchors of matplotlib's magma, evenly spaced over [0, 1]."""


def upsample(values: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """A heatmap float32 (h, w) enlarged smoothly to `size` (width, height) → float32 (height, width) in [0, 1]."""
    large = Image.fromarray(np.ascontiguousarray(values, dtype=np.float32)).resize(size, Image.Resampling.BICUBIC)
    return np.clip(np.asarray(large, dtype=np.float32), 0.0, 1.0)


def colours(values: NDArray[np.float32], opacity: float = 1.0) -> NDArray[np.uint8]:
    """A heatmap as colours that fade out where there is little evidence.

    Args:
        values: float32 (h, w) in [0, 1].
        opacity: Of the strongest place, in [0, 1].

    Returns:
        uint8 (h, w, 4), RGBA.
    """
    place = np.clip(values, 0.0, 1.0)
    anchors = np.linspace(0.0, 1.0, len(_COLOURS))
    alpha = np.clip((place - _HIDDEN) / _FADE, 0.0, 1.0) * opacity * 255
    channels = [np.interp(place, anchors, _COLOURS[:, channel]) for channel in range(3)]
    drawn: NDArray[np.uint8] = np.rint(np.stack([*channels, alpha], axis=-1)).astype(np.uint8)
    return drawn


def layer(values: NDArray[np.float32], size: tuple[int, int], frame: Frame, opacity: float = 1.0) -> Image.Image:
    """The heatmap alone as a transparent picture, to be laid over the photograph by whoever shows it.

    Args:
        values: float32 (h, w) in [0, 1].
        size: (width, height) of the photograph in pixels.
        frame: The square that the network saw, as `core.preprocess.frame` returns it.
        opacity: Of the strongest place, in [0, 1].

    Returns:
        RGBA picture of `size`; fully transparent outside the frame.
    """
    width, height = size
    left, top = round(frame[0] * width), round(frame[1] * height)
    right, bottom = max(left + 1, round(frame[2] * width)), max(top + 1, round(frame[3] * height))
    drawn = Image.new("RGBA", size, (0, 0, 0, 0))
    drawn.paste(Image.fromarray(colours(upsample(values, (right - left, bottom - top)), opacity)), (left, top))
    return drawn


def overlay(image: Image.Image, values: NDArray[np.float32], frame: Frame, opacity: float = 0.55) -> Image.Image:
    """The photograph with the heatmap over it.

    Args:
        image: RGB picture, upright.
        values: float32 (h, w) in [0, 1], as `heatmap` returns for one picture.
        frame: See `layer`.
        opacity: Of the strongest place, in [0, 1]; 0 gives the photograph back.

    Returns:
        RGB picture of the same size.
    """
    return Image.alpha_composite(image.convert("RGBA"), layer(values, image.size, frame, opacity)).convert("RGB")
