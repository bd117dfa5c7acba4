"""Where the running servers of a store are reached: each notes its address in the store's folder while it runs.

Owns these notes. Refuses to know what the address is for. A note is written whole or not at all, and its server holds
a lock on it, which the system lets go when the process ends, however it ends: a note that nobody holds is of a server
that is gone. The trade-off: a system without such locks (Windows) cannot tell, and believes every note; and a server on
another computer, with records that the two share, notes in a folder of its own.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

from dermaloop.core.files import replacing

_PREFIX = "serving-"
_LONGEST = 2000
"""Characters of an address that are read."""


@contextlib.contextmanager
def noted(folder: Path, address: str) -> Iterator[None]:
    """Notes an address while the block runs. A folder that takes no note is no reason not to serve.

    Args:
        folder: Of the store; it is there.
        address: Of this process's server.
    """
    with contextlib.ExitStack() as held:
        with contextlib.suppress(OSError):
            for path, _ in _notes(folder, alive=False):
                path.unlink(missing_ok=True)
            _write(folder / f"{_PREFIX}{secrets.token_hex(6)}", address, held)
        yield


def addresses(folder: Path) -> list[str]:
    """The addresses of the servers that run on a store of this computer, the latest first.

    Args:
        folder: Of the store.
    """
    found = []
    with contextlib.suppress(OSError):
        found = _notes(folder, alive=True)
    return [address for _, address in found if address]


def _write(path: Path, address: str, held: contextlib.ExitStack) -> None:
    with replacing(path) as temporary:
        temporary.touch(mode=0o600)
        stream = held.enter_context(temporary.open("w", encoding="utf-8"))
        _lock(stream, exclusive=True)
        stream.write(address)
        stream.flush()
    held.callback(path.unlink, missing_ok=True)


def _notes(folder: Path, *, alive: bool) -> list[tuple[Path, str]]:
    found = []
    for path in folder.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError, ValueError), path.open(encoding="utf-8") as stream:
            if _is_held(stream) == alive:
                found.append((path.stat().st_mtime, path, stream.read(_LONGEST).strip()))
    return [(path, address) for _, path, address in sorted(found, reverse=True)]


def _lock(stream: IO[str], *, exclusive: bool) -> None:
    if fcntl is not None:
        fcntl.flock(stream, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)


def _is_held(stream: IO[str]) -> bool:
    if fcntl is None:
        return True
    try:
        _lock(stream, exclusive=False)
    except BlockingIOError:
        return True
    return False
