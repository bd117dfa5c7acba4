"""ISIC challenge 2019: eight diagnoses and 'none of these', which stays a row without candidates.

Source: challenge.isic-archive.com/data/#2019.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dermaloop.core.manifest import ManifestRow
from dermaloop.curation.sources.challenge import LICENCE, NONE_OF_THESE, one_hot
from dermaloop.curation.sources.reading import (
    Folder,
    Notes,
    Settings,
    Source,
    age,
    archive_site,
    csv_rows,
    prefixed,
    row,
    sex,
)  # fmt: skip

_TABLES = ("ISIC_2019_Training_GroundTruth.csv", "ISIC_2019_Test_GroundTruth.csv")
_METADATA = ("ISIC_2019_Training_Metadata.csv", "ISIC_2019_Test_Metadata.csv")
_COLUMNS = ("image", "MEL", "NV", "BCC", "AK", "BKL", "DF", "VASC", "SCC", NONE_OF_THESE)


def read(folder: Path, settings: Settings, notes: Notes) -> Iterator[ManifestRow]:
    """The rows of the ground truths that are there, with age, sex, site and lesion where the metadata tell them.

    Raises:
        ManifestError: No ground truth is there, or a row has not just one class.
    """
    files = Folder(folder)
    metadata: dict[str, tuple[str, dict[str, str]]] = {}
    for table in files.tables(*_METADATA):
        for place, values in csv_rows(table, ("image", "age_approx", "anatom_site_general", "sex")):
            metadata[values["image"]] = (place, values)
    for table in files.tables(*_TABLES) or [files.table(*_TABLES)]:
        for place, values in csv_rows(table, _COLUMNS):
            label = one_hot(values, place)
            if label.term == NONE_OF_THESE:
                notes.count(settings.name, "diagnosis", label.term)
            told_at, told = metadata.get(values["image"], ("", {}))
            yield row(
                settings,
                values["image"],
                files.image(values["image"]),
                label,
                lesion_id=prefixed(settings.name, told.get("lesion_id", "")),
                age_years=age(told.get("age_approx", ""), place=told_at),
                sex=sex(told.get("sex", "")),
                site=archive_site(told.get("anatom_site_general", ""), settings.name, notes),
                licence=LICENCE,
            )


SOURCE = Source(
    "isic2019", "ISIC challenge 2019", f"{' or '.join(_TABLES)}, {_METADATA[0]}, and the pictures", LICENCE, read
)
