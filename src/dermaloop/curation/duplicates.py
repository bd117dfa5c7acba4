"""Near-duplicates: the same picture resized, recompressed, slightly shifted, turned or mirrored, or shot again at once.

Two steps. A perceptual hash finds candidates in buckets, not by comparing all pairs (see `buckets`). Dermoscopic
pictures look alike (a dark blob on skin, often in the same round field), so a second check confirms each candidate on
fine structure: the correlation of locally normalised grey values inside the lit field, at the best small shift.

Refuses to know diagnoses. The trade-off: a lesion photographed anew at another angle or zoom is not found; only
lesion and patient ids can tell that.

Thresholds were set by looking at the pairs found among 21,000 real pictures: see `SAME_UPRIGHT`.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dermaloop.core.preprocess import Preprocess, network_input
from dermaloop.curation.buckets import SIDE_PX, Grey, candidates, perceptual_hashes, turned
from dermaloop.curation.sets import Sets

SAME_UPRIGHT = 0.60
"""Least similarity of a confirmed pair. Set by eye: among 21,033 pictures (HAM10000, ISIC 2017, PAD-UFES-20 and a mixed
collection) 312 pairs were found; 184 are one lesion by its id, and of the other 128 at least 127 look like one. Below
0.5 nearly all pairs are different lesions."""
SAME_TURNED = 0.75
"""The same for turned or mirrored pairs: seven more chances to agree by accident, so the bar is higher."""
MIN_OVERALL = 0.90
"""Least plain correlation of the two thumbnails at 16 x 16 before the finer check is worth its time."""
_MIN_COARSE = 0.40
"""Least correlation of coarse structure before the check at full size."""
_SHIFTS_PX = 3
_LEAST_LIT, _FULLY_LIT = 0.08, 0.15
"""Share of the thumbnail that must be lit in both pictures; below the second, agreement counts `_SMALL_FIELD` less,
because little area agrees by accident more often."""
_SMALL_FIELD = 0.1
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
FLAT = 2.0
"""Standard deviation in grey levels below which a thumbnail shows nothing that could be compared."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two pictures that show the same; `first` < `second` are row numbers.

    Attributes:
        similarity: Correlation of fine structure, in [-1, 1].
        orientation: 0 upright; else how the second is turned: bits 1 mirrored left-right, 2 top-bottom, 4 transposed.
    """

    first: int
    second: int
    similarity: float
    orientation: int


def thumbnail(image: Image.Image, *, pixel_aspect: float = 1.0) -> Grey:
    """The grey uint8 (64, 64) of the picture's central true square: the same whether or not it was cut or squashed."""
    return _grey(network_input(image, Preprocess(SIDE_PX), pixel_aspect=pixel_aspect))


def views(image: Image.Image, *, pixel_aspect: float = 1.0) -> Grey:
    """Two thumbnails, uint8 (2, 64, 64): the central true square, and the whole picture squeezed into a square.

    The first finds copies that were cut; the second those that were squeezed, also where `pixel_aspect` is a guess.
    """
    whole = np.asarray(image.resize((SIDE_PX, SIDE_PX), Image.Resampling.BILINEAR, reducing_gap=2.0), dtype=np.uint8)
    return np.stack([thumbnail(image, pixel_aspect=pixel_aspect), _grey(whole)])


def _grey(rgb: NDArray[np.uint8]) -> Grey:
    grey: Grey = np.rint(rgb.astype(np.float32) @ _LUMA).astype(np.uint8)
    return grey


def find_in_views(thumbnails: Grey, *, new_from: int = 0) -> list[Pair]:
    """The near-duplicates among N pictures in any of V views, each pair once with its greatest similarity.

    Args:
        thumbnails: uint8 (N, V, 64, 64), as `views` makes them; may be memory-mapped.
        new_from: Only pairs with at least one row from here on: what came to rows that were compared before.

    Returns:
        Pairs in order of (first, second).
    """
    best: dict[tuple[int, int], Pair] = {}
    for view in range(thumbnails.shape[1]):
        for pair in find(thumbnails[:, view], new_from=new_from):
            old = best.setdefault((pair.first, pair.second), pair)
            if pair.similarity > old.similarity:
                best[pair.first, pair.second] = pair
    return [best[key] for key in sorted(best)]


