"""The whole way from folders to a split manifest: import, exclude, examine, find duplicates, resolve, split.

Owns the order of the steps and what a conflict is. The same picture with two diagnoses stops the build: nobody but a
person can say which one is right, and training on both teaches nothing.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dermaloop.core.errors import ManifestError, RecipeError
from dermaloop.core.manifest import Manifest, read
from dermaloop.curation import duplicates
from dermaloop.curation.examine import examine
from dermaloop.curation.importing import Job, Merged, import_sources, merge, row_keys
from dermaloop.curation.progress import Step, silent
from dermaloop.curation.recipe import Exclusion, Recipe
from dermaloop.curation.sources import Notes
from dermaloop.curation.split import group, split

EXCLUDED_BY_RECIPE = "excluded_by_recipe"
"""`reject_reason` of a row that the recipe leaves out."""
SAME_PICTURE = 0.90
"""Similarity from which a pair is one picture, not two shots of one lesion."""


@dataclass(frozen=True, slots=True)
class Built:
    """A manifest and what happened on the way to it."""

    merged: Merged
    manifest: Manifest
    pairs: tuple[duplicates.Pair, ...]
    notes: Notes


def jobs(recipe: Recipe, data: Path, names: Sequence[str] = ()) -> list[Job]:
    """What a recipe imports from the data folder; all its sources, or those named."""
    for name in names:
        if name not in recipe.sources:
            raise RecipeError(f"the recipe has no source {name!r}", way_out=f"It has: {', '.join(recipe.sources)}.")
    return [
        Job(part.importer or name, data / (part.folder or name), part.settings(name))
        for name, part in recipe.sources.items()
        if not names or name in names
    ]


def prepare(
    work: Sequence[Job], out: Path, recipe: Recipe | None = None, *, workers: int = 1, step: Step = silent
) -> Built:
    """Imports, examines and groups: all but the split. Adds to the manifest at `out`, if there is one. Writes none.

    Args:
        work: The datasets to import.
        out: Where the manifest lies or will lie.
        recipe: Its limits and exclusions hold.
        workers: Processes that look at pictures.
        step: Progress.

    Raises:
        ManifestError: A layout is not as expected, or one picture has two diagnoses (`same_picture_two_diagnoses`).
        RecipeError: An exclusion names a picture that does not exist.
    """
    out = Path(out).absolute()
    notes = Notes()
    new = import_sources(work, out.parent, notes, step)
    merged = merge(read(out), new) if out.is_file() else Merged(new, len(new), 0, 0)
    manifest = exclude(merged.manifest, recipe.exclusions if recipe else ())
    with tempfile.TemporaryDirectory(prefix="dermaloop-") as scratch:
        limits = recipe.quality if recipe else None
        manifest, thumbnails = examine(manifest, Path(scratch), limits=limits, workers=workers, step=step)
        with step("Finding near-duplicates", None):
            pairs = duplicates.find_in_views(thumbnails)
    manifest = manifest.with_columns(
        duplicate_group=duplicates.group_names(row_keys(manifest), [*pairs, *_same_bytes(manifest)])
    )
    refuse_contradictions(manifest, pairs)
    return Built(merged, group(manifest), tuple(pairs), notes)


def build(recipe: Recipe, work: Sequence[Job], out: Path, *, workers: int = 1, step: Step = silent) -> Built:
    """Prepares and splits, by a recipe; see `prepare`."""
    built = prepare(work, out, recipe, workers=workers, step=step)
    return replace(built, manifest=split(built.manifest, recipe.ratios, recipe.uses(), seed=recipe.seed))


def exclude(manifest: Manifest, exclusions: Sequence[Exclusion]) -> Manifest:
    """Marks the rows that the recipe leaves out.

    Raises:
        RecipeError: A source is there but has no such picture: most likely a slip of the pen.
    """
    rows = {key: index for index, key in enumerate(row_keys(manifest))}
    reasons, present = manifest.column("reject_reason"), set(manifest.column("source"))
    for item in exclusions:
        index = rows.get(f"{item.source}/{item.image_id}")
        if index is not None:
            reasons[index] = EXCLUDED_BY_RECIPE
        elif item.source in present:
            raise RecipeError(
                f"the source has no picture {item.image_id!r}",
                where=f"exclusions, source {item.source}",
                way_out="Correct the image_id.",
            )
    return manifest.with_columns(reject_reason=reasons)


def refuse_contradictions(manifest: Manifest, pairs: Sequence[duplicates.Pair]) -> None:
    """Stops where one picture has labels that cannot both be right; rows that are left out do not count.

    Raises:
        ManifestError: `same_picture_two_diagnoses`, with every pair and how to resolve it.
    """
    possible, reasons, keys = manifest.candidate_sets(), manifest.column("reject_reason"), row_keys(manifest)
    same = [pair for pair in pairs if pair.similarity >= SAME_PICTURE]
    clashes = [
        (pair.first, pair.second)
        for pair in [*same, *_same_bytes(manifest)]
        if not reasons[pair.first] and not reasons[pair.second]
        and possible[pair.first] and possible[pair.second] and not possible[pair.first] & possible[pair.second]
    ]  # fmt: skip
    if clashes:
        terms = manifest.column("diagnosis_term")
        named = "; ".join(
            f"{keys[one]} is {terms[one]!r} and {keys[other]} is {terms[other]!r}"
            for one, other in sorted(set(clashes))
        )
        raise ManifestError(
            "same_picture_two_diagnoses",
            f"the same picture has two diagnoses: {named}",
            way_out="Look at the pictures and name the wrong row under [[exclusions]] in the recipe, with the reason.",
        )


def _same_bytes(manifest: Manifest) -> list[duplicates.Pair]:
    """Pairs of rows whose files are equal byte for byte, each with the first of its kind."""
    first: dict[str, int] = {}
    pairs = []
    for index, sha256 in enumerate(manifest.column("sha256")):
        if sha256:
            earlier = first.setdefault(sha256, index)
            if earlier != index:
                pairs.append(duplicates.Pair(earlier, index, 1.0, 0))
    return pairs
