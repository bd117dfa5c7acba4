"""Secrets that a browser or a program carries: made at random, shown once, kept only as a hash.

Owns their making and hashing. Refuses to know what they open. The trade-off: a fast hash (SHA-256) is enough, since
256 random bits cannot be guessed; a slow one would be paid on every request.
"""

from __future__ import annotations

import hashlib
import secrets

_BYTES = 32
MOST_LENGTH = 200
"""Characters; anything longer is none of ours and is not even hashed."""


def make(prefix: str = "") -> str:
    """A new secret of 256 random bits, fit for addresses, cookies and headers."""
    return prefix + secrets.token_urlsafe(_BYTES)


def hashed(secret: str) -> str:
    """The form in which a secret is stored and looked up: SHA-256, 64 hex digits."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
