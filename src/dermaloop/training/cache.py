"""The pre-decoded cache: every picture of a training, cut to the network's square, in one memory-mapped file.

Pictures are decoded once and checked against their hash as they are, so that a training step waits for no decoder.
The file is named by what is in it (rows, hashes, side), so a changed manifest gets another one and two trainings on
the same rows share one. The trade-off: disk, 3 S² bytes a picture, for about ten milliseconds of decoding a draw.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray
from rich.progress import Progress

from dermaloop.core.errors import ImageError, ManifestError, OutputError
from dermaloop.core.image import decode
from dermaloop.core.manifest import Manifest
from dermaloop.core.preprocess import Preprocess, network_input

_CHECK = "Run 'dermaloop curate check'."
_MASK_PX = 112
"""Side of the stored masks; the attention that they guide has a few places a side."""


@dataclass(frozen=True, eq=False)
class Cache:
    """Pre-decoded pictures in the order of a manifest's rows.

    Attributes:
        pictures: uint8 (N, S, S, 3), memory-mapped, read only.
        masks: uint8 (N, M, M), 255 on the outlined lesion, or None where no row has a mask.
        outlined: bool (N,), rows that have one.
        path: The pictures' file.
    """

    pictures: NDArray[np.uint8]
    masks: NDArray[np.uint8] | None
    outlined: NDArray[np.bool_]
    path: Path

    def __reduce__(self) -> tuple[Any, tuple[Path, NDArray[np.bool_]]]:
        """For loader processes that are not forked: they open the files, instead of receiving their content."""
        return _open, (self.path, self.outlined)


def open_cache(manifest: Manifest, folder: Path, size_px: int, *, progress: Progress | None = None) -> Cache:
    """Opens the cache of these rows, making it first where there is none; a half-made one is never opened.

    Where two processes want the same cache at once, one makes it and the other waits.

    Args:
        manifest: Rows; those without a hash are hashed from their file.
        folder: Where caches lie.
        size_px: Side S of the squares.
        progress: Shows the making.

    Raises:
        ManifestError: A picture cannot be read, or differs from its hash; the file is named.
        OutputError: The folder cannot be written or the disk is full.
    """
    hashes = _hashes(manifest)
    key = _key(manifest, hashes, size_px)
    path = folder / f"pictures-{size_px}-{key[:16]}.npy"
    shape = (len(manifest), size_px, size_px, 3)
    outlined = np.asarray([bool(mask) for mask in manifest.column("mask_path")], dtype=bool)
    if not _is_complete(path, key, shape):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with FileLock(path.with_suffix(".lock")):
                if not _is_complete(path, key, shape):  # another process may have made it meanwhile
                    _make(manifest, hashes, path, shape, progress)
                    note = path.with_suffix(".json.tmp")
                    note.write_text(json.dumps({"key": key, "shape": shape}), encoding="utf-8")
                    note.replace(path.with_suffix(".json"))
        except OSError as error:
            raise OutputError(
                f"the cache of {_size_bytes(shape) / 1e9:.1f} GB cannot be written ({error.strerror or error})",
                where=str(path),
                way_out="Free space, or choose another folder with --cache.",
            ) from error
    return _open(path, outlined)


def _open(path: Path, outlined: NDArray[np.bool_]) -> Cache:
    masks = np.load(_masks_of(path), mmap_mode="r") if outlined.any() else None
    return Cache(np.load(path, mmap_mode="r"), masks, outlined, path)


def _masks_of(path: Path) -> Path:
    return path.with_suffix(".masks.npy")


def _is_complete(path: Path, key: str, shape: tuple[int, ...]) -> bool:
    """Whether the note that is written last is there, and the file is as long as it must be."""
    try:
        note = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        return bool(note["key"] == key) and path.stat().st_size >= _size_bytes(shape)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _size_bytes(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape, dtype=np.int64))


def _hashes(manifest: Manifest) -> list[str]:
    """The SHA-256 of each row's file, as the manifest says or, where it does not, as the file is."""
    stated = manifest.column("sha256")
    if all(stated):
        return stated
    paths = manifest.image_paths()
    return [sha or hashlib.sha256(_read(path)).hexdigest() for sha, path in zip(stated, paths, strict=True)]


