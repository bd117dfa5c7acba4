"""Pictures in object storage, through fsspec: S3 and others whose writes are all or nothing.

Owns the calls to fsspec. The contract is `cases.images`. The trade-off: what was written is read back and hashed before
it counts as stored, one request more, because a picture of a patient cannot be taken again.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from dermaloop.cases.errors import StoreError
from dermaloop.cases.images import DamagedImageError, Entry, MissingImageError, checked, missing, name_of, sha256_of


class ObjectStore:
    """Pictures in object storage, through fsspec. A write is one request: all or nothing."""

    def __init__(self, system: Any, root: str, url: str) -> None:
        self._system, self._root, self._url = system, root, url

    @property
    def place(self) -> str:
        """The address."""
        return self._url

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def put(self, sha256: str, content: bytes) -> None:
        """See `ImageStore`."""
        with contextlib.suppress(MissingImageError, DamagedImageError):
            self.read(sha256)
            return
        path = self._path(name_of(sha256))
        try:
            with self._asking():
                self._system.pipe_file(path, content)
        except FileNotFoundError as error:  # the bucket
            raise self._refused(error) from error
        self.read(sha256)  # what another program would get is what was sent

    def read(self, sha256: str) -> bytes:
        """See `ImageStore`."""
        path = self._path(name_of(sha256))
        try:
            with self._asking():
                content = bytes(self._system.cat_file(path))
        except FileNotFoundError:
            raise missing(sha256, self.place) from None
        return checked(content, sha256, self.place)

    def has(self, sha256: str) -> bool:
        """See `ImageStore`."""
        path = self._path(name_of(sha256))
        with self._asking():
            return bool(self._system.exists(path))

    def remove(self, name: str) -> None:
        """See `ImageStore`."""
        with contextlib.suppress(FileNotFoundError), self._asking():
            self._system.rm_file(self._path(name))

    def entries(self) -> Iterator[Entry]:
        """See `ImageStore`."""
        try:
            with self._asking():
                found: dict[str, dict[str, Any]] = self._system.find(self._root, detail=True)
        except FileNotFoundError:
            return
        for path, about in found.items():
            name = path[len(self._root) :].lstrip("/")
            changed = about.get("LastModified") or about.get("created")
            if isinstance(changed, datetime) and changed.tzinfo is None:
                changed = changed.replace(tzinfo=UTC)
            yield Entry(name, sha256_of(name), int(about["size"]), changed if isinstance(changed, datetime) else None)

    def probe(self) -> None:
        """See `ImageStore`."""
        name = f".probe.{secrets.token_hex(6)}"
        try:
            with self._asking():
                self._system.pipe_file(self._path(name), b"probe")
        except FileNotFoundError as error:  # the bucket
            raise self._refused(error) from error
        self.remove(name)

    @contextlib.contextmanager
    def _asking(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise
        except Exception as error:  # each storage's library raises its own kinds; here they become one
            raise self._refused(error) from error

    def _refused(self, error: Exception) -> StoreError:
        said = (str(error).splitlines() or [type(error).__name__])[0][:200]
        return StoreError(
            f"the image store does not answer as it should ({said})",
            where=self._url,
            way_out="Check its address, the access rights and that it is reachable.",
        )
