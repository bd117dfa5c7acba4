import numpy as np
import pytest

from dermaloop.core.synthetic import draw_lesion
from dermaloop.curation import buckets
from dermaloop.curation.duplicates import thumbnail


@pytest.mark.parametrize("orientation", range(8))
def test_hashes_of_turned_pictures_are_the_columns(orientation):
    grey = thumbnail(draw_lesion(3, size_px=160))[None]
    turned = np.ascontiguousarray(buckets.turned(grey, orientation))
    expected = int(buckets.perceptual_hashes(turned)[0, 0])
    given = int(buckets.perceptual_hashes(grey)[0, orientation])
    assert (expected ^ given).bit_count() <= 2  # a coefficient next to the median may fall on either side


def close(one, other):
    return int((one ^ other).bit_count())


@pytest.mark.parametrize(("many", "certain", "most"), [(1 << 16, 11, 14), (100, 5, 10)])
def test_candidates_agree_with_comparing_all_pairs(monkeypatch, many, certain, most):
    monkeypatch.setattr(buckets, "_MANY", many)
    rng = np.random.default_rng(0)
    base = rng.integers(0, 1 << 63, 60, np.uint64)
    flips = [sum(1 << int(bit) for bit in rng.choice(64, count, replace=False)) for count in rng.integers(0, 18, 240)]
    near = base[rng.integers(0, 60, 240)] ^ np.array(flips, np.uint64)
    hashes = np.repeat(np.concatenate([base, near])[:, None], 8, axis=1)
    found = {(i, j) for block in buckets.candidates(hashes) for i, j, turn in block.tolist() if turn == 0}
    values = [int(value) for value in hashes[:, 0]]
    every = {(i, j): close(values[i], values[j]) for i in range(300) for j in range(i + 1, 300)}
    sure = {pair for pair, distance in every.items() if distance <= certain}
    allowed = {pair for pair, distance in every.items() if distance <= most}
    assert len(sure) > 60
    assert sure <= found <= allowed


def test_candidates_come_in_bounded_blocks(monkeypatch):
    monkeypatch.setattr(buckets, "_CHUNK", 64)
    hashes = np.zeros((100, 8), np.uint64)
    blocks = [block for block in buckets.candidates(hashes) if (block[:, 2] == 0).all()]
    assert max(map(len, blocks)) <= 100  # at least one row's hits at a time
    assert {(i, j) for block in blocks for i, j, _ in block.tolist()} == {(i, j) for j in range(100) for i in range(j)}
