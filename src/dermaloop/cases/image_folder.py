"""Pictures in a folder of this computer: file to a temporary name, fsync, rename, fsync of the folder.

Owns durability on a plain file system. The contract is `cases.images`.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from dermaloop.cases.errors import StoreError
from dermaloop.cases.images import Entry, checked, missing, name_of, sha256_of


class FolderStore:
    """Pictures in a folder of this computer."""

    def __init__(self, root: Path) -> None:
        self._root = Path(root).absolute()
        try:
            self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise self._refused(error) from error

    @property
    def place(self) -> str:
        """The folder."""
        return str(self._root)

    def put(self, sha256: str, content: bytes) -> None:
        """See `ImageStore`."""
        path = self._root / name_of(sha256)
        temporary = path.with_name(f".{sha256}.{secrets.token_hex(6)}.part")
        try:
            if not self._sound(path, sha256):
                if not path.parent.exists():
                    path.parent.mkdir(exist_ok=True, mode=0o700)
                    sync_folder(self._root)
                try:
                    with os.fdopen(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as stream:
                        stream.write(content)
                        stream.flush()
                        os.fsync(stream.fileno())
                    temporary.replace(path)
                finally:
                    temporary.unlink(missing_ok=True)
            sync_folder(path.parent)  # also for one that another writer has just renamed
        except OSError as error:
            raise self._refused(error) from error

    def _sound(self, path: Path, sha256: str) -> bool:
        try:
            return hashlib.sha256(path.read_bytes()).hexdigest() == sha256
        except FileNotFoundError:
            return False

    def read(self, sha256: str) -> bytes:
        """See `ImageStore`."""
        try:
            content = (self._root / name_of(sha256)).read_bytes()
        except FileNotFoundError:
            raise missing(sha256, self.place) from None
        except OSError as error:
            raise self._refused(error) from error
        return checked(content, sha256, self.place)

    def has(self, sha256: str) -> bool:
        """See `ImageStore`."""
        return (self._root / name_of(sha256)).is_file()

    def remove(self, name: str) -> None:
        """See `ImageStore`."""
        path = (self._root / name).resolve()
        assert path.is_relative_to(self._root.resolve()), "an entry of the store"
        try:
            path.unlink(missing_ok=True)
            with contextlib.suppress(FileNotFoundError):
                sync_folder(path.parent)
        except OSError as error:
            raise self._refused(error) from error

    def entries(self) -> Iterator[Entry]:
        """See `ImageStore`."""
        for folder, _, names in os.walk(self._root):
            for one in names:
                path = Path(folder) / one
                try:
                    status = path.stat(follow_symlinks=False)
                except FileNotFoundError:  # a writer has finished since
                    continue
                name = path.relative_to(self._root).as_posix()
                changed = datetime.fromtimestamp(status.st_mtime, UTC)
                yield Entry(name, sha256_of(name), status.st_size, changed)

    def probe(self) -> None:
        """See `ImageStore`."""
        path = self._root / f".probe.{secrets.token_hex(6)}.part"
        try:
            try:
                with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as stream:
                    stream.write(b"probe")
            finally:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise self._refused(error) from error

    def _refused(self, error: OSError) -> StoreError:
        return StoreError(
            f"the image store cannot be used ({error.strerror or error})",
            where=self.place,
            way_out="Check that the folder can be written and that the disk has room.",
        )


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder survive a power cut."""
    if os.name == "nt":  # a folder cannot be opened there, and a rename is in the journal
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
