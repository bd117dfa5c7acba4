"""Backup and restore of a store in one file.

Owns the file's form: a zip with the database (copied online, at one moment), the pictures and models that it names,
the secret and the end of the audit chain, and last `backup.json`, which names the hash of every part. A backup without
that last part is no backup. The clinic goes on working meanwhile. Everything is checked when it is restored, before
anything takes the store's place, and restoring refuses to write over a store.

Refuses PostgreSQL, which has better means of its own (docs/store.md); and to encrypt: the file holds all that the
clinic knows, the audit log's secret included, and belongs where only those may read it who may read the store.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import re
import sqlite3
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import sqlalchemy as sa

from dermaloop import __version__
from dermaloop.cases import audit
from dermaloop.cases.actor import Actor
from dermaloop.cases.anchor import Anchor
from dermaloop.cases.audit_verify import verify
from dermaloop.cases.database import now, open_database
from dermaloop.cases.errors import StoreError
from dermaloop.cases.holders import LIVING, NAMED
from dermaloop.cases.image_folder import FolderStore
from dermaloop.cases.images import DamagedImageError, MissingImageError, name_of
from dermaloop.cases.model_files import EVIDENCE_SUFFIX, sound_files
from dermaloop.cases.store import ANCHOR, DATABASE, IMAGES, KEY, MODELS, Store
from dermaloop.core.bundle import SUFFIX
from dermaloop.core.errors import OutputError
from dermaloop.core.files import replacing, replacing_folder

MANIFEST = "backup.json"
FORMAT = 1
_PIECE = 1 << 20
_DAMAGE = (KeyError, ValueError, TypeError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)
"""What the library raises on a zip whose bytes have rotted, as tried."""
_PICTURE = re.compile(rf"{IMAGES}/([0-9a-f]{{2}})/\1[0-9a-f]{{62}}")
_MODEL = re.compile(rf"{MODELS}/[0-9a-f]{{64}}({re.escape(SUFFIX)}|{re.escape(EVIDENCE_SUFFIX)})")


@dataclass(frozen=True, slots=True)
class Backup:
    """What a backup holds.

    Attributes:
        made_at: When, ISO 8601 in UTC.
        version: Of the program that made it.
        images: How many pictures.
        size_bytes: Of all parts together.
        audit_count: Entries of the audit log.
        audit_head: Hash of its last.
        unavailable: Hashes of pictures that records name and the store could not give: missing, damaged, or deleted
            while the backup ran. A backup that names a loss is better than none.
    """

    made_at: str
    version: str
    images: int
    size_bytes: int
    audit_count: int
    audit_head: str
    unavailable: tuple[str, ...]


def back_up(store: Store, actor: Actor, out: Path) -> Backup:
    """Writes a backup while the store is in use; whole or not at all.

    Args:
        store: The store; its database is SQLite.
        actor: Who.
        out: The file to write; replaced where it exists.

    Raises:
        StoreError: The database is PostgreSQL, or the store cannot be reached.
        OutputError: The file cannot be written.
    """
    if not store.database.embedded:
        raise StoreError(
            "the database is PostgreSQL, which is not backed up into one file",
            where="database",
            way_out="Use pg_dump for it, and copy the pictures, audit.key and audit.anchor: docs/store.md says how.",
        )
    with store.database.begin() as session:
        audit.append(session, actor, "store.backed_up", "store", "store", {})
    try:
        with (
            replacing(Path(out)) as temporary,
            tempfile.TemporaryDirectory(prefix=".dermaloop-backup-", dir=temporary.parent) as folder,
        ):
            copy = Path(folder) / DATABASE
            _copy_database(store, copy)
            with zipfile.ZipFile(temporary, "x", zipfile.ZIP_STORED) as packed:
                temporary.chmod(0o600)
                return _pack(store, copy, packed)
    except (OSError, sqlite3.Error) as error:  # the copy of the database is SQLite's own work
        told = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise OutputError(
            f"the backup cannot be written ({told})", where=str(out), way_out="Free space, or choose another place."
        ) from error


def _copy_database(store: Store, out: Path) -> None:
    """One moment's copy, by SQLite's own online backup; the clinic goes on writing."""
    connection = store.database.engine.raw_connection()
    try:
        with contextlib.closing(sqlite3.connect(out)) as target:
            source: Any = connection.driver_connection
            source.backup(target)
            target.execute("PRAGMA journal_mode=DELETE")  # one file, without a log beside it
    finally:
        connection.close()


def _pack(store: Store, copy: Path, packed: zipfile.ZipFile) -> Backup:
    with contextlib.closing(sqlite3.connect(copy)) as database:
        named = [row[0] for row in database.execute(NAMED)]
        registered = database.execute("SELECT file_sha256, evidence_sha256 FROM models").fetchall()
        head = database.execute("SELECT count, hash FROM audit_head").fetchone() or (0, audit.GENESIS)
    parts: dict[str, str] = {}
    size = 0
    for name, path in ((DATABASE, copy), (KEY, store.folder / KEY)):
        parts[name] = _add(packed, name, path.read_bytes() if name == KEY else path)
        size += path.stat().st_size
    # The end of the chain as of the copy: the store's own file may be further on by now.
    parts[ANCHOR] = _add(packed, ANCHOR, f"{head[0]} {head[1]}\n".encode())
    unavailable = []
    for sha256 in sorted(named):
        try:
            content = store.images.read(sha256)
        except (MissingImageError, DamagedImageError):
            unavailable.append(sha256)
        else:
            parts[f"{IMAGES}/{name_of(sha256)}"] = _add(packed, f"{IMAGES}/{name_of(sha256)}", content)
            size += len(content)
    models, lost = sound_files(store.folder / MODELS, registered)
    for path in models:
        parts[f"{MODELS}/{path.name}"] = _add(packed, f"{MODELS}/{path.name}", path)
        size += path.stat().st_size
    unavailable += lost
    about = Backup(
        made_at=now().isoformat(),
        version=__version__,
        images=len(named) - len(unavailable) + len(lost),
        size_bytes=size,
        audit_count=int(head[0]),
        audit_head=str(head[1]),
        unavailable=tuple(unavailable),
    )
    packed.writestr(MANIFEST, json.dumps({"format": FORMAT, **dataclasses.asdict(about), "parts": parts}, indent=1))
    return about


def _add(packed: zipfile.ZipFile, name: str, content: bytes | Path) -> str:
    """Adds a part; gives its hash. A database is streamed, for it may be large."""
    digest = hashlib.sha256()
    kind = zipfile.ZIP_DEFLATED if isinstance(content, Path) else zipfile.ZIP_STORED
    about = zipfile.ZipInfo(name, now().timetuple()[:6])
    about.compress_type = kind
    with packed.open(about, "w", force_zip64=True) as target:
        if isinstance(content, bytes):
            digest.update(content)
            target.write(content)
        else:
            with content.open("rb") as source:
                while piece := source.read(_PIECE):
                    digest.update(piece)
                    target.write(piece)
    return digest.hexdigest()


def restore(file: Path, folder: Path) -> Backup:
    """Makes a store of a backup, in a folder that has none; checked wholly before it takes its place.

    Args:
        file: The backup.
        folder: Where the store shall be: a folder that is not there yet, or an empty one.

    Raises:
        StoreError: The file is no whole backup; or the folder holds something; or the audit log in it does not verify.
        OutputError: The folder cannot be written.
    """
    folder = Path(folder).absolute()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise StoreError(
            "there is something here already, and restoring never writes over it",
            where=str(folder),
            way_out="Name another folder with --store, or move this one away first.",
        )
    try:
        with _opened(Path(file)) as packed, replacing_folder(folder) as temporary:
            manifest = _manifest(packed, file)
            temporary.chmod(0o700)
            (temporary / IMAGES).mkdir(mode=0o700)
            for name, digest in manifest["parts"].items():
                _extract(packed, name, digest, temporary, file)
            _prove(temporary, manifest, file)
    except OSError as error:
        raise OutputError(
            f"the store cannot be written ({error.strerror or error})", where=str(folder), way_out="Choose another one."
        ) from error
    return Backup(**{**{name: manifest[name] for name in _ABOUT}, "unavailable": tuple(manifest["unavailable"])})


_ABOUT = tuple(field.name for field in dataclasses.fields(Backup))


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[zipfile.ZipFile]:
    try:
        packed = zipfile.ZipFile(file)
    except FileNotFoundError as error:
        raise StoreError("there is no such file", where=str(file), way_out="Check the path.") from error
    except _DAMAGE as error:
        raise _no_backup(file, "it is no zip, or its end is missing") from error
    with packed:
        yield packed


def _no_backup(file: Path, why: str) -> StoreError:
    return StoreError(f"this is no whole backup: {why}", where=str(file), way_out="Use another backup.")


def _manifest(packed: zipfile.ZipFile, file: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads(packed.read(MANIFEST))
        known = {*_ABOUT, "format", "parts"} <= set(manifest)
    except _DAMAGE as error:
        raise _no_backup(file, f"{MANIFEST} is missing or damaged") from error
    if not known or manifest["format"] != FORMAT:
        raise _no_backup(file, "it was made by another version of the program")
    others = {name for name in manifest["parts"] if not (_PICTURE.fullmatch(name) or _MODEL.fullmatch(name))}
    if others != {DATABASE, KEY, ANCHOR}:
        raise _no_backup(file, "it names parts that no store has")
    return manifest


def _extract(packed: zipfile.ZipFile, name: str, digest: str, folder: Path, file: Path) -> None:
    """One part, by the hash that the manifest names. Names were checked: none leads out of the folder."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    found = hashlib.sha256()
    try:
        with packed.open(name) as source, replacing(path) as temporary, temporary.open("xb") as target:
            temporary.chmod(0o600)
            _copy(source, target, found)
    except _DAMAGE as error:
        raise _no_backup(file, f"its part {name} is missing or damaged") from error
    if found.hexdigest() != digest:
        raise _no_backup(file, f"its part {name} is not what was backed up")


