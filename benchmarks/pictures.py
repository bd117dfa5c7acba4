"""Pictures to measure with: photographs from a folder, or drawn ones with the grain of photographs."""

from __future__ import annotations

import io
import random
from pathlib import Path

import numpy as np
from PIL import Image

from dermaloop.core.synthetic import draw_lesion

WIDTH_PX, HEIGHT_PX = 600, 450
"""As most pictures of HAM10000."""


def jpeg(seed: int, width_px: int = WIDTH_PX, height_px: int = HEIGHT_PX) -> bytes:
    """A drawn lesion as a photograph of the size, with sensor noise so that its JPEG is as large as a real one's."""
    drawn = draw_lesion(seed, size_px=600, malignant=bool(seed % 2)).resize(
        (width_px, height_px), Image.Resampling.BICUBIC
    )
    grain = np.random.default_rng(seed).normal(0, 4, (height_px, width_px, 1)).astype(np.float32)
    noisy = np.clip(np.asarray(drawn, dtype=np.float32) + grain, 0, 255).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noisy).save(stream, "JPEG", quality=90)
    return stream.getvalue()


def some(
    count: int, folder: Path | None, width_px: int = WIDTH_PX, height_px: int = HEIGHT_PX
) -> tuple[list[bytes], str]:
    """Pictures, and what they are: a random choice (always the same) of a folder's photographs, else drawn ones."""
    if folder is None:
        return [
            jpeg(seed, width_px, height_px) for seed in range(count)
        ], f"{count} drawn pictures of {width_px}x{height_px}"
    paths, what = photographs(folder, count)
    return [path.read_bytes() for path in paths], what


def photographs(folder: Path, count: int) -> tuple[list[Path], str]:
    """A random choice (always the same) of a folder's photographs, and what they are.

    Raises:
        SystemExit: There are none.
    """
    found = sorted(folder.rglob("*.jpg"))
    if not found:
        raise SystemExit(f"{folder} holds no .jpg")
    chosen = random.Random(0).sample(found, min(count, len(found)))
    with Image.open(chosen[0]) as first:
        size = f"{first.width}x{first.height}"
    name = folder.parent.name if folder.name == "images" else folder.name
    return chosen, f"{len(chosen)} photographs of {name}, {size}"
