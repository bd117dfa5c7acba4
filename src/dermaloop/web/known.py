"""Who carries which secret, as long as nothing was committed to the records since it was looked up.

Owns the memory that spares a thousand requests of one program a thousand look-ups. Whether a token or a sign-in still
holds at this moment is judged anew each time, by whoever remembers; any commit at all, of any process, makes everything
be forgotten, so that a revoked token, a smaller role and a disabled account count from the next request on. Refuses to
keep secrets: it knows their hashes.
"""

from __future__ import annotations

from typing import TypeVar

from dermaloop.cases.changes import Changes
from dermaloop.cases.secret import MOST_LENGTH, hashed

T = TypeVar("T")
_MOST = 1024


class Known:
    """What was looked up by secret. Used from one event loop.

    Args:
        changes: Tells whether anything was committed.
    """

    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self._version: int | None = None
        self._found: dict[tuple[type, str], object] = {}

    def version(self) -> int | None:
        """To be asked before a look-up, and handed to `keep` after it."""
        return self._changes.version()

    def recall(self, kind: type[T], secret: str) -> T | None:
        """What was kept for a secret; None where nothing is known, or something has changed since."""
        version = self._changes.version()
        if version is None or version != self._version:
            self._found.clear()
            self._version = version
            return None
        found = self._found.get((kind, hashed(secret))) if len(secret) <= MOST_LENGTH else None
        return found if isinstance(found, kind) else None

    def keep(self, secret: str, value: object, version: int | None) -> None:
        """Keeps what was looked up, unless something has changed meanwhile.

        Args:
            secret: By which.
            value: What was found.
            version: As it was before the look-up.
        """
        if version is None or version != self._version:
            return
        if len(self._found) >= _MOST:
            self._found.clear()
        self._found[type(value), hashed(secret)] = value