def _copy(source: IO[bytes], target: IO[bytes], digest: Any) -> None:
    while piece := source.read(_PIECE):
        digest.update(piece)
        target.write(piece)


def _prove(folder: Path, manifest: dict[str, Any], file: Path) -> None:
    """The restored store is whole: the database sound, the audit log unbroken, every picture there."""
    key = bytes.fromhex((folder / KEY).read_text().strip())
    database = open_database(f"sqlite:///{folder / DATABASE}", key, Anchor(folder / ANCHOR))
    images = FolderStore(folder / IMAGES)
    try:
        with database.read() as session:
            connection = session.connection()
            said = [row[0] for row in connection.exec_driver_sql("PRAGMA integrity_check")]
            found = verify(
                session, key, anchor=database.anchor, noted=(manifest["audit_count"], manifest["audit_head"])
            )
            named = [row[0] for row in connection.exec_driver_sql(LIVING)]
            older = "models" not in sa.inspect(connection).get_table_names()
            registered = "SELECT file_sha256, evidence_sha256 FROM models"
            models = [] if older else [tuple(row) for row in connection.exec_driver_sql(registered)]
    finally:
        database.close()
    if said != ["ok"]:
        raise _no_backup(file, f"its database is damaged ({said[0]})")
    if not found.intact:
        raise _no_backup(file, f"its audit log is broken: {found.findings[0].text}")
    absent = {sha256 for sha256 in named if not images.has(sha256)} - set(manifest["unavailable"])
    if absent:
        raise _no_backup(file, f"{len(absent)} pictures are missing")
    gone = set(sound_files(folder / MODELS, models)[1]) - set(manifest["unavailable"])
    if gone:
        raise _no_backup(file, f"{len(gone)} files of registered models are missing")