def _key(manifest: Manifest, hashes: list[str], size_px: int) -> str:
    identity = [list(pair) for pair in zip(hashes, manifest.column("pixel_aspect"), strict=True)]
    masks = [bool(mask) for mask in manifest.column("mask_path")]
    text = json.dumps([size_px, _MASK_PX, Preprocess(size_px).version, identity, masks])
    return hashlib.sha256(text.encode()).hexdigest()


def _make(manifest: Manifest, hashes: list[str], path: Path, shape: tuple[int, ...], progress: Progress | None) -> None:
    temporary = path.with_suffix(".tmp")
    path.with_suffix(".json").unlink(missing_ok=True)
    try:
        _reserve(temporary, _size_bytes(shape))
        _fill(manifest, hashes, temporary, shape, progress)
        temporary.replace(path)
        if any(manifest.column("mask_path")):
            _reserve(temporary, len(manifest) * _MASK_PX * _MASK_PX)
            _fill_masks(manifest, temporary)
            temporary.replace(_masks_of(path))
    finally:
        temporary.unlink(missing_ok=True)


def _reserve(path: Path, size_bytes: int) -> None:
    """Takes the space first: a memory-mapped write to a full disk would end the process without a word.

    Raises:
        OSError: There is not enough.
    """
    with path.open("wb") as stream:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(stream.fileno(), 0, size_bytes)
        elif shutil.disk_usage(path.parent).free < size_bytes:
            raise OSError(28, "No space left on device")


def _array_file(path: Path, shape: tuple[int, ...]) -> np.memmap[Any, np.dtype[np.uint8]]:
    """An `.npy` file of zeros, written in place, so that the reserved space stays reserved."""
    with path.open("r+b") as stream:
        np.lib.format.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": shape})
        offset = stream.tell()
    return np.memmap(path, np.uint8, "r+", offset, shape)


def _fill(manifest: Manifest, hashes: list[str], path: Path, shape: tuple[int, ...], progress: Progress | None) -> None:
    pictures = _array_file(path, shape)
    preprocess = Preprocess(shape[1])
    paths, aspects = manifest.image_paths(), manifest.column("pixel_aspect")

    def one(index: int) -> None:
        path, content = paths[index], _read(paths[index])
        if hashlib.sha256(content).hexdigest() != hashes[index]:
            what = "the picture differs from its hash in the manifest"
            raise ManifestError("changed_file", what, where=str(path), way_out=_CHECK)
        try:
            decoded = decode(content, name=path.name, least_side_px=shape[1])
        except ImageError as error:
            raise ManifestError("unreadable_file", error.what, where=str(path), way_out="Exclude the row.") from error
        pictures[index] = network_input(decoded.image, preprocess, pixel_aspect=aspects[index])

    task = progress.add_task("Decoding pictures", total=shape[0]) if progress else None
    with ThreadPoolExecutor() as pool:
        for _ in pool.map(one, range(shape[0])):
            if progress and task is not None:
                progress.advance(task)
    pictures.flush()


def _fill_masks(manifest: Manifest, path: Path) -> None:
    """Masks go through the pictures' geometry; a row without one gets zeros."""
    masks = _array_file(path, (len(manifest), _MASK_PX, _MASK_PX))
    rows = zip(manifest.column("mask_path"), manifest.column("pixel_aspect"), strict=True)
    for index, (name, aspect) in enumerate(rows):
        if name:
            file = manifest.folder / name
            try:
                decoded = decode(_read(file), name=file.name)
            except ImageError as error:
                what = f"the lesion mask cannot be read: {error.what}"
                raise ManifestError("unreadable_mask", what, where=str(file), way_out="Clear mask_path.") from error
            masks[index] = network_input(decoded.image, Preprocess(_MASK_PX), pixel_aspect=aspect)[..., 0]
    masks.flush()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        what = f"the picture cannot be read ({error.strerror})"
        raise ManifestError("missing_file", what, where=str(path), way_out=_CHECK) from error
