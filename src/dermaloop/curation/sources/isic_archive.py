"""An export of the ISIC archive: the folder that `isic image download` of isic-cli leaves, with its metadata.csv.

The archive writes only the columns that its selection fills, so none but `isic_id` is required. Pictures that show no
single lesion (overviews, confocal microscopy) and synthetic ones stay as rows with a reject reason.
Source: isic-metadata 4.12.0 (columns and vocabulary), github.com/ImageMarkup/isic-cli.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dermaloop.core.manifest import ImageType, ManifestRow
from dermaloop.core.taxonomy import from_archive
from dermaloop.curation.sources.reading import (
    CONFIRMATIONS,
    Folder,
    Notes,
    Settings,
    Source,
    age,
    archive_site,
    csv_rows,
    is_unknown,
    lookup,
    prefixed,
    row,
    sex,
)  # fmt: skip

UNSUPPORTED_TYPE = "unsupported_image_type"
"""`reject_reason` of a picture that shows no single lesion by light."""
SYNTHETIC = "synthetic"
"""`reject_reason` of a picture that no camera took."""
_TYPES: dict[str, ImageType | None] = {
    "": ImageType.DERMOSCOPIC,  # older exports do not have the column; nearly all of the archive is dermoscopic
    "dermoscopic": ImageType.DERMOSCOPIC,
    "clinical: close-up": ImageType.CLINICAL,
    "clinical": ImageType.CLINICAL,
    "TBP tile: close-up": ImageType.CLINICAL,
    "clinical: overview": None,
    "TBP tile: overview": None,
    "overview": None,
    "RCM: macroscopic": None,
    "RCM: mosaic": None,
    "RCM: tile": None,
}
_SKIN_TYPES = {name: number for number, name in enumerate(("I", "II", "III", "IV", "V", "VI"), start=1)}


def read(folder: Path, settings: Settings, notes: Notes) -> Iterator[ManifestRow]:
    """The rows of `metadata.csv`.

    Raises:
        ManifestError: The table is missing, has no isic_id, or a value is none of the archive's.
    """
    files = Folder(folder)
    for place, values in csv_rows(files.table("metadata.csv"), ("isic_id",)):
        path, reject_reason = files.image(values["isic_id"])
        label = from_archive(values)
        if not label.reviewed:
            notes.count(settings.name, "diagnosis", label.term)
        image_type = lookup(_TYPES, values.get("image_type", ""), column="image_type", place=place)
        if image_type is None:
            reject_reason = UNSUPPORTED_TYPE
        elif values.get("image_manipulation") == "synthetic":
            reject_reason = SYNTHETIC
        skin_type = values.get("fitzpatrick_skin_type", "")
        confirmation = values.get("diagnosis_confirm_type", "")
        yield row(
            settings,
            values["isic_id"],
            (path, reject_reason),
            label,
            lesion_id=prefixed(settings.name, values.get("lesion_id", "")),
            patient_id=prefixed(settings.name, values.get("patient_id", "")),
            confirmation=lookup(CONFIRMATIONS, confirmation, column="diagnosis_confirm_type", place=place),
            image_type=image_type or ImageType.CLINICAL,
            age_years=age(values.get("age_approx", ""), place=place),
            sex=sex(values.get("sex", "")),
            site=archive_site(values.get("anatom_site_general", ""), settings.name, notes),
            skin_type=None
            if is_unknown(skin_type)
            else lookup(_SKIN_TYPES, skin_type, column="fitzpatrick_skin_type", place=place),
            licence=values.get("copyright_license", "") or SOURCE.licence,
        )


SOURCE = Source(
    "isic_archive",
    "ISIC archive export",
    "metadata.csv and the pictures, as 'isic image download' leaves them",
    "as its column copyright_license says",
    read,
)
