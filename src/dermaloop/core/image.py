"""Safe decoding: from bytes that nobody vouches for to an upright sRGB picture without metadata.

Owns the limits, the order of the checks and the one way in which any picture is decoded. Size in bytes, kind and size
in pixels are judged before a decoder runs (`core.image_kind`, `core.image_header`). Large pictures are decoded or
reduced to what the network can use. Refuses to know what the picture is for.

What it cannot see: a JPEG whose data was cut and then closed properly decodes with a grey rest, as in every viewer.
"""

from __future__ import annotations

import io
import stat
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from dermaloop.core.colour import to_srgb
from dermaloop.core.errors import ImageError
from dermaloop.core.image_header import read_header
from dermaloop.core.image_kind import REASONS, Header, refuse, sniff

__all__ = ["DEFAULT_LIMITS", "REASONS", "Decoded", "Limits", "decode", "read_bytes"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What is refused unseen."""

    max_bytes: int = 64 * 2**20
    """Of the file."""
    max_pixels: int = 50_000_000
    """Width times height: a 50-megapixel camera. At most about 12 bytes of memory each while decoding."""
    least_side_px: int = 32
    """Of the shorter side."""


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Decoded:
    """A decoded picture.

    Attributes:
        image: RGB in sRGB, upright, no metadata. May be smaller than the file's pixels (see `full_size`).
        full_size: (width, height) in pixels of the upright picture in the file.
        format: JPEG, PNG, WEBP, TIFF, BMP, HEIF, GIF.
    """

    image: Image.Image
    full_size: tuple[int, int]
    format: str


_PLUGINS: dict[str, type[ImageFile.ImageFile]] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "GIF": GifImagePlugin.GifImageFile,
}
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation to what makes it upright. Source: EXIF 2.32, tag 0x0112."""
_OVERSAMPLING = 2
"""A decoded picture is reduced by averaging only as long as its shorter side keeps this many times the pixels wanted.

A JPEG's own reduction needs no such reserve: it leaves out frequencies, which is the better filter. Measured on 200
photographs of 600x450 for an input of 224 px: 0.3 levels of 255 on average, in half the time.
"""
_BACKGROUND = (255, 255, 255)
"""Under transparent pixels: white, as viewers show them."""


def read_bytes(path: Path, *, limits: Limits = DEFAULT_LIMITS) -> bytes:
    """Reads a picture file without trusting its size or kind: nothing above the limit is read, nor a device or pipe.

    Raises:
        ImageError: `missing_file`, `unreadable_file`, `empty` or `too_large_bytes`.
    """
    name = str(path)
    try:
        status = Path(path).stat()
        if not stat.S_ISREG(status.st_mode):
            refuse("unreadable_file", name, "a folder" if stat.S_ISDIR(status.st_mode) else "not a plain file")
        if status.st_size > limits.max_bytes:
            _check_bytes(status.st_size, name, limits)
        with Path(path).open("rb") as stream:
            content = stream.read(limits.max_bytes + 1)
    except FileNotFoundError:
        refuse("missing_file", name)
    except OSError as error:
        refuse("unreadable_file", name, error.strerror or "")
    except ValueError:  # a NUL in the path
        refuse("missing_file", name)
    _check_bytes(len(content), name, limits)
    return content


def decode(
    content: bytes, *, name: str = "", least_side_px: int | None = None, limits: Limits = DEFAULT_LIMITS
) -> Decoded:
    """Decodes a picture, or refuses it with a named reason; nothing else comes out.

    Of an animation or a file of several pages the first is taken. Transparent pixels lie on white. Samples of 16 bits
    are reduced to 8. Safe to call from several threads.

    Args:
        content: The file's bytes.
        name: The file as the caller knows it; only for errors, never to tell the format.
        least_side_px: The shorter side need not have more pixels than this. None keeps all.
        limits: What is refused unseen.

    Raises:
        ImageError: `reason` is one of `REASONS`.
    """
    _check_bytes(len(content), name, limits)
    kind = sniff(content, name)
    try:
        if kind == "HEIF":
            image, header = _open_heif(content, name, limits)
        else:
            header = read_header(content, kind, name, lambda size: _check_size(size, name, limits))
            image = _open(header, kind, least_side_px)
        image = _finish(image, header, least_side_px)
    except ImageError:
        raise
    except (MemoryError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _as_refusal("too_many_pixels", name, "there is not enough memory for it") from error
    except Exception as error:  # decoders raise anything on hostile bytes; here it becomes one reason
        text = str(error)
        short = isinstance(error, EOFError) or "truncated" in text.lower() or "end of" in text.lower()
        raise _as_refusal("truncated" if short else "corrupt", name, _plain(text)) from error
    width, height = header.size
    return Decoded(image, (height, width) if header.orientation > 4 else (width, height), kind)  # noqa: PLR2004


def _as_refusal(reason: str, name: str, detail: str) -> ImageError:
    try:
        refuse(reason, name, detail)
    except ImageError as error:
        return error


def _plain(text: str) -> str:
    """A decoder's words, fit for one line."""
    return "".join(letter if letter.isprintable() else " " for letter in text)[:120].strip()


def _check_bytes(size: int, name: str, limits: Limits) -> None:
    if size > limits.max_bytes:
        refuse("too_large_bytes", name, f"{size / 2**20:.0f} MiB, at most {limits.max_bytes / 2**20:.0f} MiB")
    if size == 0:
        refuse("empty", name)


def _check_size(size: tuple[int, int], name: str, limits: Limits) -> None:
    width, height = size
    if width * height > limits.max_pixels:
        refuse("too_many_pixels", name, f"{width} x {height}, at most {limits.max_pixels / 1e6:.0f} megapixels")
    if min(width, height) < limits.least_side_px:
        refuse("too_small", name, f"{width} x {height}, at least {limits.least_side_px} on the shorter side")


def _open(header: Header, kind: str, least_side_px: int | None) -> Image.Image:
    """Decodes with Pillow's own class for the format, which neither guesses nor warns."""
    image = _PLUGINS[kind](io.BytesIO(header.picture))
    if image.size != header.size:
        raise ValueError(f"its header says {header.size}, its decoder {image.size}")
    if kind == "JPEG" and least_side_px:
        image.draft(None, (least_side_px,) * 2)  # by 2, 4 or 8, never below the size wanted
    image.load()
    return image


def _open_heif(content: bytes, name: str, limits: Limits) -> tuple[Image.Image, Header]:
    """HEIC through pillow-heif, without registering anything in Pillow; the container's rotation is applied there."""
    import pillow_heif  # noqa: PLC0415 - a large library that most pictures do not need

    opened = pillow_heif.open_heif(io.BytesIO(content), convert_hdr_to_8bit=True)
    _check_size(opened.size, name, limits)
    image = opened.to_pillow()
    return image, Header(image.size, b"", 1, opened.info.get("icc_profile") or b"")


def _finish(image: Image.Image, header: Header, least_side_px: int | None) -> Image.Image:
    """Eight bits, opaque, reduced, sRGB, upright, without metadata: in the order that costs least."""
    image = _opaque(_eight_bits(image))
    if least_side_px and (factor := min(image.size) // (least_side_px * _OVERSAMPLING)) > 1:
        image = image.reduce(factor)
    icc = header.icc if len(header.icc) > 128 else b""  # noqa: PLR2004 - a profile's own header is that long
    image = to_srgb(image, icc)
    if image.mode != "RGB":
        image = image.convert("RGB")
    if header.orientation in _UPRIGHT:
        image = image.transpose(_UPRIGHT[header.orientation])
    if isinstance(image, ImageFile.ImageFile):
        image = image.copy()  # a plain picture: leaves the file, its tags and its application segments behind
    image.info = {}
    return image


def _eight_bits(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16") or image.mode == "I":
        values = np.asarray(image)
        if image.mode == "I" and (values.min() < 0 or values.max() >= 2**16):
            raise ValueError("samples of 32 bits")
        return Image.fromarray((values.astype(np.uint32) >> 8).astype(np.uint8))
    if image.mode == "F":
        raise ValueError("samples are floating-point numbers, not a photograph's levels")
    return image


def _opaque(image: Image.Image) -> Image.Image:
    """Lays transparent pixels on white; leaves RGB, L and CMYK alone, turns all else to RGB."""
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, (*_BACKGROUND, 255)), image).convert("RGB")
    return image if image.mode in ("RGB", "L", "CMYK") else image.convert("RGB")
