"""Which pictures a person means by the paths given: files, folders, patterns, or a list.

Owns the order and what of a folder counts as a picture. Refuses to open a picture: what is named expressly is always
taken, and refused later with its reason if it is none.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from dermaloop.core.errors import ImageError
from dermaloop.core.image_kind import LOOK_BYTES, sniff
from dermaloop.inference.classifier import Item

SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".heic", ".heif", ".hif")
)
"""Endings of the files that are taken from a folder unseen; of others the first bytes decide."""

LeftOut = Callable[[Path], None]


def pictures(paths: Iterable[str], *, left_out: LeftOut | None = None) -> Iterator[Path]:
    """The files meant by paths, lazily, one at a time.

    Args:
        paths: A file; a folder, for all files below it that are called or begin like a picture, sorted, hidden ones
            left out; or a pattern with *, ?, [ ] or ** where no file has that very name.
        left_out: Called with each file of a folder that is neither called nor begins like a picture.

    Yields:
        Files in the order given. A path to nothing is yielded as it is, so that its refusal is seen.
    """
    for path in paths:
        if os.path.isdir(path):  # noqa: PTH112 - an empty path is a folder to Path, and nothing here
            yield from _below(Path(path), left_out)
        elif glob.has_magic(path) and not os.path.lexists(path):
            yield from _matching(path)
        else:
            yield Path(path)


def listed(lines: Iterable[str]) -> Iterator[str]:
    """The paths of a list, one per line; empty lines are left out."""
    for line in lines:
        path = line.rstrip("\r\n")
        if path:
            yield path


def items(paths: Iterable[Path]) -> Iterator[Item]:
    """The pictures to classify, called by their paths as given."""
    for path in paths:
        yield Item(name_of(path), path)


def name_of(path: Path) -> str:
    """A path as text: a file name need not be valid text; what cannot be written to a table is shown as its escape."""
    return str(path).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _below(folder: Path, left_out: LeftOut | None) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if name.startswith("."):
                continue
            path = Path(place) / name
            if os.path.splitext(name)[1].lower() in SUFFIXES or _begins_like_a_picture(path):  # noqa: PTH122 - a million
                yield path
            elif left_out is not None:
                left_out(path)


def _begins_like_a_picture(path: Path) -> bool:
    """Whether the first bytes are a picture's; a file that is no plain one, or cannot be read, is not looked into."""
    if not path.is_file():
        return False
    try:
        with path.open("rb") as stream:
            sniff(stream.read(LOOK_BYTES))
    except (OSError, ImageError):
        return False
    return True


def _matching(pattern: str) -> Iterator[Path]:
    found = False
    for path in sorted(glob.iglob(pattern, recursive=True)):  # noqa: PTH207 - the pattern may be absolute
        if os.path.isdir(path):  # noqa: PTH112
            continue
        found = True
        yield Path(path)
    if not found:
        yield Path(pattern)
