"""How far the follow-up page may be believed: which pairs align, how exactly, and what an outline's area is worth.

    python benchmarks/follow_up.py MANIFEST [--split validation] [--lesions 100] [--strangers 200] [--moves 50]
    python benchmarks/follow_up.py MANIFEST --lesions 60 --strangers 0 --moves 0   # areas, in about two minutes

Needs a manifest whose pictures show some lesions several times and have outlines drawn by experts (HAM10000 does).
Prints, each with its 95 % interval: how many pairs of one lesion align and how well the experts' outlines then cover
each other; how many pairs of two lesions align, which none should; how far off known moves are found; and, for two
automatic outlines, their overlap with the experts' and by how much the change of area between two pictures is off.

The outlines tried are what the shipped install has: the bundle's attention map cut at half its height, and OpenCV's
GrabCut seeded by it. The change of area is taken after aligning, so that nearer and farther pictures compare.
"""

from __future__ import annotations

import argparse
import math
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.stats import binomtest

from dermaloop.core.bundle import open_bundle
from dermaloop.core.manifest import read
from dermaloop.core.preprocess import Preprocess, network_input
from dermaloop.inference.default import default_bundle_path
from dermaloop.inference.registration import Alignment, Photograph, align
from dermaloop.inference.session import Session

Mask = NDArray[np.bool_]
GRAB_ROUNDS = 4
HALF = 0.5


def share(count: int, of: int) -> str:
    """A share with its Wilson interval."""
    low, high = binomtest(count, of).proportion_ci(method="wilson")
    return f"{count} of {of} ({low:.1%} to {high:.1%})"


def spread(values: NDArray[np.float64]) -> str:
    """A standard deviation with its interval by resampling lesions (one value each), and what it means."""
    drawn = np.random.default_rng(0).choice(values, (2000, len(values)))
    low, high = np.percentile(drawn.std(axis=1), [2.5, 97.5])
    return f"{values.std():.2f} ({low:.2f} to {high:.2f}), told from chance beyond x{math.exp(1.96 * values.std()):.1f}"


def picture(path: str) -> Image.Image:
    """A picture of the manifest, decoded."""
    with Image.open(path) as opened:
        return opened.convert("RGB")


def outline(path: str) -> Mask:
    """An expert's outline, filled."""
    with Image.open(path) as opened:
        return np.asarray(opened.convert("L")) > 127


def aligned(first: Image.Image, second: Image.Image) -> Alignment | None:
    """The second picture on the first, or None."""
    found = align(Photograph(first, first.width), Photograph(second, second.width))
    return found if isinstance(found, Alignment) else None


def laid(mask: Mask, found: Alignment, size: tuple[int, int]) -> Mask:
    """The second picture's outline on the first picture."""
    return cv2.warpAffine(mask.astype(np.uint8), np.asarray(found.matrix), size, flags=cv2.INTER_NEAREST) > 0


def dice(one: Mask, other: Mask) -> float:
    """Overlap of two outlines, in [0, 1]."""
    return float(2 * (one & other).sum() / max(1, one.sum() + other.sum()))


def known_move(image: Image.Image, rng: np.random.Generator) -> tuple[Image.Image, NDArray[np.float64]]:
    """The picture turned, scaled, shifted and relit, and the matrix back."""
    turn, scale = rng.uniform(-math.pi, math.pi), rng.uniform(0.75, 1.35)
    a, b = scale * math.cos(turn), scale * math.sin(turn)
    forth = np.array([[a, -b, 0], [b, a, 0], [0, 0, 1.0]])
    middle = np.array(image.size) / 2
    forth[:2, 2] = middle + rng.uniform(-0.06, 0.06, 2) * image.size - forth[:2, :2] @ middle
    back = np.linalg.inv(forth)[:2]
    taken = image.transform(image.size, Image.Transform.AFFINE, tuple(back.ravel()), Image.Resampling.BICUBIC)
    light = 255 * rng.uniform(0.8, 1.1) * (np.asarray(taken) / 255) ** rng.uniform(0.8, 1.25)
    return Image.fromarray(np.clip(light, 0, 255).astype(np.uint8)), back


def by_attention(image: Image.Image, session: Session) -> NDArray[np.float32]:
    """The bundle's attention over a square picture, which the network sees whole; its highest place is 1."""
    square = network_input(image, Preprocess(session.size_px))
    attention = session.run(square[None]).attention[0]
    large = cv2.resize(attention / attention.max(), image.size, interpolation=cv2.INTER_CUBIC)
    return np.clip(large, 0, 1)


