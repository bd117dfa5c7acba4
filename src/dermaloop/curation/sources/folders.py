"""One folder per class: the name of the folder that holds a picture is its label.

Folders above it (train/, test/) are ignored: the split is made anew, by group. A name may be a diagnosis code, one of
the ISIC archive's former terms (nevus, seborrheic keratosis), `benign`, `malignant`, or a word that the recipe maps;
underscores and hyphens count as spaces. Nothing tells lesions or patients, so every picture is its own lesion, which a
split cannot check.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from dermaloop.core.errors import ManifestError
from dermaloop.core.manifest import ManifestRow
from dermaloop.core.taxonomy import Diagnosis, Label, from_archive
from dermaloop.curation.sources.labels import words
from dermaloop.curation.sources.reading import Notes, Settings, Source, files_below, is_image, row


def read(folder: Path, settings: Settings, notes: Notes) -> Iterator[ManifestRow]:  # noqa: ARG001 - every reader has it
    """The rows of a folder of folders; the image_id is the path below it, without the ending.

    Raises:
        ManifestError: There is no such folder, a picture lies outside any class, or a class is not known.
    """
    if not folder.is_dir():
        raise ManifestError("missing_file", "there is no such folder", where=str(folder), way_out="Check the path.")
    known = words(settings)
    possible: dict[str, tuple[Diagnosis, ...]] = {}
    for path in files_below(folder):
        if not is_image(path):
            continue
        term = path.parent.name
        if term not in possible:
            possible[term] = _possible(term, known, path, folder)
        image_id = path.relative_to(folder).with_suffix("").as_posix()
        label = Label(term, frozenset(possible[term]))
        yield row(settings, image_id, (path, ""), label, confirmation=settings.confirmation)


def _possible(term: str, known: Mapping[str, tuple[Diagnosis, ...]], path: Path, folder: Path) -> tuple[Diagnosis, ...]:
    if path.parent == folder:
        raise ManifestError(
            "no_class",
            "the picture lies in no class's folder",
            where=str(path),
            way_out="Move it into one, or out of here.",
        )
    for word in (term.lower(), term.lower().replace("_", " ").replace("-", " ")):
        if word in known:
            return known[word]
        label = from_archive({"diagnosis": word})
        if label.candidates:
            return tuple(label.candidates)
    raise ManifestError(
        "unknown_value",
        f"the class {term!r} is not known",
        where=str(path.parent),
        way_out=f'Map it in a recipe: labels.{term} = ["NV"]. Known are: {", ".join(sorted(known))}.',
    )


SOURCE = Source("folders", "A folder per class", "CLASS/PICTURE at any depth", "", read)
