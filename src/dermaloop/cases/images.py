"""The image store: pictures by the hash of their bytes, in a folder or in object storage.

Owns names, durability and the check of what is read: when `put` returns, the picture survives a power cut; what `read`
returns has the hash it was asked for, so that a damaged or exchanged file is never shown as a patient's picture. A
picture's name is its SHA-256 and nothing else: no part of a path comes from outside, equal pictures lie there once, and
no name ends in anything that a server or a desktop would run. Refuses to know records and picture formats.

Here are the contract and what both implementations share: `cases.image_folder` and `cases.image_objects`. Both are safe
to call from several threads and processes.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from dermaloop.cases.errors import StoreError

_SHA256 = re.compile("[0-9a-f]{64}")


class MissingImageError(StoreError):
    """The store has no such picture."""

    code = "image_missing"


class DamagedImageError(StoreError):
    """A stored picture is not what was stored: its hash is another."""

    code = "image_damaged"


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that lies in the store.

    Attributes:
        name: Its path within the store.
        sha256: The hash that its name states; empty for what is no stored picture (half-written, or put by others).
        size_bytes: Its size.
        changed_at: When it was written; None where the storage does not say.
    """

    name: str
    sha256: str
    size_bytes: int
    changed_at: datetime | None


class ImageStore(Protocol):
    """What both stores do. Every method raises `StoreError` where the storage cannot be reached or written."""

    def put(self, sha256: str, content: bytes) -> None:
        """Stores a picture durably; a sound one that is there already stays, a damaged one is replaced."""

    def read(self, sha256: str) -> bytes:
        """The bytes of a picture.

        Raises:
            MissingImageError: It is not there.
            DamagedImageError: Its hash is another.
        """

    def has(self, sha256: str) -> bool:
        """Whether a picture is there; its bytes are not looked at."""

    def remove(self, name: str) -> None:
        """Removes an entry by name (`name_of` for a picture); one that is not there is no error."""

    def entries(self) -> Iterator[Entry]:
        """Everything that lies in the store, in any order."""

    def probe(self) -> None:
        """Writes something and removes it again: whether a picture could be stored now."""

    @property
    def place(self) -> str:
        """Where it is, to show a person."""


def name_of(sha256: str) -> str:
    """The path of a picture within a store."""
    assert _SHA256.fullmatch(sha256), "not a SHA-256"
    return f"{sha256[:2]}/{sha256}"


def checked(content: bytes, sha256: str, place: str) -> bytes:
    """The bytes, if they have the hash.

    Raises:
        DamagedImageError: They have another.
    """
    if hashlib.sha256(content).hexdigest() != sha256:
        raise DamagedImageError(
            "a stored picture was changed or damaged",
            where=f"{place}, {name_of(sha256)}",
            way_out="Restore it from a backup; `dermaloop store check` lists all that are concerned.",
        )
    return content


def missing(sha256: str, place: str) -> MissingImageError:
    """The error for a picture that is not there."""
    return MissingImageError(
        "a stored picture is missing",
        where=f"{place}, {name_of(sha256)}",
        way_out="Restore it from a backup; `dermaloop store check` lists all that are concerned.",
    )


def sha256_of(name: str) -> str:
    """The hash that an entry's name states, '' where it is no picture's name."""
    last = name.rsplit("/", 1)[-1]
    return last if _SHA256.fullmatch(last) and name == name_of(last) else ""
