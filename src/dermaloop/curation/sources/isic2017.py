"""ISIC challenge 2017, part 3: melanoma, seborrheic keratosis, or neither (which the challenge says are naevi).

Two layouts: the challenge's own files, and one table `labels.csv` beside a folder of pictures that were squashed to
squares. Source: Codella et al. 2018, arXiv:1710.05006 ("melanoma", "nevus", "seborrheic keratosis").
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dermaloop.core.errors import ManifestError
from dermaloop.core.manifest import ManifestRow
from dermaloop.core.taxonomy import Diagnosis
from dermaloop.curation.sources.reading import Images, Notes, Settings, Source, age, csv_rows, flag, sex

SQUASHED_ASPECT = 4 / 3
"""Of the layout with squares. Measured on its 2,150 pictures: the round dark-cornered fields of 57 fit ellipses that are
1.28 to 1.38 times as high as wide in 49 (four are 1.38 to 1.55, squashed from 3:2; three are wider than high); over
all pictures structure is 1.28 times finer across than down. Nothing tells the few exceptions apart in pictures
without such a field, so 4:3 holds for all."""


def read(folder: Path, settings: Settings, notes: Notes) -> Iterator[ManifestRow]:  # noqa: ARG001 - every reader has it
    """The rows of an ISIC 2017 folder (`labels.csv` and `images/`).

    Raises:
        ManifestError: The table is missing, a column is, or a row is melanoma and seborrheic keratosis at once.
    """
    images = Images(folder, "images")
    for place, values in csv_rows(folder / "labels.csv", ("image_id", "melanoma", "seborrheic_keratosis", "age_approximate", "sex")):
        term, diagnosis = label(values, place)
        path, reject_reason = images.place(values["image_id"])
        yield ManifestRow(
            image_id=values["image_id"],
            source=settings.name,
            path=str(path),
            pixel_aspect=settings.pixel_aspect or SQUASHED_ASPECT,
            diagnosis_term=term,
            diagnosis=diagnosis,
            candidates=diagnosis,
            age_years=age(values["age_approximate"], place=place),
            sex=sex(values["sex"]),
            licence=settings.licence or SOURCE.licence,
            reject_reason=reject_reason,
        )


def label(values: dict[str, str], place: str) -> tuple[str, Diagnosis]:
    """The term and the diagnosis of a row of the ground truth.

    Raises:
        ManifestError: `contradiction` where both columns are set.
    """
    melanoma = flag(values["melanoma"], column="melanoma", place=place)
    keratosis = flag(values["seborrheic_keratosis"], column="seborrheic_keratosis", place=place)
    if melanoma and keratosis:
        raise ManifestError(
            "contradiction", "the row is melanoma and seborrheic_keratosis at once", where=place, way_out="Correct the table."
        )
    if melanoma:
        return "melanoma", Diagnosis.MEL
    return ("seborrheic keratosis", Diagnosis.BKL) if keratosis else ("nevus", Diagnosis.NV)


SOURCE = Source(
    "isic2017", "ISIC challenge 2017, part 3", "labels.csv and images/", "see the ISIC archive; treated as CC BY-NC 4.0", read
)
