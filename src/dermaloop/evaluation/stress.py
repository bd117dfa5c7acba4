"""How steady a decision is when the same lesion is photographed a little differently.

Owns the perturbations of a decoded picture and the counting of flipped decisions. Refuses to run a network: `pipeline`
does. The trade-off: each perturbation stays within what happens to real pictures (a phone held askew, a messenger's
JPEG, evening light), so a flip is a finding and not a curiosity.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageFilter

from dermaloop.evaluation import decisions, ranking
from dermaloop.evaluation.bootstrap import interval, replicates
from dermaloop.evaluation.figures import figure, number, shortfall
from dermaloop.evaluation.metrics import METRICS
from dermaloop.evaluation.rows import Label, Rows

Apply = Callable[[Image.Image, int], Image.Image]


@dataclass(frozen=True, slots=True)
class Perturbation:
    """One way in which the same lesion may look different.

    Attributes:
        name: Stable key.
        kind: rotation, flip, jpeg, blur, brightness, contrast, crop, white_balance, noise.
        title: For people.
        apply: (RGB picture, seed) → RGB picture; the same seed gives the same result.
        exact: Whether the lesion's pixels stay the same but for their places.
    """

    name: str
    kind: str
    title: str
    apply: Apply
    exact: bool = False


def rotate(image: Image.Image, degrees: float) -> Image.Image:
    """Rotated about its centre, the corners filled by mirroring, so that no black triangle gives the answer away."""
    pad = int(np.ceil(0.25 * max(image.size)))
    pixels = np.pad(np.asarray(image), ((pad, pad), (pad, pad), (0, 0)), mode="symmetric")
    turned = Image.fromarray(pixels).rotate(degrees, Image.Resampling.BICUBIC)
    return turned.crop((pad, pad, pad + image.width, pad + image.height))


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    """Saved as JPEG once more, with the colour subsampling that messengers use."""
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality, subsampling="4:2:0")
    with Image.open(stream) as reread:
        return reread.convert("RGB")


def blur(image: Image.Image, share_of_side: float) -> Image.Image:
    """Gaussian blur whose sigma is a share of the shorter side, so that it means the same at any size."""
    return image.filter(ImageFilter.GaussianBlur(share_of_side * min(image.size)))


def crop(image: Image.Image, kept: float) -> Image.Image:
    """The central part that keeps this share of each side: the phone held nearer."""
    left, top = (1 - kept) / 2 * image.width, (1 - kept) / 2 * image.height
    return image.resize(image.size, Image.Resampling.BICUBIC, box=(left, top, image.width - left, image.height - top))


def white_balance(image: Image.Image, red: float, blue: float) -> Image.Image:
    """Red and blue multiplied: evening light or a cloudy sky taken for daylight."""
    pixels = np.asarray(image, dtype=np.float32) * np.array([red, 1.0, blue], dtype=np.float32)
    return Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))


def noise(image: Image.Image, sigma: float, seed: int) -> Image.Image:
    """Gaussian sensor noise, sigma in units of the 0..255 scale."""
    pixels = np.asarray(image, dtype=np.float32)
    grain = np.random.default_rng(seed).normal(0.0, sigma, pixels.shape)
    return Image.fromarray(np.clip(np.rint(pixels + grain), 0, 255).astype(np.uint8))


def _perturbations() -> tuple[Perturbation, ...]:
    transpose = Image.Transpose
    return (
        Perturbation("rotate_90", "rotation", "Rotated 90°", lambda i, _: i.transpose(transpose.ROTATE_90), exact=True),
        Perturbation(
            "rotate_180", "rotation", "Rotated 180°", lambda i, _: i.transpose(transpose.ROTATE_180), exact=True
        ),
        Perturbation(
            "rotate_270", "rotation", "Rotated 270°", lambda i, _: i.transpose(transpose.ROTATE_270), exact=True
        ),
        Perturbation("rotate_15", "rotation", "Rotated 15°", lambda i, _: rotate(i, 15)),
        Perturbation("rotate_45", "rotation", "Rotated 45°", lambda i, _: rotate(i, 45)),
        Perturbation(
            "flip_sideways", "flip", "Flipped sideways", lambda i, _: i.transpose(transpose.FLIP_LEFT_RIGHT), exact=True
        ),
        Perturbation(
            "flip_over", "flip", "Flipped upside down", lambda i, _: i.transpose(transpose.FLIP_TOP_BOTTOM), exact=True
        ),
        Perturbation("jpeg_75", "jpeg", "JPEG quality 75", lambda i, _: jpeg(i, 75)),
        Perturbation("jpeg_40", "jpeg", "JPEG quality 40", lambda i, _: jpeg(i, 40)),
        Perturbation("jpeg_20", "jpeg", "JPEG quality 20", lambda i, _: jpeg(i, 20)),
        Perturbation("blur_slight", "blur", "Blur, 0.3 % of the side", lambda i, _: blur(i, 0.003)),
        Perturbation("blur_strong", "blur", "Blur, 0.8 % of the side", lambda i, _: blur(i, 0.008)),
        Perturbation("darker", "brightness", "25 % darker", lambda i, _: ImageEnhance.Brightness(i).enhance(0.75)),
        Perturbation("brighter", "brightness", "25 % brighter", lambda i, _: ImageEnhance.Brightness(i).enhance(1.25)),
        Perturbation(
            "less_contrast", "contrast", "25 % less contrast", lambda i, _: ImageEnhance.Contrast(i).enhance(0.75)
        ),
        Perturbation(
            "more_contrast", "contrast", "25 % more contrast", lambda i, _: ImageEnhance.Contrast(i).enhance(1.25)
        ),
        Perturbation("crop_90", "crop", "Central 90 %", lambda i, _: crop(i, 0.9)),
        Perturbation("crop_80", "crop", "Central 80 %", lambda i, _: crop(i, 0.8)),
        Perturbation("warmer", "white_balance", "Warmer light", lambda i, _: white_balance(i, 1.1, 0.9)),
        Perturbation("cooler", "white_balance", "Cooler light", lambda i, _: white_balance(i, 0.9, 1.1)),
        Perturbation("noise", "noise", "Sensor noise, 4 %", lambda i, seed: noise(i, 10.0, seed)),
    )


PERTURBATIONS: dict[str, Perturbation] = {perturbation.name: perturbation for perturbation in _perturbations()}
"""Every perturbation, in the order of the report."""


def compare(
    rows: Rows,
    perturbed: NDArray[np.float64],
    assessed: NDArray[np.bool_],
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """What one perturbation changed.

    Args:
        rows: The untouched pictures, with `threshold` set.
        perturbed: float64 (N,), malignant probability of the same pictures, perturbed; NaN where unreadable.
        assessed: bool (N,), whether the perturbed picture was decided.
        resamples: Bootstrap resamples.
        seed: Of the resamples; the change in AUC is paired.

    Returns:
        `flipped` (share of pictures on the other side of the operating point), `newly_declined` (of those decided
        before), `mean_change` (mean absolute change of probability), `auc_change` with interval.
    """
    usable = np.isfinite(perturbed)
    rows, perturbed, assessed = rows.select(usable), perturbed[usable], assessed[usable]
    flipped = np.asarray(np.not_equal(perturbed >= rows.threshold, rows.refer))
    declined = rows.assessed & ~assessed
    known = rows.known(Label.MALIGNANT)
    y_true, before, after = rows.y_malignant[known], rows.malignant_probability[known], perturbed[known]
    drawn = replicates(
        rows.groups,
        {
            "flipped": lambda w: decisions.share(w, flipped),
            "declined": lambda w: decisions.share(w, declined, rows.assessed),
            "before": lambda w: ranking.auc_score(y_true, before, w[:, known]),
            "after": lambda w: ranking.auc_score(y_true, after, w[:, known]),
        },
        resamples,
        seed,
    )
    cases = len(np.unique(rows.groups))
    change = float(drawn["after"][0] - drawn["before"][0])
    low, high = interval(change, drawn["after"][1] - drawn["before"][1], lowest=-1.0, highest=1.0)
    return {
        "n": len(rows),
        "flipped": figure(float(drawn["flipped"][0]), drawn["flipped"][1], len(rows), cases=cases),
        "newly_declined": figure(float(drawn["declined"][0]), drawn["declined"][1], int(rows.assessed.sum())),
        "mean_change": number(float(np.mean(np.abs(perturbed - rows.malignant_probability)))) if len(rows) else None,
        "auc_change": {
            "value": number(change),
            "low": number(low),
            "high": number(high),
            "n": int(known.sum()),
            "note": shortfall(METRICS["malignant_auc"], rows.select(known)),
        },
    }


def overall(flips: dict[str, NDArray[np.bool_]], rows: Rows, *, resamples: int = 1000, seed: int = 0) -> dict[str, Any]:
    """Over all perturbations: the mean share of flipped decisions, and of pictures that any one of them flips.

    Args:
        flips: bool (N,) by perturbation, at least one: whether the decision flipped.
        rows: The untouched pictures.
        resamples: Bootstrap resamples.
        seed: Of the resamples.
    """
    table = np.stack(list(flips.values()), axis=1)  # (N, P)
    mean = np.asarray(table.mean(axis=1))
    ever: NDArray[np.bool_] = np.asarray(table.any(axis=1))
    drawn = replicates(
        rows.groups,
        {
            "mean": lambda w: decisions.ratio(w @ mean, w.sum(axis=1)),
            "ever": lambda w: decisions.share(w, ever),
        },
        resamples,
        seed,
    )
    return {
        "mean_flipped": figure(float(drawn["mean"][0]), drawn["mean"][1], len(rows)),
        "ever_flipped": figure(float(drawn["ever"][0]), drawn["ever"][1], len(rows)),
    }
