"""Size, orientation and colour profile, read from a file's header before anything is decoded.

Owns one small reader per format. Each finds the size without decoding a pixel, so that a decompression bomb is refused
for what its header says, and hands on only the parts of the file that hold the picture: the decoder never sees EXIF,
GPS, comments or thumbnails, so none can leak, and none can trip it. Refuses to know how pixels are decoded. The
trade-off: about two hundred lines that know byte layouts, against decoders that parse all metadata before anybody can
say stop. HEIC is left to its library, which reads headers lazily.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from dermaloop.core.image_kind import MAX_ICC_BYTES, Check, Header, refuse
from dermaloop.core.image_tiff import read_tiff

_MAX_PARTS = 1_000_000
"""Chunks or blocks of one file; more is an attack, not a picture."""


def read_header(content: bytes, kind: str, name: str, check: Check) -> Header:
    """Reads the header of one of JPEG, PNG, WEBP, TIFF, BMP, GIF.

    Raises:
        ImageError: `truncated` or `corrupt` where the header does not hold together; whatever `check` raises.
    """
    readers = {"JPEG": _jpeg, "PNG": _png, "WEBP": _webp, "TIFF": read_tiff, "BMP": _bmp, "GIF": _gif}
    try:
        return readers[kind](content, name, check)
    except (struct.error, IndexError):
        refuse("truncated", name, "it ends inside its header")


def exif_orientation(exif: bytes) -> int:
    """The orientation that an EXIF block states, 1 (upright) where it states none or makes no sense."""
    exif = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if not order:
        return 1
    try:
        (start,) = struct.unpack_from(f"{order}I", exif, 4)
        (count,) = struct.unpack_from(f"{order}H", exif, start)
        for at in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind, _, value = struct.unpack_from(f"{order}HHIH", exif, at)
            if tag == 0x0112 and kind == 3:  # noqa: PLR2004 - Orientation, SHORT
                return value if 1 <= value <= 8 else 1  # noqa: PLR2004
    except struct.error:
        pass
    return 1


_JPEG_END, _JPEG_SCAN, _JPEG_APP1, _JPEG_APP2 = 0xD9, 0xDA, 0xE1, 0xE2
_JPEG_STANDALONE = frozenset({0x01, *range(0xD0, 0xD8)})
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_BASELINE = frozenset({0xC0, 0xC1})
_JPEG_DROPPED = frozenset({*range(0xE0, 0xEE), 0xEF, 0xFE})  # all applications but Adobe's APP14, and comments


def _jpeg_segments(content: bytes, name: str) -> Iterator[tuple[int, int, int]]:
    """The segments up to and with the first scan: (marker, start, end). Source: ITU-T T.81 annex B."""
    at = 2
    for _ in range(_MAX_PARTS):
        at = content.find(b"\xff", at)
        if at < 0:
            refuse("truncated", name, "it ends inside its header")
        marker = content[at + 1]
        if marker in (0x00, 0xFF) or marker in _JPEG_STANDALONE:  # padding or stray bytes, as decoders skip them
            at += 1 if marker == 0xFF else 2  # noqa: PLR2004
            continue
        if marker == _JPEG_END:
            refuse("truncated", name, "it ends before its first pixel")
        (length,) = struct.unpack_from(">H", content, at + 2)
        if length < 2:  # noqa: PLR2004 - the length counts its own two bytes
            refuse("corrupt", name, "a segment of its header has an impossible length")
        yield marker, at, at + 2 + length
        if marker == _JPEG_SCAN:
            return
        at += 2 + length
    refuse("corrupt", name, "it has more segments than a picture can need")


def _jpeg(content: bytes, name: str, check: Check) -> Header:
    """Drops all application segments but Adobe's APP14, which says how four colours are stored."""
    kept, profile = [content[:2]], {}
    orientation, size, frame, scan = 1, (0, 0), 0, 0
    for marker, start, end in _jpeg_segments(content, name):
        if marker in _JPEG_FRAMES:
            if frame:
                refuse("corrupt", name, "it states its size twice")
            height, width = struct.unpack_from(">HH", content, start + 5)
            frame, size = marker, (width, height)
            check(size)
        elif marker == _JPEG_APP1 and content.startswith(b"Exif\0\0", start + 4):
            orientation = exif_orientation(content[start + 4 : end]) if orientation == 1 else orientation
        elif marker == _JPEG_APP2 and content.startswith(b"ICC_PROFILE\0", start + 4):
            profile[content[start + 16]] = content[start + 18 : end]
        if marker not in _JPEG_DROPPED and marker != _JPEG_SCAN:
            kept.append(content[start:end])
        scan = start
    if not frame:
        refuse("corrupt", name, "it has no frame header")
    close = content.rfind(b"\xff\xd9")
    if close < scan:
        refuse("truncated", name, "the marker of its end is missing")
    blocks = -(-size[0] // 8) * -(-size[1] // 8)
    if frame in _JPEG_BASELINE and (close - scan) * 8 < 2 * blocks:  # a block takes at least two bits
        refuse("truncated", name, f"{close - scan} bytes cannot hold {size[0]} x {size[1]} pixels")
    icc = b"".join(profile[number] for number in sorted(profile))
    return Header(size, b"".join((*kept, content[scan:])), orientation, _bounded(icc))


_PNG_KEPT = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})


