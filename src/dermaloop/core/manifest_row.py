"""The typed row of a manifest: columns, words and ranges.

Owns what a column may hold. Refuses to know how rows are stored or what holds across them.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from dermaloop.core.taxonomy import Diagnosis


class Split(StrEnum):
    """What a row may be used for. `excluded` rows stay visible but serve nothing."""

    TRAIN = "train"
    VALIDATION = "validation"
    CALIBRATION = "calibration"
    TEST = "test"
    EXTERNAL = "external"
    EXCLUDED = "excluded"


class Confirmation(StrEnum):
    """How a diagnosis was confirmed: the ISIC archive's words. Never a model input."""

    HISTOPATHOLOGY = "histopathology"
    FOLLOW_UP = "follow-up"
    CONSENSUS = "consensus"
    CONFOCAL = "confocal"
    SINGLE_CLINICIAN = "single clinician"
    UNKNOWN = ""


class ImageType(StrEnum):
    """How the picture was taken."""

    DERMOSCOPIC = "dermoscopic"
    CLINICAL = "clinical"


Probability = Annotated[float, Field(ge=0, le=1)]


class ManifestRow(BaseModel):
    """One image of a dataset. Empty text and None mean unknown."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    image_id: str = Field(min_length=1, description="Unique within its source.")
    source: str = Field(min_length=1, description="Short name of the dataset, e.g. ham10000.")
    path: str = Field(min_length=1, description="File, absolute or relative to the manifest's folder.")
    sha256: str = Field(default="", pattern="^([0-9a-f]{64})?$", description="Of the file's bytes at import.")
    size_bytes: int | None = Field(default=None, ge=0)
    width_px: int | None = Field(default=None, ge=1)
    height_px: int | None = Field(default=None, ge=1)
    pixel_aspect: float = Field(default=1.0, gt=0, description="See core.preprocess.frame.")
    lesion_id: str = Field(default="", description="Prefixed by the source, so that sources never collide.")
    patient_id: str = Field(default="", description="Prefixed by the source.")
    diagnosis_term: str = Field(default="", description="The source's own word, verbatim.")
    diagnosis: Diagnosis | None = Field(default=None, description="The one diagnosis, where the label is that fine.")
    candidates: str = Field(
        default="", description="Diagnoses the label leaves possible, codes joined by '|'. Equal to diagnosis if fine."
    )
    confirmation: Confirmation = Confirmation.UNKNOWN
    image_type: ImageType = ImageType.DERMOSCOPIC
    age_years: float | None = Field(default=None, ge=0, le=120)
    sex: str = Field(default="", pattern="^(female|male)?$")
    site: str = Field(default="", description="Body site, one of core.manifest.SITES or empty.")
    skin_type: int | None = Field(default=None, ge=1, le=6, description="Fitzpatrick I to VI.")
    mask_path: str = Field(default="", description="Lesion mask of the same geometry, where there is one.")
    licence: str = ""
    group: str = Field(default="", description="What may never cross a split: patient, else lesion, plus duplicates.")
    duplicate_group: str = ""
    perceptual_hash: str = Field(default="", description="16 hex digits.")
    quality_blur: float | None = None
    quality_brightness: float | None = None
    quality_dark_share: float | None = None
    quality_bright_share: float | None = None
    quality_border_share: float | None = None
    quality_hair_share: float | None = None
    quality_ruler_share: float | None = None
    quality_ink_share: float | None = None
    reject_reason: str = Field(default="", description="Why the row is excluded, if it is.")
    split: Split | None = None


SITES: tuple[str, ...] = (
    "head/neck", "anterior torso", "posterior torso", "lateral torso", "torso", "upper extremity",
    "lower extremity", "palms/soles", "oral/genital",
)  # fmt: skip
"""The ISIC archive's general anatomic sites."""

_ARROW: dict[str, pa.DataType] = {
    "size_bytes": pa.int64(), "width_px": pa.int32(), "height_px": pa.int32(), "skin_type": pa.int8(),
    "pixel_aspect": pa.float64(), "age_years": pa.float64(), "diagnosis": pa.string(), "split": pa.string(),
}  # fmt: skip
SCHEMA = pa.schema(
    [
        (name, _ARROW.get(name, pa.float64() if name.startswith("quality_") else pa.string()))
        for name in ManifestRow.model_fields
    ]
)
PLACE_COLUMNS = ("path", "mask_path")
"""Where files lie: not part of what a dataset is."""
