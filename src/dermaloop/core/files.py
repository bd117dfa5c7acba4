"""Files that are never seen half-written: a temporary name first, then a rename.

Owns the temporary names and what happens to them on failure. Refuses to know what is written. The trade-off: a
replaced file needs room for both versions for a moment.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

_TOLD_LETTERS = 40
"""Of a file's name in its temporary name: at most 160 bytes of the 255 that there are."""


def _temporary(path: Path) -> Path:
    # A name may be as long as the file system takes it; the temporary one must not be longer.
    return path.with_name(f".{path.name[:_TOLD_LETTERS]}.{secrets.token_hex(6)}.part")


def probe(path: Path) -> None:
    """Makes the folder of `path` if need be, and a file in it for a moment.

    Raises:
        OSError: No file can be made there, or `path` is a folder.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(path)
    try:
        temporary.touch()
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`; what was written there becomes `path` when the block ends well.

    The folder is made if need be. On any error the temporary file is removed and `path` stays as it was.

    Raises:
        OSError: From making the folder, or from the rename.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(path)
    try:
        yield temporary
        with temporary.open("rb+") as stream:
            os.fsync(stream.fileno())  # else a power cut may leave the new name with old or no content
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """The same for a folder: yields an empty temporary folder that takes the place of `path`.

    An old folder is moved aside, not deleted, until the new one stands.

    Raises:
        OSError: From making a folder, or from a rename.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary, old = _temporary(path), _temporary(path)
    try:
        temporary.mkdir()
        yield temporary
        if path.exists():
            path.replace(old)
        try:
            temporary.replace(path)
        except OSError:
            if old.exists():
                old.replace(path)
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
