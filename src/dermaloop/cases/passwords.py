"""Passwords: which are taken, how they are kept, and how one is checked without telling who exists.

Owns the rules and the hash. Refuses to know accounts and to choose its own cryptography: Argon2id by argon2-cffi with
the parameters that its authors recommend. Hashing takes tens of milliseconds and 64 MiB on purpose, so callers run
it in a bounded number of threads, never on an event loop.

Source: RFC 9106 (Argon2; its second recommended option, the library's default); NIST SP 800-63B-4, section 3.1.1.2
(length instead of composition, Unicode normalised, no forced renewal); OWASP Password Storage Cheat Sheet.
"""

from __future__ import annotations

import functools
import hmac
import unicodedata
from dataclasses import dataclass

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from dermaloop.core.errors import DermaloopError

LEAST_LENGTH = 12
"""Characters. NIST asks for 15 where a password stands alone and 8 beside a second factor; the lock-out after a few
attempts is what makes fewer than 15 bearable."""
MOST_LENGTH = 256
"""Characters; a limit only so that hashing has one."""
_LEAST_DISTINCT = 5
_NAME_COUNTS_FROM = 3
_PRODUCT = "dermaloop"


class PasswordError(DermaloopError):
    """A password that is not taken; the text says why, never what it was."""

    code = "password"


@dataclass(frozen=True, slots=True)
class Verified:
    """Outcome of a check.

    Attributes:
        ok: Whether the password is the one.
        renewed: A new hash to store, where the stored one was made with parameters that are no longer ours.
    """

    ok: bool
    renewed: str | None = None


@functools.cache
def hasher() -> PasswordHasher:
    """The library's hasher with its own defaults, which follow RFC 9106 and rise with the library's releases."""
    return PasswordHasher()


@functools.cache
def _decoy() -> str:
    """A hash that no password has, checked where there is none, so that both take the same time."""
    return hasher().hash("a decoy; nobody signs in with it: checking it is refused below")


def warm_up() -> None:
    """Makes the decoy, so that the first sign-in under an unknown name takes no longer than the next one."""
    _decoy()


def normalised(password: str) -> str:
    """The password as it is hashed: one form for the same characters typed on different keyboards (NFKC)."""
    return unicodedata.normalize("NFKC", password)


def check_rules(password: str, name: str) -> None:
    """Refuses a password that is easily guessed.

    Args:
        password: As typed.
        name: The account's, which it must not contain.

    Raises:
        PasswordError: With the rule that it breaks.
    """
    text = normalised(password)
    folded = text.casefold()
    way_out = "Several words that have nothing to do with each other are easy to remember and hard to guess."
    if len(text) < LEAST_LENGTH:
        raise PasswordError(f"it has fewer than {LEAST_LENGTH} characters", where="password", way_out=way_out)
    if len(text) > MOST_LENGTH:
        raise PasswordError(
            f"it has more than {MOST_LENGTH} characters", where="password", way_out="Choose a shorter one."
        )
    if len(set(folded)) < _LEAST_DISTINCT:
        raise PasswordError(
            f"it consists of fewer than {_LEAST_DISTINCT} different characters", where="password", way_out=way_out
        )
    for word, said in ((normalised(name).casefold(), "the account's name"), (_PRODUCT, "the program's name")):
        if len(word) >= _NAME_COUNTS_FROM and word in folded:
            raise PasswordError(f"it contains {said}", where="password", way_out=way_out)


def hash_password(password: str) -> str:
    """The hash to store, with its salt and parameters in it. Slow on purpose."""
    return hasher().hash(normalised(password))


def verify(stored: str | None, password: str) -> Verified:
    """Checks a password. Takes the same time whether or not there is one to check against.

    Args:
        stored: The hash; None where the account does not exist, has no password or is disabled.
        password: As typed; an overlong one is wrong without being hashed whole.
    """
    text = normalised(password[: MOST_LENGTH + 1])
    try:
        hasher().verify(stored if stored is not None else _decoy(), text)
    except (VerificationError, InvalidHashError):
        return Verified(ok=False)
    if stored is None or len(text) > MOST_LENGTH:
        return Verified(ok=False)
    return Verified(ok=True, renewed=hasher().hash(text) if hasher().check_needs_rehash(stored) else None)


def same(given: str, expected: str) -> bool:
    """Whether two secrets are equal, in a time that does not tell how far they agree."""
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), expected.encode("utf-8", "surrogatepass"))
