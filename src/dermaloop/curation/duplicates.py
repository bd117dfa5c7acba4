"""Near-duplicates: the same picture resized, recompressed, slightly shifted, turned or mirrored, or shot again at once.

Two steps. A 64-bit perceptual hash (signs of low-frequency DCT coefficients) finds candidates in buckets, not by
comparing all pairs: two hashes that differ little agree almost everywhere in some stretch of bits. Dermoscopic pictures
look alike (a dark blob on skin, often in the same round field), so a second check confirms each candidate on fine
structure: the correlation of locally normalised grey values inside the lit field, at the best small shift.

Refuses to know diagnoses. The trade-off: a lesion photographed anew at another angle or zoom is not found; only
lesion and patient ids can tell that.

Thresholds were set by looking at the pairs found among 21,000 real pictures: see `SAME_UPRIGHT`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dermaloop.core.preprocess import Preprocess, network_input
from dermaloop.curation.sets import Sets

SIDE_PX = 64
"""Side of the grey thumbnails that everything here works on."""
SAME_UPRIGHT = 0.60
"""Least similarity of a confirmed pair. Of 76 pairs above it across HAM10000, ISIC 2017, PAD-UFES-20 and a mixed
collection, all upright ones showed one lesion; below 0.5 nearly none did."""
SAME_TURNED = 0.75
"""The same for turned or mirrored pairs: seven more chances to agree by accident, so the bar is higher."""
MAX_DISTANCE, MAX_DISTANCE_OF_MANY = 14, 10
"""Most differing bits of a candidate pair, up to `_MANY` pictures and beyond."""
_MANY = 1 << 16
MIN_OVERALL = 0.90
"""Least plain correlation of the two thumbnails at 16 x 16 before the finer check is worth its time."""
_MIN_COARSE = 0.40
"""Least correlation of coarse structure before the check at full size."""
_SELF_INVERSE = frozenset({0, 1, 2, 3, 4, 7})
"""Mirrorings and the half turn undo themselves; the quarter turns (5, 6) undo each other."""
_SHIFTS_PX = 3
_LEAST_LIT, _FULLY_LIT = 0.08, 0.15
"""Share of the thumbnail that must be lit in both pictures; below the second, agreement counts `_SMALL_FIELD` less,
because little area agrees by accident more often."""
_SMALL_FIELD = 0.1
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
FLAT = 2.0
"""Standard deviation in grey levels below which a thumbnail shows nothing that could be compared."""
_CHUNK = 1 << 20

Grey = NDArray[np.uint8]
_Number = TypeVar("_Number", bound=np.generic)


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


def perceptual_hashes(thumbnails: Grey) -> NDArray[np.uint64]:
    """The 64-bit DCT hashes of uint8 (N, 64, 64) in all eight orientations.

    Returns:
        uint64 (N, 8); column 0 is the picture as it is. Turning a picture only changes signs and order of its DCT
        coefficients, so seven more hashes cost next to nothing.

    Source: Zauner 2010, "Implementation and benchmarking of perceptual image hash functions" (DCT hash).
    """
    side = SIDE_PX // 2
    small = thumbnails.reshape(-1, side, 2, side, 2).mean((2, 4), dtype=np.float32)  # (N, 32, 32)
    step = np.arange(side)
    basis = np.cos(np.pi * (2 * step[None] + 1) * step[:8, None] / (2 * side)).astype(np.float32)  # (8, 32)
    coefficients = basis @ small @ basis.T  # (N, 8, 8)
    sign = (-1.0) ** np.arange(8, dtype=np.float32)
    columns = []
    for orientation in range(8):
        turned = coefficients.transpose(0, 2, 1) if orientation & 4 else coefficients
        turned = turned * sign[:, None] if orientation & 2 else turned
        turned = turned * sign if orientation & 1 else turned
        flat = turned.reshape(-1, 64)
        bits = flat > np.median(flat[:, 1:], axis=1, keepdims=True)
        columns.append(np.packbits(bits, axis=1).view(">u8").astype(np.uint64)[:, 0])
    return np.stack(columns, axis=1)


def turned(picture: NDArray[_Number], orientation: int) -> NDArray[_Number]:
    """The last two axes of (..., S, S) turned as `Pair.orientation` says."""
    picture = np.swapaxes(picture, -1, -2) if orientation & 4 else picture
    picture = picture[..., ::-1, :] if orientation & 2 else picture
    return picture[..., ::-1] if orientation & 1 else picture


def candidates(hashes: NDArray[np.uint64]) -> Iterator[NDArray[np.int64]]:
    """Pairs of rows whose hashes differ in few bits, in any orientation.

    Up to `_MANY` rows, each of four stretches of 16 bits is looked up with up to two bits changed; of turned pictures,
    which are copies rather than second shots, with one. So every upright pair with up to 11 differing bits is found,
    every turned one with up to 7, and most with more. With more rows there are three stretches of 21 bits, one changed,
    and at most `MAX_DISTANCE_OF_MANY` bits differ: buckets and pairs stay few, copies are found (up to 5 bits for
    certain, most with more), second shots less often.

    Args:
        hashes: uint64 (N, 8), as `perceptual_hashes` returns them.

    Yields:
        int64 (M, 3) rows of (i, j, orientation of j against i), i < j; a pair may come more than once.
    """
    rows = len(hashes)
    many = rows > _MANY
    width, bands, most = (21, 3, MAX_DISTANCE_OF_MANY) if many else (16, 4, MAX_DISTANCE)
    bits = [1 << bit for bit in range(width)]
    one_change = [0, *bits]
    two_changes = [*one_change, *(one | other for k, one in enumerate(bits) for other in bits[:k])]
    base = np.ascontiguousarray(hashes[:, 0])
    for band in range(bands):
        shift, low = np.uint64(band * width), np.uint64((1 << width) - 1)
        key = ((base >> shift) & low).astype(np.int64)
        order = np.argsort(key, kind="stable")
        starts = np.zeros((1 << width) + 1, np.int64)
        np.cumsum(np.bincount(key, minlength=1 << width), out=starts[1:])
        for orientation in range(8):
            asked = hashes[:, orientation]
            asked_key = ((asked >> shift) & low).astype(np.int64)
            for change in one_change if orientation or many else two_changes:
                begin = starts[asked_key ^ change]
                count = starts[(asked_key ^ change) + 1] - begin
                for part in _parts(count):
                    n, b = count[part], begin[part]
                    second = np.repeat(np.arange(part.start, part.stop), n)
                    first = order[np.arange(n.sum()) - np.repeat(np.cumsum(n) - n, n) + np.repeat(b, n)]
                    near = (first < second) if orientation in _SELF_INVERSE else (first != second)
                    first, second = first[near], second[near]
                    near = np.bitwise_count(base[first] ^ asked[second]) <= most
                    if near.any():
                        yield _ordered(first[near], second[near], orientation)


def _parts(count: NDArray[np.int64]) -> Iterator[slice]:
    """Stretches of rows with about `_CHUNK` hits each, so that memory stays bounded."""
    if count.sum() <= _CHUNK:
        yield slice(0, len(count))
        return
    total = np.cumsum(count)
    start = 0
    while start < len(count):
        done = total[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(total, done + _CHUNK, side="right")))
        if total[stop - 1] > done:
            yield slice(start, stop)
        start = stop


def _ordered(first: NDArray[np.int64], second: NDArray[np.int64], orientation: int) -> NDArray[np.int64]:
    swapped = first > second
    inverse = orientation if orientation in _SELF_INVERSE else 11 - orientation  # 5 <-> 6
    how = np.where(swapped, inverse, orientation)
    return np.stack([np.minimum(first, second), np.maximum(first, second), how], axis=1)


def find_in_views(thumbnails: Grey) -> list[Pair]:
    """The near-duplicates among N pictures in any of V views, each pair once with its greatest similarity.

    Args:
        thumbnails: uint8 (N, V, 64, 64), as `views` makes them; may be memory-mapped.

    Returns:
        Pairs in order of (first, second).
    """
    best: dict[tuple[int, int], Pair] = {}
    for view in range(thumbnails.shape[1]):
        for pair in find(thumbnails[:, view]):
            old = best.setdefault((pair.first, pair.second), pair)
            if pair.similarity > old.similarity:
                best[pair.first, pair.second] = pair
    return [best[key] for key in sorted(best)]


def find(thumbnails: Grey) -> list[Pair]:
    """The confirmed near-duplicates among N pictures, the best orientation of each pair.

    Args:
        thumbnails: uint8 (N, 64, 64), may be memory-mapped. Flat ones (nothing to compare) take no part.

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
    for block in candidates(hashes):
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
