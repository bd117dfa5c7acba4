"""Imports datasets into one manifest; importing twice adds nothing twice.

Owns reading the layouts and measuring each file once. A row is the same row again when source and image_id are; its
metadata is then refreshed while split, group and measurements stay, unless the file itself changed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dermaloop.core.errors import ManifestError
from dermaloop.core.manifest import Manifest, ManifestRow, from_rows
from dermaloop.curation.sources import Notes, Settings, source

Progress = Callable[[str, int, int], None]
"""Told (step, done, total) as work goes on."""


@dataclass(frozen=True, slots=True)
class Job:
    """One dataset to import."""

    importer: str
    folder: Path
    settings: Settings


def import_sources(jobs: list[Job], folder: Path, notes: Notes) -> Manifest:
    """The rows of several datasets, in order, paths relative to `folder` where they lie below it.

    Raises:
        ManifestError: A layout is not as expected, or two rows of a source have one image_id.
    """
    return from_rows(_unique(row for job in jobs for row in _read(job, notes)), folder)


def _read(job: Job, notes: Notes) -> Iterator[ManifestRow]:
    yield from source(job.importer).read(job.folder.absolute(), job.settings, notes)


def _unique(rows: Iterator[ManifestRow]) -> Iterator[ManifestRow]:
    seen: set[tuple[str, str]] = set()
    for row in rows:
        key = (row.source, row.image_id)
        if key in seen:
            raise ManifestError(
                "duplicate_image_id",
                f"the image_id {row.image_id!r} occurs twice",
                where=f"source {row.source}",
                way_out="Remove one of the rows, or import the folders under different source names.",
            )
        seen.add(key)
        yield row


def measure_files(manifest: Manifest) -> Manifest:
    """Fills sha256 and size_bytes of the rows whose file is there."""
    hashes, sizes = [], []
    for path, reason in zip(manifest.image_paths(), manifest.column("reject_reason"), strict=True):
        content = b"" if reason else path.read_bytes()
        hashes.append("" if reason else hashlib.sha256(content).hexdigest())
        sizes.append(None if reason else len(content))
    return manifest.with_columns(sha256=hashes, size_bytes=sizes)
