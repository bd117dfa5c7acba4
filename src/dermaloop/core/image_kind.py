"""What a file is, judged by its first bytes and never by its name; and the named reasons to refuse one.

Owns the table of reasons with their plain words, and the record of what a header said. Refuses to know how anything is
decoded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from dermaloop.core.errors import ImageError


@dataclass(frozen=True, slots=True)
class _Refusal:
    what: str
    way_out: str


_REFUSALS: dict[str, _Refusal] = {
    "missing_file": _Refusal("there is no such file", "Check the path."),
    "unreadable_file": _Refusal("the file cannot be read", "Check that it is a plain file that you may read."),
    "empty": _Refusal("the file is empty", "Save or copy it again."),
    "too_large_bytes": _Refusal("the file is too large", "Save the picture as JPEG, or reduce its size."),
    "too_many_pixels": _Refusal("the picture has too many pixels", "Reduce its size and try again."),
    "too_small": _Refusal("the picture has too few pixels", "Use the original picture, not a thumbnail of it."),
    "truncated": _Refusal("the picture is incomplete: its end is missing", "Copy or upload it again."),
    "corrupt": _Refusal("the picture is damaged", "Copy or save it again from its source."),
    "unsupported_format": _Refusal(
        "this kind of picture is not supported", "Save it as JPEG, PNG, WebP, TIFF or HEIC."
    ),
    "not_an_image": _Refusal("this is not a picture", "Use a JPEG, PNG, WebP, TIFF, BMP, GIF or HEIC file."),
    "dicom": _Refusal("this is a DICOM file, not a plain picture", "Bring it in through the DICOM import."),
    "pdf": _Refusal("this is a PDF document, not a picture", "Export the photograph from it as JPEG or PNG."),
    "svg": _Refusal("this is a vector drawing (SVG), not a photograph", "Use the photograph itself."),
    "html": _Refusal("this is a web page, not a picture", "Download the picture itself, not the page around it."),
    "zip": _Refusal("this is a ZIP archive, not a picture", "Unpack it and use the pictures inside."),
    "archive": _Refusal("this is a packed archive, not a picture", "Unpack it and use the pictures inside."),
    "video": _Refusal("this is a film, not a picture", "Take a photograph, or save one frame of it."),
}

REASONS: dict[str, str] = {
    code: f"{refusal.what[0].upper()}{refusal.what[1:]}. {refusal.way_out}" for code, refusal in _REFUSALS.items()
}
"""Every reason for which a file can be refused: stable code to plain words with the way out."""


def refuse(reason: str, name: str, detail: str = "") -> NoReturn:
    """Raises the named refusal.

    Args:
        reason: A key of `REASONS`.
        name: The file as the caller knows it.
        detail: What exactly was found, with numbers.

    Raises:
        ImageError: Always.
    """
    refusal = _REFUSALS[reason]
    what = f"{refusal.what} ({detail})" if detail else refusal.what
    raise ImageError(reason, what, where=name, way_out=refusal.way_out)


MAX_ICC_BYTES = 4 * 2**20
"""Larger colour profiles are ignored."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a file's header says.

    Attributes:
        size: (width, height) as stored, before the orientation is applied.
        picture: The file's bytes without metadata; what the decoder gets.
        orientation: EXIF orientation, 1 to 8.
        icc: Colour profile, or empty.
    """

    size: tuple[int, int]
    picture: bytes
    orientation: int = 1
    icc: bytes = b""


Check = Callable[[tuple[int, int]], None]
"""Refuses a size; called as soon as the size is known, before anything is copied or unpacked."""


_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (0, b"GIF87a", "GIF"),
    (0, b"GIF89a", "GIF"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
)
"""(offset, bytes, format) of what is decoded; RIFF, BMP and ISO media files need a second look."""

_OTHER: tuple[tuple[int, bytes, str, str], ...] = (
    (128, b"DICM", "dicom", ""),
    (0, b"PK\x03\x04", "zip", ""),
    (0, b"PK\x05\x06", "zip", ""),
    (0, b"\x1f\x8b", "archive", "gzip"),
    (0, b"BZh", "archive", "bzip2"),
    (0, b"\xfd7zXZ\0", "archive", "xz"),
    (0, b"7z\xbc\xaf\x27\x1c", "archive", "7z"),
    (0, b"Rar!\x1a\x07", "archive", "RAR"),
    (0, b"\x28\xb5\x2f\xfd", "archive", "Zstandard"),
    (257, b"ustar", "archive", "tar"),
    (0, b"\x1aE\xdf\xa3", "video", "Matroska or WebM"),
    (8, b"AVI ", "video", "AVI"),
    (0, b"\0\0\x01\xba", "video", "MPEG"),
    (0, b"\0\0\0\x0cjP  \r\n\x87\n", "unsupported_format", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "unsupported_format", "JPEG 2000"),
    (0, b"\0\0\0\x0cJXL \r\n\x87\n", "unsupported_format", "JPEG XL"),
    (0, b"\xff\x0a", "unsupported_format", "JPEG XL"),
    (0, b"II+\0", "unsupported_format", "BigTIFF"),
    (0, b"MM\0+", "unsupported_format", "BigTIFF"),
    (0, b"8BPS", "unsupported_format", "Photoshop"),
    (0, b"\0\0\x01\0", "unsupported_format", "icon"),
    (0, b"\0\0\x02\0", "unsupported_format", "cursor"),
    (0, b"%!PS", "unsupported_format", "PostScript"),
    (0, b"\x76\x2f\x31\x01", "unsupported_format", "OpenEXR"),
    (0, b"#?RADIANCE", "unsupported_format", "Radiance HDR"),
    (0, b"qoif", "unsupported_format", "QOI"),
    (0, b"FUJIFILMCCD-RAW", "unsupported_format", "camera raw"),
    (0, b"IIRO", "unsupported_format", "camera raw"),
    (0, b"IIU\0", "unsupported_format", "camera raw"),
    (0, b"II\x1a\0\0\0HEAPCCDR", "unsupported_format", "camera raw"),
    (0, b"FORM", "unsupported_format", "IFF"),
    *((0, b"P%d" % digit + blank, "unsupported_format", "PNM") for digit in range(1, 8) for blank in (b"\n", b" ")),
)
"""(offset, bytes, reason, detail) of what is recognised and refused."""

_HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"})
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_STILL_BRANDS = frozenset({b"mif1", b"msf1", b"mif2"})
_BMP_HEADERS = frozenset({12, 40, 52, 56, 64, 108, 124})
LOOK_BYTES = 1024
"""How much of a file tells its format."""


def sniff(content: bytes, name: str = "") -> str:
    """The format of a picture, by content.

    Args:
        content: The file's bytes; only the first kilobyte is looked at.
        name: The file as the caller knows it, for the error only.

    Returns:
        JPEG, PNG, WEBP, TIFF, BMP, GIF or HEIF.

    Raises:
        ImageError: With the reason for which anything else is refused.
    """
    if not content:
        refuse("empty", name)
    head = bytes(content[:LOOK_BYTES])
    for offset, magic, kind in _MAGIC:
        if head.startswith(magic, offset):
            return kind
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "WEBP"
    if head.startswith(b"BM") and int.from_bytes(head[14:18], "little") in _BMP_HEADERS:
        return "BMP"
    if head[4:8] == b"ftyp":
        return _iso_media(head, name)
    for offset, magic, reason, detail in _OTHER:
        if head.startswith(magic, offset):
            refuse(reason, name, detail)
    refuse(_text_kind(head), name)


def _iso_media(head: bytes, name: str) -> str:
    """HEIC, AVIF and MP4 share one container; its brands tell them apart."""
    length = max(16, min(int.from_bytes(head[:4], "big"), len(head)))
    brands = {head[8:12], *(head[at : at + 4] for at in range(16, length - 3, 4))}
    if brands & _AVIF_BRANDS:
        refuse("unsupported_format", name, "AVIF")
    if brands & _HEIF_BRANDS or head[8:12] in _STILL_BRANDS:
        return "HEIF"
    if head[8:11] == b"crx":
        refuse("unsupported_format", name, "camera raw")
    refuse("video", name)


def _text_kind(head: bytes) -> str:
    if b"%PDF-" in head:
        return "pdf"
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "html"
    if text.startswith(b"<") and b"<svg" in text:
        return "svg"
    return "html" if text.startswith(b"<") and b"<html" in text else "not_an_image"
