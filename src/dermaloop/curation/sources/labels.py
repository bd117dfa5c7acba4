"""Any folder with one table of picture and label: `labels.csv` (columns `image`, `label` unless the recipe says else).

A label may be a diagnosis code, `benign` or `malignant` (all diagnoses of that side remain possible), or a word that
the recipe maps. Lesions and patients may be told in columns `lesion_id` and `patient_id`; without them every picture
is its own lesion, which a split cannot check.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from dermaloop.core.manifest import ManifestRow
from dermaloop.core.taxonomy import BENIGN, MALIGNANT, Diagnosis, Label
from dermaloop.curation.sources.reading import Folder, Notes, Settings, Source, csv_rows, lookup, prefixed, row

TABLE = "labels.csv"
WORDS: dict[str, tuple[Diagnosis, ...]] = {
    **{str(diagnosis).lower(): (diagnosis,) for diagnosis in Diagnosis},
    "melanoma": (Diagnosis.MEL,),
    "benign": tuple(sorted(BENIGN)),
    "malignant": tuple(sorted(MALIGNANT)),
}
"""Labels known without a recipe, in lower case."""


def read(folder: Path, settings: Settings, notes: Notes) -> Iterator[ManifestRow]:  # noqa: ARG001 - every reader has it
    """The rows of `labels.csv`.

    Raises:
        ManifestError: The table or a column is missing, or a label is neither known nor mapped by the recipe.
    """
    files = Folder(folder)
    known = words(settings)
    for place, values in csv_rows(files.table(TABLE), (settings.image_column, settings.label_column)):
        image_id = Path(values[settings.image_column]).stem
        term = values[settings.label_column]
        possible = lookup(known, term.lower(), column=settings.label_column, place=place)
        yield row(
            settings,
            image_id,
            files.image(image_id),
            Label(term, frozenset(possible)),
            lesion_id=prefixed(settings.name, values.get("lesion_id", "")),
            patient_id=prefixed(settings.name, values.get("patient_id", "")),
            confirmation=settings.confirmation,
        )


def words(settings: Settings) -> Mapping[str, tuple[Diagnosis, ...]]:
    """The labels known anyway plus the recipe's, in lower case."""
    return {**WORDS, **{word.lower(): tuple(possible) for word, possible in settings.labels.items()}}


SOURCE = Source("labels", "A folder with labels.csv", "labels.csv (image, label) and the pictures", "", read)
