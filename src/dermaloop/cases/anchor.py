"""The end of the audit chain, noted in a file beside the database.

Owns one small file: how many entries there were, and the hash of the last. A chain whose tail was cut off is a valid
chain, only shorter; this note tells. It moves forward only, and is written after the commit that it notes, so that
after a crash it may lag behind the chain but never be ahead of it. Refuses to know what an entry is.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dermaloop.core.files import replacing

try:
    import fcntl
except ImportError:  # Windows, where one process serves a store
    fcntl = None  # type: ignore[assignment]

_LOG = logging.getLogger(__name__)
_THREADS = threading.Lock()


@dataclass(frozen=True, slots=True)
class Anchor:
    """The note in the file `path`."""

    path: Path

    def read(self) -> tuple[int, str] | None:
        """(number of entries, hash of the last as hex); None where nothing was noted yet.

        Raises:
            ValueError: The file holds something else.
        """
        try:
            noted = self.path.read_text()
        except FileNotFoundError:
            return None
        count, _, head = noted.strip().partition(" ")
        return int(count), head

    def advance(self, count: int, head: str) -> None:
        """Notes a later end. A failure is logged and no more: the commit that it notes has been done."""
        try:
            with _alone(self.path.parent):
                noted = self.read()
                if noted is not None and noted[0] >= count:
                    return
                with replacing(self.path) as temporary:
                    temporary.touch(mode=0o600)
                    temporary.write_text(f"{count} {head}\n")
        except (OSError, ValueError) as error:
            _LOG.warning("the end of the audit log could not be noted in %s: %s", os.fspath(self.path), error)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keeps other threads and processes out: who read an older end must not write after who wrote a newer one."""
    with _THREADS:
        if fcntl is None:
            yield
            return
        handle = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)