def _png(content: bytes, name: str, check: Check) -> Header:
    """Keeps the critical chunks, checks their sums. Source: W3C PNG specification, third edition, section 5."""
    if content[12:16] != b"IHDR":
        refuse("corrupt" if len(content) > 16 else "truncated", name, "its header is missing")  # noqa: PLR2004
    size: tuple[int, int] = struct.unpack_from(">II", content, 16)
    check(size)
    kept, at, parts, icc, orientation = [content[:8]], 8, 0, b"", 1
    view = memoryview(content)
    while True:
        length, kind = struct.unpack_from(">I4s", content, at)
        end = at + 12 + length
        parts += 1
        if end > len(content):
            refuse("truncated", name, f"it ends inside its part {kind.decode('ascii', 'replace')!r}")
        if parts > _MAX_PARTS:
            refuse("corrupt", name, "it has more parts than a picture can need")
        if kind in _PNG_KEPT:
            (expected,) = struct.unpack_from(">I", content, end - 4)
            if zlib.crc32(view[at + 4 : end - 4]) != expected:
                refuse("corrupt", name, f"the checksum of its part {kind.decode()!r} is wrong")
            kept.append(content[at:end])
        elif kind == b"iCCP" and not icc:
            icc = _inflate(content[at + 8 : end - 4].partition(b"\0")[2][1:])
        elif kind == b"eXIf":
            orientation = exif_orientation(content[at + 8 : end - 4])
        if kind == b"IEND":
            break
        at = end
    return Header(size, b"".join(kept), orientation, icc)


def _inflate(packed: bytes) -> bytes:
    try:
        return _bounded(zlib.decompressobj().decompress(packed, MAX_ICC_BYTES + 1))
    except zlib.error:
        return b""


def _bounded(icc: bytes) -> bytes:
    return icc if len(icc) <= MAX_ICC_BYTES else b""


def _webp(content: bytes, name: str, check: Check) -> Header:
    """Source: RFC 9649, WebP image format."""
    if int.from_bytes(content[4:8], "little") + 8 > len(content):
        refuse("truncated", name, f"{len(content)} bytes of {int.from_bytes(content[4:8], 'little') + 8}")
    kind = content[12:16]
    if kind == b"VP8X":
        packed = content[24:30]
        size = (int.from_bytes(packed[:3], "little") + 1, int.from_bytes(packed[3:6], "little") + 1)
    elif kind == b"VP8L" and content[20] == 0x2F:  # noqa: PLR2004
        (bits,) = struct.unpack_from("<I", content, 21)
        size = ((bits & 0x3FFF) + 1, ((bits >> 14) & 0x3FFF) + 1)
    elif kind == b"VP8 " and content[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", content, 26)
        size = (width & 0x3FFF, height & 0x3FFF)
    else:
        refuse("corrupt", name, "its header is missing")
    check(size)
    orientation, icc, at, parts = 1, b"", 12, 0
    while kind == b"VP8X" and at + 8 <= len(content) and parts < _MAX_PARTS:
        chunk, length = struct.unpack_from("<4sI", content, at)
        if chunk == b"EXIF":
            orientation = exif_orientation(content[at + 8 : at + 8 + length])
        elif chunk == b"ICCP" and length <= MAX_ICC_BYTES:
            icc = content[at + 8 : at + 8 + length]
        at += 8 + length + (length & 1)
        parts += 1
    return Header(size, content, orientation, icc)


def _bmp(content: bytes, _name: str, check: Check) -> Header:
    if content[14] == 12:  # noqa: PLR2004 - the OS/2 header has 16-bit sides
        width, height = struct.unpack_from("<HH", content, 18)
    else:
        width, height = struct.unpack_from("<ii", content, 18)
    size = (abs(width), abs(height))
    check(size)
    return Header(size, content)


def _gif(content: bytes, name: str, check: Check) -> Header:
    """The first frame may be larger than the screen that the header states. Source: GIF89a specification."""
    width, height, flags = struct.unpack_from("<HHB", content, 6)
    check((width, height))
    at = 13 + (3 << ((flags & 7) + 1) if flags & 0x80 else 0)
    while content[at] == 0x21:  # noqa: PLR2004 - extension
        at += 2
        while content[at]:
            at += content[at] + 1
        at += 1
    if content[at] != 0x2C:  # noqa: PLR2004 - image descriptor
        refuse("corrupt", name, "it has no frame")
    left, top, frame_width, frame_height = struct.unpack_from("<HHHH", content, at + 1)
    size = (max(width, left + frame_width), max(height, top + frame_height))
    check(size)
    return Header(size, content)
