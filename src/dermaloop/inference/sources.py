"""Which pictures a person means by the paths given: files, folders, patterns, or a list.

Owns the order and what of a folder counts as a picture. Refuses to open a picture: what is named expressly is always
taken, and refused later with its reason if it is none.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from dermaloop.inference.classifier import Item

SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".heic", ".heif", ".hif")
)
"""Endings of the files that are taken from a folder. Pictures are decoded by content, whatever they are called."""


def pictures(paths: Iterable[str]) -> Iterator[Path]:
    """The files meant by paths, lazily, one at a time.

    Args:
        paths: A file; a folder, for all files below it with one of `SUFFIXES`, sorted, hidden ones left out; or a
            pattern with *, ?, [ ] or ** where no file has that very name.

    Yields:
        Files in the order given. A path to nothing is yielded as it is, so that its refusal is seen.
    """
    for path in paths:
        if os.path.isdir(path):  # noqa: PTH112 - an empty path is a folder to Path, and nothing here
            yield from _below(Path(path))
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
        # A file name need not be valid text; what cannot be written to a table is shown as its escape.
        name = str(path).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        yield Item(name, path)


def _below(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in SUFFIXES:  # noqa: PTH122 - a million
                yield Path(place) / name


def _matching(pattern: str) -> Iterator[Path]:
    found = False
    for path in sorted(glob.iglob(pattern, recursive=True)):  # noqa: PTH207 - the pattern may be absolute
        if os.path.isdir(path):  # noqa: PTH112
            continue
        found = True
        yield Path(path)
    if not found:
        yield Path(pattern)
