"""HAM10000: dermoscopic images of seven diagnoses from Vienna and Queensland.

Source: Tschandl, Rosendahl, Kittler 2018, Sci Data 5:180161, doi:10.1038/sdata.2018.161; data doi:10.7910/DVN/DBW86T.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dermaloop.core.manifest import Confirmation, ManifestRow
from dermaloop.curation.sources.reading import (
    Folder,
    Notes,
    Settings,
    Source,
    age,
    coded,
    csv_rows,
    is_unknown,
    lookup,
    row,
    sex,
)

_CONFIRMATIONS = {
    "histo": Confirmation.HISTOPATHOLOGY, "follow_up": Confirmation.FOLLOW_UP,
    "consensus": Confirmation.CONSENSUS, "confocal": Confirmation.CONFOCAL,
}  # fmt: skip
_SITES = {
    "abdomen": "anterior torso", "acral": "palms/soles", "back": "posterior torso", "chest": "anterior torso",
    "ear": "head/neck", "face": "head/neck", "foot": "lower extremity", "genital": "oral/genital",
    "hand": "upper extremity", "lower extremity": "lower extremity", "neck": "head/neck", "scalp": "head/neck",
    "trunk": "torso", "upper extremity": "upper extremity",
}  # fmt: skip
_COLUMNS = ("lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization")
_TABLES = ("HAM10000_metadata.csv", "HAM10000_metadata.tab", "HAM10000_metadata")


def read(folder: Path, settings: Settings, notes: Notes) -> Iterator[ManifestRow]:
    """The rows of a HAM10000 folder: `HAM10000_metadata.csv`, pictures below, masks where there are any.

    Raises:
        ManifestError: The table is missing, or a column or value is not HAM10000's.
    """
    files = Folder(folder)
    table = files.table(*_TABLES)
    for place, values in csv_rows(table, _COLUMNS):
        label = coded("ham10000", values["dx"], column="dx", place=place)
        site = _SITES.get(values["localization"], "")
        if not site and not is_unknown(values["localization"]):
            notes.count(settings.name, "localization", values["localization"])
        yield row(
            settings,
            values["image_id"],
            files.image(values["image_id"]),
            label,
            lesion_id=f"{settings.name}:{values['lesion_id']}",
            confirmation=lookup(_CONFIRMATIONS, values["dx_type"], column="dx_type", place=place),
            age_years=age(values["age"], place=place),
            sex=sex(values["sex"]),
            site=site,
            mask_path=files.mask(f"{values['image_id']}_segmentation"),
            licence=SOURCE.licence,
        )


SOURCE = Source(
    "ham10000",
    "HAM10000",
    "HAM10000_metadata.csv, images/ (or HAM10000_images_part_1/ and _2/), masks/",
    "CC BY-NC 4.0",
    read,
)
