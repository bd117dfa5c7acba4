"""A picture's bytes without metadata: no place, time, device, person, comment or thumbnail is stored.

Owns what is taken off and what stays. The rule that tests hold: **what is stored decodes to exactly the pixels that the
received file decodes to**, by `core.image.decode`. JPEG, PNG and WebP keep their compressed samples byte for byte and
lose all else but what those pixels need: the colour profile, and, where the picture is not upright, an EXIF block that
holds the orientation and nothing more, so that the stored file is upright wherever it is opened. Other formats, and
animations, become a PNG of the decoded pixels.

Refuses to decide what is a picture: the input is what `core.image.decode` accepted. The trade-off: a profile may name
the camera's maker, and is kept since colour matters for the diagnosis; a HEIC becomes a PNG of several times its size.
"""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from dataclasses import dataclass, field

from dermaloop.core.image import DEFAULT_LIMITS, Limits, decode
from dermaloop.core.image_header import read_header
from dermaloop.core.image_kind import Header

_UPRIGHT = 1
_APP14_LENGTH = 14  # its own two bytes of length, "Adobe", version, two flags, transform
_ICC_CHUNK = 65519  # what a JPEG segment holds beside its length and the profile's header
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD8)})
_EOI, _SOS, _DHT, _APP14 = 0xD9, 0xDA, 0xC4, 0xEE
_SCAN_PARTS = frozenset({_SOS, _DHT, 0xCC, 0xDB, 0xDC, 0xDD})  # what may stand between the scans of one picture
_WEBP_KEPT = frozenset({b"VP8X", b"ICCP", b"ALPH", b"VP8 ", b"VP8L"})
_WEBP_ICC, _WEBP_ALPHA, _WEBP_EXIF, _WEBP_ANIMATED = 0x20, 0x10, 0x08, 0x02


@dataclass(frozen=True, slots=True)
class Stripped:
    """A picture fit to be stored.

    Attributes:
        content: The bytes to store.
        sha256: Of `content`, lower-case hex: its name in the store.
        received_sha256: Of the bytes as received.
        format: JPEG, PNG or WEBP, of `content`.
        size: (width, height) in pixels of the upright picture.
    """

    content: bytes = field(repr=False)
    sha256: str
    received_sha256: str
    format: str
    size: tuple[int, int]


def strip(content: bytes, *, name: str = "", limits: Limits = DEFAULT_LIMITS) -> Stripped:
    """Takes all metadata off a picture without changing a pixel. Safe to call from several threads.

    Args:
        content: The file's bytes as received.
        name: The file as the caller knows it; only for errors.
        limits: What is refused unseen.

    Raises:
        ImageError: It is no picture that can be decoded.
    """
    decoded = decode(content, name=name, limits=limits)
    kept = None
    if decoded.format in ("JPEG", "PNG", "WEBP"):
        header = read_header(content, decoded.format, name, lambda _: None)
        kept = {"JPEG": _jpeg, "PNG": _png, "WEBP": _webp}[decoded.format](header)
        # A file may be odd in a way that a decoder forgives and this module does not foresee: pixels decide.
        if kept is not None and not _same_pixels(kept, decoded.image.tobytes(), limits):
            kept = None
    if kept is None:
        stream = io.BytesIO()
        decoded.image.save(stream, "PNG")
        kept = stream.getvalue()
    return Stripped(
        kept,
        hashlib.sha256(kept).hexdigest(),
        hashlib.sha256(content).hexdigest(),
        {b"\xff\xd8": "JPEG", b"\x89P": "PNG", b"RI": "WEBP"}[kept[:2]],
        decoded.full_size,
    )


def _same_pixels(kept: bytes, pixels: bytes, limits: Limits) -> bool:
    try:
        return decode(kept, limits=limits).image.tobytes() == pixels
    except Exception:  # noqa: BLE001 - whatever is wrong with it, it is not what may be stored
        return False


def orientation_exif(orientation: int) -> bytes:
    """A TIFF block with the one tag Orientation. Source: EXIF 2.32, sections 4.6.2 and 4.6.4."""
    return struct.pack("<2sHIHHHIHHI", b"II", 42, 8, 1, 0x0112, 3, 1, orientation, 0, 0)


