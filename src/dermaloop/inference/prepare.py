"""From the bytes of a picture to the square that the graph takes, and what is measured of it on the way.

Owns the order of decoding, preprocessing and measuring, the same for every picture. Refuses to raise for a bad file:
that is a picture with a reason.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dermaloop.core.errors import ImageError
from dermaloop.core.image import decode, read_bytes
from dermaloop.core.prediction import Reason
from dermaloop.core.preprocess import Frame, Preprocess, frame, network_picture
from dermaloop.core.quality import colour_shares, measure_luma


@dataclass(frozen=True, slots=True)
class Item:
    """One picture to classify.

    Attributes:
        name: What the prediction calls it.
        source: Its bytes, or the file to read them from (read only when its turn comes).
        pixel_aspect: See `core.preprocess.frame`.
    """

    name: str
    source: bytes | Path
    pixel_aspect: float = 1.0


@dataclass(frozen=True, slots=True)
class Prepared:
    """A picture ready for the graph, or the reason why it is not (`square` is then None).

    Attributes:
        sha256: Of the bytes; empty where they could not be read.
        square: uint8 (S, S, 3).
        frame: The square in fractions of the picture.
        quality: By measure.
        colour: See `core.quality.colour_shares`.
        unreadable: Why there is no square.
    """

    sha256: str
    square: NDArray[np.uint8] | None = None
    frame: Frame | None = None
    quality: dict[str, float] | None = None
    colour: tuple[float, float] = (0.0, 0.0)
    unreadable: Reason | None = None


def prepare(item: Item, size_px: int) -> Prepared:
    """Reads, hashes, decodes and preprocesses one picture and measures its quality; never raises for a bad file."""
    digest = ""
    try:
        content = item.source if isinstance(item.source, bytes) else read_bytes(item.source)
        digest = hashlib.sha256(content).hexdigest()
        image = decode(content, name=item.name, least_side_px=size_px).image
    except ImageError as error:
        text = f"{error.what[:1].upper()}{error.what[1:]}. {error.way_out}"
        return Prepared(digest, unreadable=Reason(error.reason, text.strip()))
    picture = network_picture(image, Preprocess(size_px), pixel_aspect=item.pixel_aspect)
    square = np.asarray(picture)
    seen = frame(image.width, image.height, pixel_aspect=item.pixel_aspect)
    return Prepared(digest, square, seen, measure_luma(picture.convert("L")), colour_shares(square))