def find(thumbnails: Grey, *, new_from: int = 0) -> list[Pair]:
    """The confirmed near-duplicates among N pictures, the best orientation of each pair.

    Args:
        thumbnails: uint8 (N, 64, 64), may be memory-mapped. Flat ones (nothing to compare) take no part.
        new_from: See `find_in_views`.

    Returns:
        Pairs in order of (first, second).
    """
    if len(thumbnails) == 0:
        return []
    blocks = [thumbnails[start : start + 2048] for start in range(0, len(thumbnails), 2048)]
    hashes = np.concatenate([perceptual_hashes(block) for block in blocks])
    tiny = np.concatenate([_tiny(block) for block in blocks])  # (N, 16, 16)
    coarse = np.concatenate([_coarse(block) for block in blocks])  # (N, 32, 32)
    likely = []
    for all_pairs in candidates(hashes):
        block = all_pairs[all_pairs[:, 1] >= new_from]
        for orientation in np.unique(block[:, 2]).tolist():
            mine = block[block[:, 2] == orientation]
            overall = np.einsum("nij,nij->n", tiny[mine[:, 0]], turned(tiny[mine[:, 1]], orientation), dtype=np.float32)
            likely.append(mine[overall >= MIN_OVERALL])
    if not likely:
        return []
    unique = np.unique(np.concatenate(likely), axis=0)
    best: dict[tuple[int, int], Pair] = {}
    for start in range(0, len(unique), 2048):
        block = unique[start : start + 2048]
        block = block[_coarse_similarity(coarse, block) >= _MIN_COARSE]
        values = similarity(thumbnails, block) if len(block) else np.empty(0)
        for (first, second, orientation), value in zip(block.tolist(), values.tolist(), strict=True):
            old = best.get((first, second))
            enough = value >= (SAME_TURNED if orientation else SAME_UPRIGHT)
            if enough and (old is None or value > old.similarity):
                best[first, second] = Pair(first, second, value, orientation)
    return [best[key] for key in sorted(best)]


def _coarse(thumbnails: Grey) -> NDArray[np.int8]:
    """The fine structure inside the lit field at half the size, int8 (N, 32, 32): a byte each keeps the table small."""
    detail, lit = _detail(np.asarray(thumbnails))
    coarse: NDArray[np.int8] = np.rint((detail * lit).reshape(-1, 32, 2, 32, 2).mean((2, 4)) * 60).astype(np.int8)
    return coarse


def _coarse_similarity(coarse: NDArray[np.int8], pairs: NDArray[np.int64]) -> NDArray[np.float32]:
    """Correlation of each pair's coarse structure at the best shift of one pixel; float32 (M,)."""
    best = np.full(len(pairs), -1, np.float32)
    for orientation in np.unique(pairs[:, 2]).tolist():
        mine = pairs[:, 2] == orientation
        one = coarse[pairs[mine, 0]].astype(np.float32)
        other = turned(coarse[pairs[mine, 1]], orientation).astype(np.float32)
        length = np.sqrt(np.einsum("nij,nij->n", one, one) * np.einsum("nij,nij->n", other, other)) + 1
        top = np.full(len(one), -1, np.float32)
        for down in (-1, 0, 1):
            rows_one, rows_other = _overlap(down, 32)
            for right in (-1, 0, 1):
                columns_one, columns_other = _overlap(right, 32)
                value = np.einsum("nij,nij->n", one[:, rows_one, columns_one], other[:, rows_other, columns_other])
                top = np.maximum(top, value / length)
        best[mine] = top
    return best


def _tiny(thumbnails: Grey) -> NDArray[np.float32]:
    """Unit-length, mean-free (N, 16, 16); all zero where the thumbnail is flat."""
    small = thumbnails.reshape(-1, 16, 4, 16, 4).mean((2, 4), dtype=np.float32)
    small -= small.mean((1, 2), keepdims=True)
    length = np.sqrt((small * small).sum((1, 2), keepdims=True))
    return np.where(length > FLAT * 16, small / np.maximum(length, 1e-6), 0).astype(np.float32)


