"""ISIC challenge 2017, part 3: melanoma, seborrheic keratosis, or neither (which the challenge says are naevi).

Two layouts: the challenge's own files, and one table `labels.csv` beside a folder of pictures that were squashed to
squares. Source: Codella et al. 2018, arXiv:1710.05006 ("melanoma", "nevus", "seborrheic keratosis").
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dermaloop.core.errors import ManifestError
from dermaloop.core.manifest import ManifestRow
from dermaloop.core.taxonomy import Label, from_archive
from dermaloop.curation.sources.challenge import LICENCE
from dermaloop.curation.sources.reading import Folder, Notes, Settings, Source, age, csv_rows, flag, row, sex

SQUASHED_ASPECT = 4 / 3
"""Of the layout with squares. Measured on its 2,150 pictures: round dark-cornered fields in 57 fit ellipses that are
1.28 to 1.38 times as high as wide in 48 (four are 1.38 to 1.55, squashed from 3:2; three are wider than high); over
all pictures structure is 1.28 times finer across than down. Nothing tells the few exceptions apart in pictures
without such a field, so 4:3 holds for all."""
_SQUARES = "labels.csv"
_PARTS = ("Training", "Validation", "Test_v2")
_TABLES = tuple(f"ISIC-2017_{part}_Part3_GroundTruth.csv" for part in _PARTS)
_METADATA = tuple(f"ISIC-2017_{part}_Data_metadata.csv" for part in _PARTS)
_COLUMNS = ("image_id", "melanoma", "seborrheic_keratosis")


def read(folder: Path, settings: Settings, notes: Notes) -> Iterator[ManifestRow]:  # noqa: ARG001 - every reader has it
    """The rows of the ground truths that are there, or of `labels.csv`.

    Raises:
        ManifestError: No table is there, a column is missing, or a row is melanoma and seborrheic keratosis at once.
    """
    files = Folder(folder)
    metadata = {
        values["image_id"]: values
        for table in files.tables(*_METADATA)
        for _, values in csv_rows(table, ("image_id", "age_approximate", "sex"))
    }
    for table in files.tables(*_TABLES) or [files.table(*_TABLES[:1], _SQUARES)]:
        aspect = SQUASHED_ASPECT if table.name == _SQUARES else 1.0
        for place, values in csv_rows(table, _COLUMNS):
            told = metadata.get(values["image_id"], values)
            yield row(
                settings,
                values["image_id"],
                files.image(values["image_id"]),
                label(values, place),
                pixel_aspect=aspect,
                age_years=age(told.get("age_approximate", ""), place=place),
                sex=sex(told.get("sex", "")),
                mask_path=files.mask(f"{values['image_id']}_segmentation"),
                licence=SOURCE.licence,
            )


def label(values: dict[str, str], place: str) -> Label:
    """The label of a row of the ground truth.

    Raises:
        ManifestError: `contradiction` where both columns are set.
    """
    melanoma = flag(values["melanoma"], column="melanoma", place=place)
    keratosis = flag(values["seborrheic_keratosis"], column="seborrheic_keratosis", place=place)
    if melanoma and keratosis:
        raise ManifestError(
            "contradiction",
            "the row is melanoma and seborrheic_keratosis at once",
            where=place,
            way_out="Correct the table.",
        )
    if melanoma:
        return from_archive({"diagnosis": "melanoma"})
    return from_archive({"diagnosis": "seborrheic keratosis" if keratosis else "nevus"})


SOURCE = Source(
    "isic2017",
    "ISIC challenge 2017, part 3",
    f"{_TABLES[0]} (and _Validation_, _Test_v2_) or {_SQUARES}, and the pictures",
    f"see the ISIC archive; treated as {LICENCE}",
    read,
)
