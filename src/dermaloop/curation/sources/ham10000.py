"""HAM10000: dermoscopic images of seven diagnoses from Vienna and Queensland.

Source: Tschandl, Rosendahl, Kittler 2018, Sci Data 5:180161, doi:10.1038/sdata.2018.161; data doi:10.7910/DVN/DBW86T.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dermaloop.core.manifest import Confirmation, ManifestRow
from dermaloop.curation.sources.reading import Images, Notes, Settings, Source, age, coded, csv_rows, is_unknown, lookup, sex

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
_TABLES = ("HAM10000_metadata.csv", "HAM10000_metadata", "HAM10000_metadata.tab")
_MASK_FOLDERS = ("masks", "HAM10000_segmentations_lesion_tschandl")


def read(folder: Path, settings: Settings, notes: Notes) -> Iterator[ManifestRow]:
    """The rows of a HAM10000 folder: `HAM10000_metadata.csv`, pictures below, masks where there are any.

    Raises:
        ManifestError: The table is missing, or a column or value is not HAM10000's.
    """
    table = next((folder / name for name in _TABLES if (folder / name).is_file()), folder / _TABLES[0])
    images = Images(folder, "images", "HAM10000_images", "HAM10000_images_part_1", "HAM10000_images_part_2")
    masks = next((folder / name for name in _MASK_FOLDERS if (folder / name).is_dir()), None)
    for place, values in csv_rows(table, _COLUMNS):
        path, reject_reason = images.place(values["image_id"])
        mask = masks / f"{values['image_id']}_segmentation.png" if masks else None
        diagnosis = coded("ham10000", values["dx"], column="dx", place=place)
        site = _SITES.get(values["localization"], "")
        if not site and not is_unknown(values["localization"]):
            notes.count(settings.name, "localization", values["localization"])
        yield ManifestRow(
            image_id=values["image_id"],
            source=settings.name,
            path=str(path),
            pixel_aspect=settings.pixel_aspect or 1.0,
            lesion_id=f"{settings.name}:{values['lesion_id']}",
            diagnosis_term=values["dx"],
            diagnosis=diagnosis,
            candidates=diagnosis,
            confirmation=lookup(_CONFIRMATIONS, values["dx_type"], column="dx_type", place=place),
            age_years=age(values["age"], place=place),
            sex=sex(values["sex"]),
            site=site,
            mask_path=str(mask) if mask and mask.is_file() else "",
            licence=settings.licence or SOURCE.licence,
            reject_reason=reject_reason,
        )


SOURCE = Source(
    "ham10000", "HAM10000", "HAM10000_metadata.csv, images/ (or HAM10000_images_part_1/ and _2/), masks/", "CC BY-NC 4.0", read
)
