"""Perceptual hashes of pictures in eight orientations, and pairs of near hashes found through buckets.

Owns the hash and the search; refuses to know whether a pair is a duplicate, which `duplicates` confirms. Written here
and not taken from a library: the eight orientations cost next to nothing when they are made from one set of DCT
coefficients, and the libraries at hand neither do that nor search.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

SIDE_PX = 64
"""Side of the grey thumbnails that everything here works on."""
MAX_DISTANCE, MAX_DISTANCE_OF_MANY = 14, 10
"""Most differing bits of a candidate pair, up to `_MANY` pictures and beyond."""
_MANY = 1 << 16
_CHUNK = 1 << 20
"""Hits looked at together."""

Grey = NDArray[np.uint8]
_Number = TypeVar("_Number", bound=np.generic)


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
                    near = first < second
                    first, second = first[near], second[near]
                    near = np.bitwise_count(base[first] ^ asked[second]) <= most
                    if near.any():
                        turn = np.full(int(near.sum()), orientation)
                        yield np.stack([first[near], second[near], turn], axis=1)


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
