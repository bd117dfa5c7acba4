"""The header of a TIFF file, as `core.image_header` reads those of the other formats.

Owns the rewriting of the first directory: only the tags that hold the picture stay, all checked to lie inside the
file, so that the decoder has nothing to warn of and no metadata to keep. Camera raw files are TIFF files whose first
directory is a thumbnail; they are refused rather than judged by it.
Source: TIFF 6.0, sections 2 and 8; Adobe DNG specification for tag 50706.
"""

from __future__ import annotations

import struct

from dermaloop.core.image_kind import MAX_ICC_BYTES, Check, Header, refuse

Entries = dict[int, tuple[bytes, tuple[int, ...]]]

_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_KEPT = frozenset(
    {256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 284, 292, 293, 317, 320, 322, 323, 324, 325, 332, 338, 339, 347,
     512, 513, 514, 519, 520, 521, 529, 530, 531, 532}
)  # fmt: skip
_SINGLE = frozenset({256, 257, 259, 262, 266, 277, 278, 284, 317, 322, 323})
_SUBFILE, _WIDTH, _HEIGHT, _ORIENTATION, _TILE_WIDTH, _TILE_HEIGHT = 254, 256, 257, 274, 322, 323
_STARTS, _LENGTHS, _TILE_STARTS, _TILE_LENGTHS, _ICC, _DNG = 273, 279, 324, 325, 34675, 50706
_SUB_FOLDERS = 330
_READ = frozenset({_ORIENTATION, _ICC, _SUBFILE, _DNG, _SUB_FOLDERS})
_LARGEST_TILE_PX = 4096


def read_tiff(content: bytes, name: str, check: Check) -> Header:
    """Reads the first directory and rewrites it without metadata.

    Raises:
        ImageError: `truncated`, `corrupt`, `unsupported_format` for camera raw, or whatever `check` raises.
    """
    order = "<" if content[:2] == b"II" else ">"
    (start,) = struct.unpack_from(f"{order}I", content, 4)
    entries, icc = _entries(content, start, order, name)

    def first(tag: int, default: int) -> int:
        values = entries.get(tag, (b"", ()))[1]
        return values[0] if values else default

    if _DNG in entries or content[8:10] == b"CR" or (first(_SUBFILE, 0) & 1 and _SUB_FOLDERS in entries):
        refuse("unsupported_format", name, "camera raw")
    size = (first(_WIDTH, 0), first(_HEIGHT, 0))
    check(size)
    tile = (first(_TILE_WIDTH, 0), first(_TILE_HEIGHT, 0))
    if tile[0] > size[0] + _LARGEST_TILE_PX or tile[1] > size[1] + _LARGEST_TILE_PX:
        refuse("corrupt", name, f"tiles of {tile[0]} x {tile[1]} pixels in a picture of {size[0]} x {size[1]}")
    for starts, lengths in ((_STARTS, _LENGTHS), (_TILE_STARTS, _TILE_LENGTHS)):
        pieces = zip(entries.get(starts, (b"", ()))[1], entries.get(lengths, (b"", ()))[1], strict=False)
        if any(place + length > len(content) for place, length in pieces):
            refuse("truncated", name, "a strip of pixels lies past its end")
    kept = [entry for tag, (entry, _) in sorted(entries.items()) if tag in _KEPT]
    folder = struct.pack(f"{order}H", len(kept)) + b"".join(kept) + bytes(4)  # no next directory: first frame only
    picture = b"".join((content[:start], folder, content[start + len(folder) :]))
    return Header(size, picture, max(1, min(8, first(_ORIENTATION, 1))), icc)


def _entries(content: bytes, start: int, order: str, name: str) -> tuple[Entries, bytes]:
    """The entries that matter, by tag: the 12 bytes of each and its whole-number values; and the colour profile."""
    (count,) = struct.unpack_from(f"{order}H", content, start)
    entries: Entries = {}
    icc = b""
    for at in range(start + 2, start + 2 + 12 * count, 12):
        tag, kind, length = struct.unpack_from(f"{order}HHI", content, at)
        if tag not in _KEPT and tag not in _READ:
            continue
        size_bytes = length * _BYTES.get(kind, 0)
        (place,) = (at + 8,) if size_bytes <= 4 else struct.unpack_from(f"{order}I", content, at + 8)  # noqa: PLR2004
        if place + size_bytes > len(content):
            refuse("truncated", name, f"tag {tag} points past its end")
        if not size_bytes or (tag in _SINGLE and length != 1):
            refuse("corrupt", name, f"tag {tag} holds {length} values of type {kind}")
        if tag == _ICC:
            icc = content[place : place + size_bytes] if size_bytes <= MAX_ICC_BYTES else b""
            continue
        letter = {1: "B", 3: "H", 4: "I", 13: "I"}.get(kind)
        values = struct.unpack_from(f"{order}{length}{letter}", content, place) if letter else ()
        entries[tag] = (content[at : at + 12], values)
    return entries, icc
