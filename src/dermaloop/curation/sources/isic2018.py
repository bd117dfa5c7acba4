"""ISIC challenge 2018, task 3: seven diagnoses. The training part is HAM10000 under other file names.

Source: challenge.isic-archive.com/data/#2018.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dermaloop.core.manifest import Confirmation, ManifestRow
from dermaloop.curation.sources.challenge import LICENCE, one_hot
from dermaloop.curation.sources.reading import (
    CONFIRMATIONS,
    Folder,
    Notes,
    Settings,
    Source,
    csv_rows,
    lookup,
    prefixed,
    row,
)  # fmt: skip

_TABLES = tuple(f"ISIC2018_Task3_{part}_GroundTruth.csv" for part in ("Training", "Validation", "Test"))
_GROUPINGS = "ISIC2018_Task3_Training_LesionGroupings.csv"
_COLUMNS = ("image", "MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC")


def read(folder: Path, settings: Settings, notes: Notes) -> Iterator[ManifestRow]:  # noqa: ARG001 - every reader has it
    """The rows of the ground truths that are there; lesions from the groupings, which only the training part has.

    Raises:
        ManifestError: No ground truth is there, or a row has not just one class.
    """
    files = Folder(folder)
    lesions: dict[str, tuple[str, Confirmation]] = {}
    for table in files.tables(_GROUPINGS):
        for place, values in csv_rows(table, ("image", "lesion_id", "diagnosis_confirm_type")):
            confirmed = lookup(
                CONFIRMATIONS, values["diagnosis_confirm_type"], column="diagnosis_confirm_type", place=place
            )
            lesions[values["image"]] = (values["lesion_id"], confirmed)
    for table in files.tables(*_TABLES) or [files.table(*_TABLES)]:
        for place, values in csv_rows(table, _COLUMNS):
            lesion, confirmation = lesions.get(values["image"], ("", Confirmation.UNKNOWN))
            yield row(
                settings,
                values["image"],
                files.image(values["image"]),
                one_hot(values, place),
                lesion_id=prefixed(settings.name, lesion),
                confirmation=confirmation,
                licence=LICENCE,
            )


SOURCE = Source(
    "isic2018",
    "ISIC challenge 2018, task 3",
    f"{_TABLES[0]} (and _Validation_, _Test_), {_GROUPINGS}, and the pictures",
    LICENCE,
    read,
)
