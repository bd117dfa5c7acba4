"""ISIC challenge 2020 (SIIM-ISIC): melanoma or benign, with patients, and finer terms for some.

Source: Rotemberg et al. 2021, Sci Data 8:34, doi:10.1038/s41597-021-00815-z.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dermaloop.core.errors import ManifestError
from dermaloop.core.manifest import Confirmation, ManifestRow
from dermaloop.core.taxonomy import from_archive
from dermaloop.curation.sources.challenge import LICENCE
from dermaloop.curation.sources.reading import (
    Folder,
    Notes,
    Settings,
    Source,
    age,
    archive_site,
    csv_rows,
    flag,
    prefixed,
    row,
    sex,
)  # fmt: skip

_TABLES = ("ISIC_2020_Training_GroundTruth_v2.csv", "ISIC_2020_Training_GroundTruth.csv", "train.csv")
_COLUMNS = ("image_name", "patient_id", "sex", "age_approx", "anatom_site_general_challenge", "diagnosis",
            "benign_malignant", "target")  # fmt: skip


def read(folder: Path, settings: Settings, notes: Notes) -> Iterator[ManifestRow]:
    """The rows of the ground truth; the second version, which has lesions, where it is there.

    Malignant lesions of this data set were all confirmed by histopathology; of the benign ones it says nothing by row.

    Raises:
        ManifestError: The table is missing, or a malignant row is not a melanoma.
    """
    files = Folder(folder)
    for place, values in csv_rows(files.table(*_TABLES), _COLUMNS):
        label = from_archive({"diagnosis": values["diagnosis"], "benign_malignant": values["benign_malignant"]})
        malignant = flag(values["target"], column="target", place=place)
        if malignant != (values["benign_malignant"] == "malignant"):
            raise ManifestError(
                "contradiction",
                f"target is {values['target']} but benign_malignant is {values['benign_malignant']!r}",
                where=place,
                way_out="Download the table again.",
            )
        if not label.reviewed:
            notes.count(settings.name, "diagnosis", label.term)
        site = values["anatom_site_general_challenge"]
        yield row(
            settings,
            values["image_name"],
            files.image(values["image_name"]),
            label,
            lesion_id=prefixed(settings.name, values.get("lesion_id", "")),
            patient_id=prefixed(settings.name, values["patient_id"]),
            confirmation=Confirmation.HISTOPATHOLOGY if malignant else Confirmation.UNKNOWN,
            age_years=age(values["age_approx"], place=place),
            sex=sex(values["sex"]),
            site=archive_site(site, settings.name, notes),
            licence=LICENCE,
        )


SOURCE = Source(
    "isic2020", "ISIC challenge 2020", f"{_TABLES[0]} (or {', '.join(_TABLES[1:])}), and the pictures", LICENCE, read
)
