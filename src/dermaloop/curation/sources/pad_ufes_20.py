"""PAD-UFES-20: smartphone close-ups of six diagnoses from Espírito Santo, Brazil.

Every cancer in it was confirmed by biopsy; whatever was not biopsied was diagnosed by a group of dermatologists in
consensus. SCC includes Bowen's disease. Source: Pacheco et al. 2020, Data in Brief 32:106221,
doi:10.1016/j.dib.2020.106221; data doi:10.17632/zr7vgbcyr2.1.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dermaloop.core.errors import ManifestError
from dermaloop.core.manifest import Confirmation, ImageType, ManifestRow
from dermaloop.curation.sources.reading import (
    Folder,
    Notes,
    Settings,
    Source,
    age,
    coded,
    csv_rows,
    flag,
    is_unknown,
    lookup,
    row,
    sex,
)  # fmt: skip

_SITES = {
    "ABDOMEN": "anterior torso", "ARM": "upper extremity", "BACK": "posterior torso", "CHEST": "anterior torso",
    "EAR": "head/neck", "FACE": "head/neck", "FOOT": "lower extremity", "FOREARM": "upper extremity",
    "HAND": "upper extremity", "LIP": "head/neck", "NECK": "head/neck", "NOSE": "head/neck", "SCALP": "head/neck",
    "THIGH": "lower extremity",
}  # fmt: skip
_COLUMNS = ("patient_id", "lesion_id", "age", "gender", "fitspatrick", "region", "diagnostic", "img_id", "biopsed")
_SKIN_TYPES = {str(number): number for number in range(1, 7)} | {f"{number}.0": number for number in range(1, 7)}


def read(folder: Path, settings: Settings, notes: Notes) -> Iterator[ManifestRow]:
    """The rows of a PAD-UFES-20 folder: `metadata.csv` and the pictures below.

    Raises:
        ManifestError: The table is missing, or a column or value is not PAD-UFES-20's.
    """
    files = Folder(folder)
    for place, values in csv_rows(files.table("metadata.csv"), _COLUMNS):
        image_id = Path(values["img_id"]).stem
        label = coded("pad_ufes_20", values["diagnostic"], column="diagnostic", place=place)
        site = _SITES.get(values["region"], "")
        if not site and not is_unknown(values["region"]):
            notes.count(settings.name, "region", values["region"])
        for column in ("patient_id", "lesion_id"):
            if not values[column]:
                raise ManifestError("bad_value", f"{column} is empty", where=place, way_out="Download the table again.")
        biopsied = flag(values["biopsed"], column="biopsed", place=place)
        yield row(
            settings,
            image_id,
            files.image(image_id),
            label,
            lesion_id=f"{settings.name}:{values['patient_id']}:{values['lesion_id']}",
            patient_id=f"{settings.name}:{values['patient_id']}",
            confirmation=Confirmation.HISTOPATHOLOGY if biopsied else Confirmation.CONSENSUS,
            image_type=ImageType.CLINICAL,
            age_years=age(values["age"], place=place),
            sex=sex(values["gender"]),
            site=site,
            skin_type=_skin_type(values["fitspatrick"], place),
            licence=SOURCE.licence,
        )


def _skin_type(value: str, place: str) -> int | None:
    return None if is_unknown(value) else lookup(_SKIN_TYPES, value, column="fitspatrick", place=place)


SOURCE = Source(
    "pad_ufes_20", "PAD-UFES-20", "metadata.csv and the pictures (images/, or imgs_part_1/ to _3/)", "CC BY 4.0", read
)
