"""The manifest: the rows of a curated dataset, one image each.

Owns the columns, their types and the two file formats. The rules that hold across rows are in
`core.manifest_rules`. Rows live in one Arrow table, so that 400,000 rows cost megabytes, not gigabytes; `ManifestRow`
is the typed edge through which importers put rows in.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dermaloop.core.errors import ManifestError, OutputError
from dermaloop.core.taxonomy import Diagnosis, malignant


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
_PLACE_COLUMNS = ("path", "mask_path")  # where files lie is not part of what a dataset is


@dataclass(frozen=True, eq=False)
class Manifest:
    """Rows plus the folder that relative paths start from.

    Attributes:
        table: Arrow table with exactly the columns of `SCHEMA`.
        folder: Absolute folder that relative `path` and `mask_path` start from.
    """

    table: pa.Table
    folder: Path

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def column(self, name: str) -> list[Any]:
        """The values of one column; None where unknown."""
        values: list[Any] = self.table.column(name).to_pylist()
        return values

    def row(self, index: int) -> ManifestRow:
        """One typed row."""
        return ManifestRow(**self.table.slice(index, 1).to_pylist()[0])

    def select(self, keep: NDArray[np.bool_] | Sequence[bool]) -> Manifest:
        """The rows where `keep`, bool (N,), is true."""
        return Manifest(self.table.filter(pa.array(np.asarray(keep, dtype=bool))), self.folder)

    def where(self, **equal: str | Iterable[str]) -> Manifest:
        """The rows whose columns equal the given value, or one of the given values."""
        table = self.table
        for name, wanted in equal.items():
            values = [wanted] if isinstance(wanted, str) else list(wanted)
            table = table.filter(pc.is_in(table.column(name), value_set=pa.array(values, pa.string())))
        return Manifest(table, self.folder)

    def with_columns(self, **columns: Sequence[Any] | NDArray[Any]) -> Manifest:
        """The same rows with some columns replaced; each of length N."""
        table = self.table
        for name, values in columns.items():
            kind = SCHEMA.field(name).type
            plain = values.tolist() if isinstance(values, np.ndarray) else list(values)
            table = table.set_column(SCHEMA.get_field_index(name), name, pa.array(plain, kind))
        return Manifest(table, self.folder)

    def image_path(self, index: int) -> Path:
        """Where the image of a row lies."""
        return self.folder / self.table.column("path")[index].as_py()

    def image_paths(self) -> list[Path]:
        """Where each image lies, in row order."""
        return [self.folder / path for path in self.column("path")]

    def candidate_sets(self) -> list[frozenset[Diagnosis]]:
        """The diagnoses each label leaves possible; empty for an unlabelled row."""
        cache: dict[str, frozenset[Diagnosis]] = {}
        found = []
        for text in self.column("candidates"):
            if text not in cache:
                cache[text] = frozenset(Diagnosis(code) for code in (text or "").split("|") if code)
            found.append(cache[text])
        return found

    def malignant(self) -> list[bool | None]:
        """Whether each label counts as malignant; None where it cannot be said."""
        return [malignant(candidates) for candidates in self.candidate_sets()]

    def groups(self) -> list[str]:
        """What each row is grouped by: `group` if set, else patient, else lesion, else the image itself."""
        names = ("group", "patient_id", "lesion_id")
        columns = [self.column(name) for name in names]
        images = zip(self.column("source"), self.column("image_id"), strict=True)
        return [
            next((value for value in values if value), f"{source}/{image}")
            for *values, (source, image) in zip(*columns, images, strict=True)
        ]

    def identity(self) -> str:
        """SHA-256 of the rows, whatever their order and wherever the files lie; lower-case hex."""
        table = self.table.drop_columns(list(_PLACE_COLUMNS))
        names = table.column_names
        lines = sorted("\x1f".join(_text(row[name]) for name in names) for row in table.to_pylist())
        return hashlib.sha256("\x1e".join([",".join(names), *lines]).encode()).hexdigest()

    def write(self, path: Path) -> None:
        """Writes Parquet or CSV, by the ending. Paths below the file's folder become relative to it.

        Raises:
            OutputError: The file cannot be written.
            ManifestError: The ending is neither `.parquet` nor `.csv`.
        """
        path = Path(path).absolute()
        kind = _kind(path)
        table = self._relative_to(path.parent).table
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
            os.close(handle)
            try:
                if kind == "parquet":
                    pq.write_table(table, temporary, compression="zstd")
                else:
                    pa_csv.write_csv(table, temporary)
                Path(temporary).replace(path)
            finally:
                Path(temporary).unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(
                f"the manifest cannot be written ({error.strerror})", where=str(path), way_out="Free space or choose another place with --out."
            ) from error

    def _relative_to(self, folder: Path) -> Manifest:
        def move(value: str) -> str:
            if not value:
                return value
            full = Path(os.path.normpath(self.folder / value))
            return full.relative_to(folder).as_posix() if full.is_relative_to(folder) else full.as_posix()

        return Manifest(
            self.with_columns(**{name: [move(value) for value in self.column(name)] for name in _PLACE_COLUMNS}).table, folder
        )


def from_rows(rows: Iterable[ManifestRow], folder: Path) -> Manifest:
    """A manifest of typed rows."""
    columns: dict[str, list[Any]] = {name: [] for name in SCHEMA.names}
    for row in rows:
        for name in SCHEMA.names:
            columns[name].append(getattr(row, name))
    arrays = [pa.array([None if v is None else _plain(v) for v in columns[f.name]], f.type) for f in SCHEMA]
    return Manifest(pa.Table.from_arrays(arrays, schema=SCHEMA), Path(folder).absolute())


def concat(manifests: Sequence[Manifest], folder: Path) -> Manifest:
    """The rows of several manifests, one after the other, paths relative to `folder` where they lie below it."""
    folder = Path(folder).absolute()
    moved = [manifest._relative_to(folder).table for manifest in manifests]
    return Manifest(pa.concat_tables(moved) if moved else SCHEMA.empty_table(), folder)


def read(path: Path) -> Manifest:
    """Reads a manifest, Parquet or CSV by the ending, and checks every row's types.

    Raises:
        ManifestError: `unreadable`, `missing_column`, `unknown_column` or `bad_value`, with the row and the column.
    """
    path = Path(path).absolute()
    kind = _kind(path)
    if not path.is_file():
        raise ManifestError("missing_file", "there is no such manifest", where=str(path), way_out="Make one with 'dermaloop curate'.")
    try:
        table = pq.read_table(path) if kind == "parquet" else _read_csv(path)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise ManifestError(
            "unreadable", f"this is not a readable {kind} file ({error})", where=str(path), way_out="Write it again from its source."
        ) from error
    _check_columns(table.column_names, path)
    missing = [name for name in SCHEMA.names if name not in table.column_names]
    rows = table.to_pylist()
    typed = []
    for number, values in enumerate(rows):
        clean = {k: v for k, v in values.items() if v is not None and not (isinstance(v, float) and math.isnan(v))}
        try:
            typed.append(ManifestRow(**clean))
        except ValidationError as error:
            first = error.errors()[0]
            column = ".".join(str(part) for part in first["loc"])
            raise ManifestError(
                "bad_value",
                f"{column} is {first['input']!r}: {first['msg'].lower()}",
                where=f"{path}, row {number + 1} (image_id {values.get('image_id')!r})",
                way_out="Correct the value or leave it empty.",
            ) from error
    del missing
    return from_rows(typed, path.parent)


def _check_columns(names: Sequence[str], path: Path) -> None:
    required = [name for name, field in ManifestRow.model_fields.items() if field.is_required()]
    for name in required:
        if name not in names:
            raise ManifestError("missing_column", f"the column {name!r} is missing", where=str(path), way_out=f"A manifest has at least {', '.join(required)}.")
    for name in names:
        if name not in SCHEMA.names:
            raise ManifestError("unknown_column", f"the column {name!r} is unknown", where=str(path), way_out="Remove it, or see docs/manifest.md for the columns.")


def _read_csv(path: Path) -> pa.Table:
    text = {name: pa.string() for name in SCHEMA.names}
    options = pa_csv.ConvertOptions(column_types=text, strings_can_be_null=False, null_values=[""])
    table = pa_csv.read_csv(path, convert_options=options)
    cleaned: dict[str, list[Any]] = {}
    for name in table.column_names:
        values = table.column(name).to_pylist()
        kind = SCHEMA.field(name).type if name in SCHEMA.names else pa.string()
        numeric = not pa.types.is_string(kind)
        optional_text = name in ("diagnosis", "split")
        cleaned[name] = [None if (v in ("", None) and (numeric or optional_text)) else v for v in values]
    return pa.table({name: pa.array(values, pa.string()) for name, values in cleaned.items()})


def _kind(path: Path) -> str:
    kind = path.suffix.lower().lstrip(".")
    if kind not in ("parquet", "csv"):
        raise ManifestError("unknown_format", f"the ending {path.suffix!r} is unknown", where=str(path), way_out="Name it .parquet or .csv.")
    return kind


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, StrEnum) else value


def _text(value: Any) -> str:
    return "" if value is None else re.sub(r"[\x1e\x1f]", " ", repr(value) if isinstance(value, float) else str(value))
