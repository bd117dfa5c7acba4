"""Safe decoding: from bytes that nobody vouches for to an upright RGB picture without metadata."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image


@dataclass(frozen=True, slots=True)
class Decoded:
    """A decoded picture.

    Attributes:
        image: RGB, upright, no metadata. May be smaller than the file's pixels (see `full_size`).
        full_size: (width, height) in pixels of the upright picture in the file.
        format: JPEG, PNG, WEBP, TIFF, BMP, HEIF, GIF.
    """

    image: Image.Image
    full_size: tuple[int, int]
    format: str


def decode(content: bytes, *, name: str = "", least_side_px: int | None = None) -> Decoded:
    """Placeholder being replaced: safe decoding."""
    import io

    picture = Image.open(io.BytesIO(content))
    size = picture.size
    kind = picture.format or ""
    if least_side_px:
        picture.draft("RGB", (least_side_px, least_side_px))
    return Decoded(picture.convert("RGB"), size, kind)
