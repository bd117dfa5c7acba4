"""Imports datasets into one manifest; importing twice adds nothing twice.

Owns reading the layouts and joining new rows to old ones. A row is the same row again when source and image_id are: it
then takes the new metadata and keeps its split, its group and what was decided about it. Refuses to look at pictures;
that is `examine`'s.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dermaloop.core.errors import ManifestError
from dermaloop.core.manifest import Manifest, ManifestRow, concat, from_rows
from dermaloop.curation.progress import Step, silent
from dermaloop.curation.sources import Notes, Settings, source
from dermaloop.curation.split import CROSSES


@dataclass(frozen=True, slots=True)
class Job:
    """One dataset to import."""

    importer: str
    folder: Path
    settings: Settings


@dataclass(frozen=True, slots=True)
class Merged:
    """The joined manifest and how many rows were new, known already, or no longer in their source."""

    manifest: Manifest
    new: int
    known: int
    left: int


def import_sources(jobs: Sequence[Job], folder: Path, notes: Notes, step: Step = silent) -> Manifest:
    """The rows of several datasets, in order, paths relative to `folder` where they lie below it.

    Args:
        jobs: What to import. Each source name once.
        folder: Of the manifest.
        notes: Takes up what could not be mapped.
        step: Progress; one step per dataset.

    Raises:
        ManifestError: A layout is not as expected, or two rows of a source have one image_id.
    """
    names = [job.settings.name for job in jobs]
    for name in names:
        if names.count(name) > 1:
            raise ManifestError(
                "duplicate_source",
                f"the source {name!r} is named twice",
                way_out="Give one of them another name: NAME:IMPORTER=FOLDER.",
            )
    return concat([from_rows(_rows(job, Path(folder), notes, step), folder) for job in jobs], folder)


def _rows(job: Job, folder: Path, notes: Notes, step: Step) -> Iterator[ManifestRow]:
    seen: set[str] = set()
    settings = replace(job.settings, unpack_to=folder.absolute() / f"{job.settings.name}_pictures")
    with step(f"Importing {job.settings.name}", None) as advance:
        for row in source(job.importer).read(job.folder.absolute(), settings, notes):
            if row.image_id in seen:
                raise ManifestError(
                    "duplicate_image_id",
                    f"the image_id {row.image_id!r} occurs twice",
                    where=f"source {row.source}, {job.folder}",
                    way_out="Remove one of the rows, or import the folders under different source names.",
                )
            seen.add(row.image_id)
            yield row
            advance(1)
    if not seen:
        raise ManifestError(
            "empty_source",
            "no picture was found",
            where=f"source {job.settings.name}, {job.folder}",
            way_out=f"Expected: {source(job.importer).layout}.",
        )


def merge(old: Manifest, new: Manifest) -> Merged:
    """Joins newly imported rows to a manifest.

    Rows of the old manifest come first, in their order. A known row has the new metadata and keeps split and group; the
    reason that its group crosses splits is kept too, since forgetting it would move the row. Every other reject reason
    is forgotten: it is found again where it still holds. Rows that their source no longer has stay as they were.
    """
    keys = row_keys(new)
    position = {key: index for index, key in enumerate(keys)}
    old_keys = row_keys(old)
    before = {key: index for index, key in enumerate(old_keys)}
    kept = {name: old.column(name) for name in ("split", "group", "duplicate_group", "reject_reason")}
    fresh = {name: new.column(name) for name in kept}
    for key, index in before.items():
        if key in position:
            row = position[key]
            for name in ("split", "group", "duplicate_group"):
                fresh[name][row] = kept[name][index]
            if kept["reject_reason"][index].startswith(CROSSES):
                fresh["reject_reason"][row] = kept["reject_reason"][index]
    new = new.with_columns(**fresh)
    both = concat([old, new], new.folder)
    order = [position[key] + len(old) if key in position else index for index, key in enumerate(old_keys)]
    order += [index + len(old) for index, key in enumerate(keys) if key not in before]
    known = sum(key in before for key in keys)
    return Merged(Manifest(both.table.take(order), both.folder), len(keys) - known, known, len(old_keys) - known)


def row_keys(manifest: Manifest) -> list[str]:
    """A unique, lasting name per row: source/image_id."""
    return [
        f"{name}/{image}" for name, image in zip(manifest.column("source"), manifest.column("image_id"), strict=True)
    ]
