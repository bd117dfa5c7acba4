"""The store: everything that a clinic keeps, opened together.

Owns what lies where, and the secret of the audit chain. Refuses to read settings or the environment: addresses and
folders are given. By default all lies in one folder:

    dermaloop.sqlite3 (and -wal, -shm)   the records
    images/                              the pictures
    models/                              the registered bundles and their evidence
    audit.key                            the secret that keys the audit chain
    audit.anchor                         where the chain ended at the last commit
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import sqlalchemy as sa

from dermaloop.cases import audit
from dermaloop.cases.anchor import Anchor
from dermaloop.cases.database import Database, open_database, upgrade
from dermaloop.cases.errors import StoreError
from dermaloop.cases.image_folder import FolderStore, sync_folder
from dermaloop.cases.image_objects import ObjectStore
from dermaloop.cases.images import ImageStore
from dermaloop.core.errors import MissingExtraError
from dermaloop.core.files import replacing

DATABASE, IMAGES, KEY, ANCHOR = "dermaloop.sqlite3", "images", "audit.key", "audit.anchor"
MODELS = "models"
_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class Store:
    """An open store.

    Attributes:
        folder: What is the store's own on this computer: the secret, and by default all else.
        database: The records.
        images: The pictures.
    """

    folder: Path
    database: Database
    images: ImageStore

    def close(self) -> None:
        """Gives all connections back."""
        self.database.close()


def open_store(
    folder: Path,
    *,
    database_url: str | None = None,
    images_url: str | None = None,
    make: bool = True,
    check_log: bool = True,
    **image_options: Any,
) -> Store:
    """Opens a store, makes it where there is none yet, and brings its tables to this program's version.

    Args:
        folder: The store's folder.
        database_url: See `open_database`; without it, SQLite in the folder.
        images_url: See `open_images`; without it, `images` in the folder.
        make: Whether to make a store where there is none; else that is an error.
        check_log: Whether to refuse a store whose audit log has an end that the secret does not fit; off only to look
            into what happened.
        image_options: See `open_images`.

    Raises:
        StoreError: Something cannot be opened; or the audit log was written with another secret than the folder's.
        MissingExtraError: A library for PostgreSQL or object storage is not installed.
    """
    folder = Path(folder).absolute()
    if not make and not any((folder / name).exists() for name in (KEY, ANCHOR, DATABASE)):
        raise StoreError(
            "there is no store here", where=str(folder), way_out="Name its folder with --store or DERMALOOP_STORE."
        )
    url = database_url or default_database_url(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        key = _audit_key(folder, url)
    except OSError as error:
        raise StoreError(
            f"the store's folder cannot be used ({error.strerror})", where=str(folder), way_out="Choose another one."
        ) from error
    database = open_database(url, key, Anchor(folder / ANCHOR), folder / MODELS)
    try:
        upgrade(database)
        if check_log:
            _check_key(database, folder)
        return Store(folder, database, open_images(images_url or folder / IMAGES, **image_options))
    except BaseException:
        database.close()
        raise


def _check_key(database: Database, folder: Path) -> None:
    with database.read() as session:
        head = session.execute(sa.select(audit.AuditHeadRow)).scalar_one_or_none()
    if head is not None and head.mac != audit.head_mac(database.audit_key, head.count, head.hash):
        raise StoreError(
            "the audit log was written with another secret, or its end was changed",
            where=str(folder / KEY),
            way_out="Put the right audit.key back (a backup holds it); `dermaloop audit verify` says more.",
        )


def default_database_url(folder: Path) -> str:
    """SQLite in the store's folder."""
    return sa.URL.create("sqlite", database=str(folder / DATABASE)).render_as_string()


def _audit_key(folder: Path, url: str) -> bytes:
    """The secret in the folder; made once, under the writer lock, and never for a log that another one has begun."""
    path = folder / KEY
    if not path.exists():
        probe = open_database(url, b"")
        try:
            upgrade(probe)
            with probe.begin() as session:
                if not path.exists():
                    if audit.head_of(session):
                        raise StoreError(
                            "the secret of the audit log is missing",
                            where=str(path),
                            way_out="Restore audit.key from a backup; without it the log can no longer be verified.",
                        )
                    _write_key(path)
        finally:
            probe.close()
    try:
        key = bytes.fromhex(path.read_text().strip())
    except ValueError:
        key = b""
    if len(key) != _KEY_BYTES:
        raise StoreError(
            "this is no secret of an audit log", where=str(path), way_out="Restore audit.key from a backup."
        )
    return key


def _write_key(path: Path) -> None:
    with replacing(path) as temporary:
        temporary.touch(mode=0o600)
        temporary.write_text(secrets.token_hex(_KEY_BYTES) + "\n")
    if os.name != "nt":
        sync_folder(path.parent)


def open_images(url: str | Path, **options: Any) -> ImageStore:
    """Opens a store; a folder is made if need be.

    Args:
        url: A folder (as a path or `file://`), or `s3://BUCKET/PREFIX`; other fsspec addresses work where their writes
            are all or nothing.
        options: For the object storage's library, e.g. `endpoint_url`, `key`, `secret`; without them S3's own
            environment variables and files count.

    Raises:
        StoreError: The folder cannot be made, or the address cannot be understood.
        MissingExtraError: The library for the object storage is not installed.
    """
    text = str(url)
    if "://" not in text:
        return FolderStore(Path(text))
    parts = urlsplit(text)
    if parts.scheme == "file":
        return FolderStore(Path(unquote(parts.path)))
    import fsspec  # noqa: PLC0415 - only needed beyond a plain folder

    if parts.scheme == "s3":
        options.setdefault("config_kwargs", {"connect_timeout": 10, "read_timeout": 60})
    try:
        system, root = fsspec.url_to_fs(text, use_listings_cache=False, **options)
    except ImportError as error:
        raise MissingExtraError(
            f"the image store {parts.scheme}:// needs a library that is not installed",
            where=text,
            way_out="Install it: pip install 'dermaloop[department]'.",
        ) from error
    except ValueError as error:
        raise StoreError(
            "this is no address of an image store", where=text, way_out="Use a folder, or s3://BUCKET/PREFIX."
        ) from error
    except (OSError, EOFError) as error:  # some kinds connect at once
        raise StoreError(
            f"the image store cannot be reached ({error})", where=parts.hostname or text, way_out="Check its address."
        ) from error
    return ObjectStore(system, root.rstrip("/"), text)