def _jpeg(header: Header) -> bytes | None:
    """Source: ITU-T T.81 annex B for the markers; ICC.1:2022 annex B.4 for the profile."""
    picture = header.picture  # from SOI to the first scan without application segments, then the rest as received
    parts = [picture[:2]]
    if header.orientation != _UPRIGHT:
        parts.append(_segment(0xE1, b"Exif\0\0" + orientation_exif(header.orientation)))
    chunks = [header.icc[at : at + _ICC_CHUNK] for at in range(0, len(header.icc), _ICC_CHUNK)]
    if len(chunks) < 256:  # noqa: PLR2004 - they are counted in one byte
        parts += [
            _segment(0xE2, b"ICC_PROFILE\0" + bytes((number, len(chunks))) + chunk)
            for number, chunk in enumerate(chunks, 1)
        ]
    at = 2
    while True:
        marker, start, end = _next_segment(picture, at)
        if marker == _EOI:
            parts.append(b"\xff\xd9")  # what follows the end is no picture
            return b"".join(parts)
        if marker < 0:
            return None
        if marker == _APP14:
            end = min(end, start + 2 + _APP14_LENGTH)
            parts.append(_segment(_APP14, picture[start + 4 : end]))
        elif marker == _SOS:
            end = _scan_end(picture, end)
            parts.append(picture[start:end])
        elif marker in _SCAN_PARTS or 0xC0 <= marker <= 0xCF:  # noqa: PLR2004 - frames and tables
            parts.append(picture[start:end])
        at = end


def _segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def _next_segment(picture: bytes, at: int) -> tuple[int, int, int]:
    """(marker, start, end) of the next segment from `at`; marker -1 where there is none."""
    while (at := picture.find(b"\xff", at)) >= 0 and at + 1 < len(picture):
        marker = picture[at + 1]
        if marker == 0xFF:  # noqa: PLR2004 - a fill byte
            at += 1
        elif marker == 0 or marker in _STANDALONE:
            at += 2
        elif marker == _EOI:
            return marker, at, at + 2
        elif at + 4 > len(picture):
            break
        else:
            return marker, at, at + 2 + int.from_bytes(picture[at + 2 : at + 4], "big")
    return -1, at, at


def _scan_end(picture: bytes, at: int) -> int:
    """Where the entropy-coded samples that begin at `at` end: before the next marker that is no restart."""
    while (at := picture.find(b"\xff", at)) >= 0 and at + 1 < len(picture):
        following = picture[at + 1]
        if following not in _STANDALONE | {0x00, 0xFF}:
            return at
        at += 1 if following == 0xFF else 2  # noqa: PLR2004
    return len(picture)


def _png(header: Header) -> bytes:
    """Source: W3C PNG specification, third edition, sections 5 and 11; eXIf and iCCP stand before the first IDAT."""
    picture = header.picture
    first = 8 + 25  # signature and IHDR
    extra = b""
    if header.icc:
        extra += _chunk(b"iCCP", b"profile\0\0" + zlib.compress(header.icc))
    if header.orientation != _UPRIGHT:
        extra += _chunk(b"eXIf", orientation_exif(header.orientation))
    return picture[:first] + extra + picture[first:]


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _webp(header: Header) -> bytes | None:
    """Source: RFC 9649. An animation is not kept as one: only its first frame is seen."""
    picture, at = header.picture, 12
    size = min(len(picture), int.from_bytes(picture[4:8], "little") + 8)
    parts: list[bytes] = []
    while at + 8 <= size:
        kind, length = struct.unpack_from("<4sI", picture, at)
        end = at + 8 + length + (length & 1)
        content = picture[at + 8 : at + 8 + length]
        if kind == b"VP8X":
            if content[0] & _WEBP_ANIMATED:
                return None
            flags = content[0] & (_WEBP_ALPHA | (_WEBP_ICC if header.icc else 0))
            flags |= _WEBP_EXIF if header.orientation != _UPRIGHT else 0
            content = bytes((flags, 0, 0, 0)) + content[4:10]
        if kind in _WEBP_KEPT and not (kind == b"ICCP" and not header.icc):
            parts.append(kind + struct.pack("<I", len(content)) + content + b"\0" * (len(content) & 1))
        at = end
    if header.orientation != _UPRIGHT:
        exif = orientation_exif(header.orientation)
        parts.append(b"EXIF" + struct.pack("<I", len(exif)) + exif)
    body = b"WEBP" + b"".join(parts)
    return b"RIFF" + struct.pack("<I", len(body)) + body
