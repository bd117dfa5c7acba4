"""Any folder with one table of picture and label: `labels.csv` (columns `image`, `label` unless the recipe says else).

A label may be a diagnosis code, `benign` or `malignant` (all diagnoses of that side remain possible), or a word that
the recipe maps. Lesions and patients may be told in columns `lesion_id` and `patient_id`; without them every picture
is its own lesion, which a split cannot check.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from dermaloop.core.manifest import ImageType, ManifestRow
from dermaloop.core.taxonomy import BENIGN, MALIGNANT, Diagnosis, format_candidates
from dermaloop.curation.sources.reading import Images, Notes, Settings, Source, csv_rows, lookup

TABLE = "labels.csv"
WORDS: dict[str, tuple[Diagnosis, ...]] = {
    **{str(diagnosis).lower(): (diagnosis,) for diagnosis in Diagnosis},
    "melanoma": (Diagnosis.MEL,),
    "benign": tuple(sorted(BENIGN)),
    "malignant": tuple(sorted(MALIGNANT)),
}


def read(folder: Path, settings: Settings, notes: Notes) -> Iterator[ManifestRow]:  # noqa: ARG001 - every reader has it
    """The rows of `labels.csv`.

    Raises:
        ManifestError: The table or a column is missing, or a label is neither known nor mapped by the recipe.
    """
    images = Images(folder, "images")
    known = words(settings)
    for place, values in csv_rows(folder / TABLE, (settings.image_column, settings.label_column)):
        image_id = Path(values[settings.image_column]).stem
        path, reject_reason = images.place(image_id)
        term = values[settings.label_column]
        possible = lookup(known, term.lower(), column=settings.label_column, place=place)
        yield ManifestRow(
            image_id=image_id,
            source=settings.name,
            path=str(path),
            pixel_aspect=settings.pixel_aspect_by_label.get(term, settings.pixel_aspect or 1.0),
            lesion_id=_prefixed(settings.name, values.get("lesion_id", "")),
            patient_id=_prefixed(settings.name, values.get("patient_id", "")),
            diagnosis_term=term,
            diagnosis=possible[0] if len(possible) == 1 else None,
            candidates=format_candidates(possible),
            confirmation=settings.confirmation,
            image_type=settings.image_type or ImageType.DERMOSCOPIC,
            licence=settings.licence,
            reject_reason=reject_reason,
        )


def words(settings: Settings) -> Mapping[str, tuple[Diagnosis, ...]]:
    """The labels known anyway plus the recipe's, in lower case."""
    return {**WORDS, **{word.lower(): tuple(possible) for word, possible in settings.labels.items()}}


def _prefixed(name: str, value: str) -> str:
    return f"{name}:{value}" if value else ""


SOURCE = Source("labels", "A folder with labels.csv", "labels.csv (image, label) and the pictures", "", read)