def similarity(thumbnails: Grey, pairs: NDArray[np.int64]) -> NDArray[np.float32]:
    """The correlation of fine structure of each pair, at the best shift of up to 3 pixels of 64.

    Args:
        thumbnails: uint8 (N, 64, 64).
        pairs: int64 (M, 3), as `candidates` yields them.

    Returns:
        float32 (M,), in [-1, 1]; -1 where too little of both pictures is lit.
    """
    rows, inverse = np.unique(pairs[:, :2], return_inverse=True)
    inverse = inverse.reshape(-1, 2)
    detail, lit = _detail(np.asarray(thumbnails[rows]))
    result = np.full(len(pairs), -1, np.float32)
    for orientation in np.unique(pairs[:, 2]):
        mine = np.nonzero(pairs[:, 2] == orientation)[0]
        one, other = inverse[mine, 0], inverse[mine, 1]
        result[mine] = _best_shift(
            detail[one], lit[one], turned(detail[other], int(orientation)), turned(lit[other], int(orientation))
        )
    return result


def _detail(grey: Grey) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Locally normalised grey values, and 1.0 inside the lit field away from its edge (else 0.0); both (N, 64, 64)."""
    values = grey.astype(np.float32)
    high = values - _box(values)
    detail: NDArray[np.float32] = np.clip(high / (np.sqrt(np.maximum(_box(high * high), 0)) + 3), -2, 2)
    dark = values < 45  # noqa: PLR2004 - grey level of the black around a round field
    border = np.zeros_like(dark)
    for axis in (1, 2):
        border |= np.logical_and.accumulate(dark, axis=axis)
        border |= np.flip(np.logical_and.accumulate(np.flip(dark, axis), axis=axis), axis)
    lit = (_box(border.astype(np.float32), 13) < 1e-3).astype(np.float32)  # noqa: PLR2004 - rounding
    return detail, lit


def _box(values: NDArray[np.float32], size: int = 9) -> NDArray[np.float32]:
    """Mean over size x size pixels, edges repeated; float32 (N, S, S)."""
    band = _band(values.shape[-1], size)
    blurred: NDArray[np.float32] = np.asarray(band @ values @ band.T, np.float32)
    return blurred


@functools.cache
def _band(side: int, size: int) -> NDArray[np.float32]:
    """The matrix (S, S) whose product is the running mean; a product is faster than sums of shifted copies."""
    band = np.zeros((side, side), np.float32)
    for offset in range(-(size // 2), size // 2 + 1):
        band[np.arange(side), np.clip(np.arange(side) + offset, 0, side - 1)] += 1 / size
    return band


def _best_shift(
    one: NDArray[np.float32], one_lit: NDArray[np.float32], other: NDArray[np.float32], other_lit: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Largest masked correlation over shifts, float32 (M,)."""
    best: NDArray[np.floating] = np.full(len(one), -1.0)
    least = SIDE_PX * SIDE_PX * _LEAST_LIT
    reach = range(-_SHIFTS_PX, _SHIFTS_PX + 1)
    for down in reach:
        rows_one, rows_other = _overlap(down)
        for right in reach:
            columns_one, columns_other = _overlap(right)
            x, y = one[:, rows_one, columns_one], other[:, rows_other, columns_other]
            w = one_lit[:, rows_one, columns_one] * other_lit[:, rows_other, columns_other]
            n = w.sum((1, 2))
            wx, wy = w * x, w * y
            count = np.maximum(n, 1)
            mean_x, mean_y = wx.sum((1, 2)) / count, wy.sum((1, 2)) / count
            covariance = np.einsum("nij,nij->n", wx, y) / count - mean_x * mean_y
            variance_x = np.einsum("nij,nij->n", wx, x) / count - mean_x**2
            variance_y = np.einsum("nij,nij->n", wy, y) / count - mean_y**2
            value = covariance / np.sqrt(np.maximum(variance_x * variance_y, 1e-8))
            value = value - np.where(n < SIDE_PX * SIDE_PX * _FULLY_LIT, _SMALL_FIELD, 0)
            best = np.where(n >= least, np.maximum(best, value), best)
    return best.astype(np.float32)


def _overlap(shift: int, side: int = SIDE_PX) -> tuple[slice, slice]:
    return slice(max(0, shift), side + min(0, shift)), slice(max(0, -shift), side + min(0, -shift))


def group_names(keys: list[str], pairs: list[Pair]) -> list[str]:
    """The duplicate group of each row: the smallest key among those connected; empty where a row has no duplicate.

    Args:
        keys: A unique, lasting name per row (source/image_id).
        pairs: Confirmed pairs of row numbers.
    """
    sets = Sets()
    for pair in pairs:
        sets.union(keys[pair.first], keys[pair.second])
    linked = {row for pair in pairs for row in (pair.first, pair.second)}
    return [sets.find(key) if row in linked else "" for row, key in enumerate(keys)]
