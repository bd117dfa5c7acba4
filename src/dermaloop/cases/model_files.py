"""The files of registered bundles and their evidence: by the hash of their bytes, in the store's folder `models`.

Owns names, durability and the check of what is read: a file is written under a temporary name, synced, renamed, the
folder synced, and read back whole before anybody may name it. Refuses to know the registry. A bundle is one file
`<sha256>.dermaloop`, its evidence one `<sha256>.evidence.zip`; equal files lie there once. The trade-off: the folder is
this computer's, also where records and pictures are a department's; servers on several computers share it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import secrets
import time
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dermaloop.cases.errors import StoreError
from dermaloop.cases.image_folder import sync_folder
from dermaloop.core import bundle as bundles
from dermaloop.core.bundle import Bundle, open_bundle
from dermaloop.core.errors import BundleError
from dermaloop.core.files import replacing

EVIDENCE_SUFFIX = ".evidence.zip"
_MOST_EVIDENCE_BYTES = 1 << 30
_PIECE = 1 << 20
_STALE_S = 3600
_RESTORE = "Restore the store's folder 'models' from a backup; 'dermaloop registry verify' lists all that is concerned."


@dataclass(frozen=True, slots=True)
class StoredBundle:
    """A bundle that lies whole in the folder."""

    sha256: str
    size_bytes: int
    bundle: Bundle


def bundle_file(folder: Path, sha256: str) -> Path:
    """Where the bundle with this hash lies."""
    return folder / f"{sha256}{bundles.SUFFIX}"


def evidence_file(folder: Path, sha256: str) -> Path:
    """Where the evidence with this hash lies."""
    return folder / f"{sha256}{EVIDENCE_SUFFIX}"


def put_bundle(folder: Path, path: Path) -> StoredBundle:
    """Stores a bundle durably and reads it back; one that is there and sound stays.

    Args:
        folder: The store's folder of models.
        path: A bundle file, kept byte by byte; or a bundle folder, which is packed.

    Raises:
        BundleError: It is no whole bundle.
        StoreError: The folder cannot be written.
    """
    path = Path(path)
    opened = open_bundle(path)
    with _written(folder):
        temporary = folder / f".{secrets.token_hex(8)}{bundles.SUFFIX}"
        try:
            if path.is_dir():
                bundles.write(temporary, opened.spec, opened.parts)
            else:
                _copy(path, temporary)
            sha256 = file_sha256(temporary)
            _keep(temporary, bundle_file(folder, sha256), sha256)
        finally:
            temporary.unlink(missing_ok=True)
    return read_bundle(folder, sha256)


def read_bundle(folder: Path, sha256: str) -> StoredBundle:
    """A stored bundle, verified: the file's hash, then every part's.

    Raises:
        BundleError: It is missing, or was changed since it was stored.
    """
    path = bundle_file(folder, sha256)
    _require(path, sha256, "the registered bundle")
    return StoredBundle(sha256, path.stat().st_size, open_bundle(path))


def read_json(folder: Path, sha256: str, part: str) -> Any:
    """A JSON part of a stored bundle without reading the rest; None where the bundle has none.

    The part is compared with the hash that the bundle states of it, not the whole file with its own: fit for showing,
    not for deciding.

    Raises:
        BundleError: The bundle is missing, or the part was changed.
    """
    path = bundle_file(folder, sha256)
    try:
        with zipfile.ZipFile(path) as packed:
            named = json.loads(packed.read(bundles.SPEC))["parts"]
            if part not in named:
                return None
            content = packed.read(part)
        if hashlib.sha256(content).hexdigest() != named[part]:
            raise _changed(path, f"the part {part!r} of the registered bundle")
        return json.loads(content)
    except FileNotFoundError as error:
        raise _missing(path, "the registered bundle") from error
    except (OSError, KeyError, TypeError, ValueError, zipfile.BadZipFile, EOFError, RuntimeError, zlib.error) as error:
        raise _changed(path, "the registered bundle") from error


def read_spec(folder: Path, sha256: str) -> dict[str, Any]:
    """What a stored bundle's `bundle.json` says, without reading the rest; for showing, not for deciding.

    Raises:
        BundleError: The bundle is missing or unreadable.
    """
    path = bundle_file(folder, sha256)
    try:
        with zipfile.ZipFile(path) as packed:
            spec = json.loads(packed.read(bundles.SPEC))
    except FileNotFoundError as error:
        raise _missing(path, "the registered bundle") from error
    except (OSError, KeyError, ValueError, zipfile.BadZipFile, EOFError, RuntimeError, zlib.error) as error:
        raise _changed(path, "the registered bundle") from error
    if not isinstance(spec, dict):
        raise _changed(path, "the registered bundle")
    return spec


def put_evidence(folder: Path, source: Path) -> str:
    """Packs a folder of evidence into one file and stores it; gives its hash. Equal folders give equal files.

    Raises:
        BundleError: It is no folder, is empty, or holds more than 1 GiB.
        StoreError: The folder cannot be written.
    """
    source = Path(source)
    found = sorted(
        (path for path in source.rglob("*") if path.is_file() and not path.is_symlink()),
        key=lambda path: path.relative_to(source).as_posix(),
    )
    if not found or sum(path.stat().st_size for path in found) > _MOST_EVIDENCE_BYTES:
        raise BundleError(
            "the folder of evidence is empty or larger than 1 GiB" if source.is_dir() else "there is no such folder",
            where=str(source),
            way_out="Name the folder that holds the gate results and the evaluation.",
        )
    with _written(folder):
        temporary = folder / f".{secrets.token_hex(8)}{EVIDENCE_SUFFIX}"
        try:
            with replacing(temporary) as half, zipfile.ZipFile(half, "x", zipfile.ZIP_DEFLATED) as packed:
                for path in found:
                    about = zipfile.ZipInfo(path.relative_to(source).as_posix())  # dated 1980: equal in, equal out
                    about.external_attr = 0o644 << 16
                    packed.writestr(about, path.read_bytes(), zipfile.ZIP_DEFLATED)
            sha256 = file_sha256(temporary)
            _keep(temporary, evidence_file(folder, sha256), sha256)
        finally:
            temporary.unlink(missing_ok=True)
    return sha256


def require_evidence(folder: Path, sha256: str) -> Path:
    """The path of stored evidence, verified by its hash.

    Raises:
        BundleError: It is missing, or was changed since it was stored.
    """
    path = evidence_file(folder, sha256)
    _require(path, sha256, "the evidence")
    return path


def read_evidence(folder: Path, sha256: str, name: str) -> Any:
    """A JSON file of stored evidence; None where it holds none of that name.

    Raises:
        BundleError: It is missing, unreadable, or was changed since it was stored.
    """
    path = require_evidence(folder, sha256)
    try:
        with zipfile.ZipFile(path) as packed:
            return json.loads(packed.read(name)) if name in packed.namelist() else None
    except (OSError, ValueError, zipfile.BadZipFile, EOFError, RuntimeError, zlib.error) as error:
        raise _changed(path, "the evidence") from error


def sound_files(folder: Path, rows: Iterable[tuple[str, str | None]]) -> tuple[list[Path], list[str]]:
    """The files that rows of the registry name: (those that are there and sound, the hashes of the others).

    Args:
        folder: The store's folder of models.
        rows: (hash of the bundle's file, hash of the evidence or None) of each.
    """
    wanted: dict[str, Path] = {}
    for bundle, evidence in rows:
        wanted[bundle] = bundle_file(folder, bundle)
        if evidence is not None:
            wanted[evidence] = evidence_file(folder, evidence)
    sound = {sha256 for sha256, path in wanted.items() if path.is_file() and file_sha256(path) == sha256}
    return [wanted[sha256] for sha256 in sorted(sound)], sorted(set(wanted) - sound)


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file, read in pieces."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _copy(source: Path, target: Path) -> None:
    with replacing(target) as half, source.open("rb") as reader, half.open("xb") as writer:
        half.chmod(0o600)
        while piece := reader.read(_PIECE):
            writer.write(piece)


def _keep(temporary: Path, path: Path, sha256: str) -> None:
    """Gives a synced file its name, unless a sound one has it; a damaged one of that name is replaced."""
    if not (path.is_file() and file_sha256(path) == sha256):
        temporary.replace(path)
    sync_folder(path.parent)


def _require(path: Path, sha256: str, what: str) -> None:
    try:
        if file_sha256(path) == sha256:
            return
    except FileNotFoundError as error:
        raise _missing(path, what) from error
    except OSError as error:
        raise BundleError(f"{what} cannot be read ({error.strerror})", where=str(path), way_out=_RESTORE) from error
    raise _changed(path, what)


def _missing(path: Path, what: str) -> BundleError:
    return BundleError(f"{what} is missing", where=str(path), way_out=_RESTORE)


def _changed(path: Path, what: str) -> BundleError:
    return BundleError(
        f"{what} was changed since it was stored (its SHA-256 differs)", where=str(path), way_out=_RESTORE
    )


@contextlib.contextmanager
def _written(folder: Path) -> Iterator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for left in folder.glob(".*"):  # by a process that was killed while it wrote
            if time.time() - left.stat().st_mtime > _STALE_S:
                left.unlink(missing_ok=True)
        yield
    except OSError as error:
        raise StoreError(
            f"the folder of models cannot be written ({error.strerror or error})",
            where=str(folder),
            way_out="Check that it can be written and that the disk has room.",
        ) from error