def by_grabcut(image: Image.Image, attention: NDArray[np.float32]) -> Mask:
    """GrabCut from the attention: sure where it is highest and lowest. The piece that holds most of it, filled."""
    state = np.full(attention.shape, cv2.GC_PR_BGD, np.uint8)
    state[attention > 0.45], state[attention > 0.85], state[attention < 0.08] = cv2.GC_PR_FGD, cv2.GC_FGD, cv2.GC_BGD
    calm = np.ascontiguousarray(cv2.GaussianBlur(np.asarray(image), (0, 0), 1))
    cv2.setRNGSeed(0)
    try:
        cv2.grabCut(calm, state, None, np.zeros((1, 65)), np.zeros((1, 65)), GRAB_ROUNDS, cv2.GC_INIT_WITH_MASK)
    except cv2.error:  # nothing is background
        return attention > HALF
    found = np.isin(state, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
    found = cv2.morphologyEx(found, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
    count, pieces = cv2.connectedComponents(found)
    if count == 1:
        return attention > HALF
    best = 1 + int(np.argmax([attention[pieces == piece].sum() for piece in range(1, count)]))
    edges, _ = cv2.findContours((pieces == best).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(np.zeros_like(found), edges, -1, 1, -1) > 0


Picture = tuple[str, str]
"""Paths of a picture and of its outline."""


def compare_one_lesion(pairs: list[list[Picture]]) -> list[Alignment | None]:
    """Prints how many pairs of one lesion align, and how well the experts' outlines cover each other then."""
    found = [aligned(picture(one[0]), picture(two[0])) for one, two in pairs]
    covers = [
        dice(outline(one[1]), laid(outline(two[1]), where, picture(one[0]).size))
        for (one, two), where in zip(pairs, found, strict=True)
        if where is not None
    ]
    print(f"one lesion: aligned {share(len(covers), len(pairs))}; experts' outlines then cover each other with Dice")
    print(f"            {np.median(covers):.3f} in the median, {np.percentile(covers, 5):.3f} at the 5th percentile")
    return found


def compare_two_lesions(pictures: list[str], pairs: int) -> None:
    """Prints how many pairs of two lesions align, which none should."""
    rng = np.random.default_rng(1)
    drawn = [rng.choice(len(pictures), 2, replace=False) for _ in range(pairs)]
    wrong = sum(aligned(*(picture(pictures[place]) for place in pair)) is not None for pair in drawn)
    print(f"two lesions: aligned {share(wrong, pairs)}")


def find_known_moves(pictures: list[str]) -> None:
    """Prints how many known moves are found, and how exactly."""
    rng, off = np.random.default_rng(2), []
    for path in pictures:
        image = picture(path)
        taken, back = known_move(image, rng)
        where = aligned(image, taken)
        corners = np.array([[x, y, 1] for x in (0, image.width) for y in (0, image.height)]).T
        if where is not None:
            off.append(float(np.linalg.norm((np.asarray(where.matrix) - back) @ corners, axis=0).max() / image.width))
    print(f"known moves: found {share(len(off), len(pictures))}; the farthest corner is off by")
    print(f"             {np.median(off):.2%} of the width in the median, {np.max(off):.2%} at the most")


def measure_areas(pairs: list[list[Picture]], found: list[Alignment | None], session: Session) -> None:
    """Prints what automatic outlines are worth beside the experts', picture by picture and as a change between two."""
    areas: dict[str, list[tuple[float, float]]] = defaultdict(list)
    changes: dict[str, list[float]] = defaultdict(list)
    for pair, where in zip(pairs, found, strict=True):
        sizes = []
        for path, mask_path in pair:
            image, true = picture(path), outline(mask_path)
            attention = by_attention(image, session)
            drawn = {"attention": attention > HALF, "GrabCut": by_grabcut(image, attention)}
            for kind, mask in drawn.items():
                areas[kind].append((dice(mask, true), math.log((mask.sum() + 1) / true.sum())))
            sizes.append({"experts": true.sum(), **{kind: mask.sum() + 1 for kind, mask in drawn.items()}})
        if where is not None:
            nearer = 2 * math.log(where.measured_scale)
            change = {kind: math.log(sizes[1][kind] / sizes[0][kind]) + nearer for kind in sizes[0]}
            for kind, value in change.items():
                changes[kind].append(value if kind == "experts" else value - change["experts"])
    for kind, rows in areas.items():
        overlaps, errors = np.array(rows).T
        print(f"{kind}: Dice mean {overlaps.mean():.3f}, median {np.median(overlaps):.3f} of {len(rows)} pictures,")
        print(f"         log area off by {errors.mean():+.2f} +- {errors.std():.2f}")
    for kind, values in changes.items():
        what = "experts' outlines of one lesion differ in area" if kind == "experts" else f"{kind}: change of area off"
        print(f"{what} by a log of {spread(np.array(values))} ({len(values)} pairs)")


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", nargs="?", type=Path)
    parser.add_argument("--split", default="validation")
    parser.add_argument("--bundle", type=Path, default=None)
    parser.add_argument("--lesions", type=int, default=100)
    parser.add_argument("--strangers", type=int, default=200)
    parser.add_argument("--moves", type=int, default=50)
    options = parser.parse_args()
    if options.manifest is None:
        print("skipped: name a manifest with several pictures of a lesion, and outlines")
        return
    lesions: dict[str, list[Picture]] = defaultdict(list)
    for row in read(options.manifest).table.to_pylist():
        if row["split"] == options.split and row["mask_path"] and row["lesion_id"]:
            lesions[row["lesion_id"]].append((row["path"], row["mask_path"]))
    shuffled = [lesions[str(name)] for name in np.random.default_rng(0).permutation(sorted(lesions))]
    pairs = [one[:2] for one in shuffled if len(one) > 1][: options.lesions]
    firsts = [one[0][0] for one in shuffled]
    print(f"{options.manifest.name}, split {options.split}: {len(lesions)} lesions, {len(pairs)} pairs of one")
    found = compare_one_lesion(pairs)
    bundle = open_bundle(options.bundle or default_bundle_path())
    measure_areas(pairs, found, Session(bundle, threads=1))
    if options.moves:
        find_known_moves(firsts[: options.moves])
    if options.strangers:
        compare_two_lesions(firsts, options.strangers)


if __name__ == "__main__":
    main()
