"""What every importer needs: CSV files read strictly, pictures found by name, values turned into manifest words.

Owns the `Source` record and the small parsers. Refuses to know any dataset. The trade-off: a broken table (a missing
column, an unknown label) stops the import with the line named, because it means that the layout is not the one
expected; a single picture that is missing becomes a row with its reason, because real copies of datasets have holes.
"""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from dermaloop.core.errors import ManifestError, UnknownDiagnosisError
from dermaloop.core.manifest import Confirmation, ImageType, ManifestRow
from dermaloop.core.taxonomy import Diagnosis, from_code

MISSING_FILE = "missing_file"
"""`reject_reason` of a row whose picture is not there."""
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".heic", ".heif"})
_UNKNOWN = frozenset({"", "unknown", "na", "nan", "n/a", "none", "null", "unk"})
_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Settings:
    """How one dataset is imported; what a recipe may say of a source."""

    name: str
    """Put into the rows' `source`, and before their lesion and patient ids."""
    licence: str = ""
    """Overrides the importer's own."""
    pixel_aspect: float | None = None
    """Overrides the importer's own; see `core.preprocess.frame`."""
    pixel_aspect_by_label: Mapping[str, float] = field(default_factory=dict)
    """For `labels` and `folders`: overrides `pixel_aspect` where the labels come from differently made pictures."""
    image_type: ImageType | None = None
    """Overrides the importer's own."""
    confirmation: Confirmation = Confirmation.UNKNOWN
    """For the importers whose layout does not tell (labels, folders)."""
    image_column: str = "image"
    """For `labels`: the column that names the picture."""
    label_column: str = "label"
    """For `labels`: the column with the diagnosis."""
    labels: Mapping[str, tuple[Diagnosis, ...]] = field(default_factory=dict)
    """For `labels` and `folders`: the diagnoses that each label leaves possible; added to the words known anyway."""


@dataclass(slots=True)
class Notes:
    """What an importer saw and could not use: shown to the user, never dropped in silence."""

    unmapped: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """Rows by (source, column, value) for values that no manifest word stands for."""

    def count(self, source: str, column: str, value: str) -> None:
        """Counts one row with a value that could not be mapped."""
        self.unmapped[source, column, value] += 1


Reader = Callable[[Path, Settings, Notes], Iterator[ManifestRow]]


@dataclass(frozen=True, slots=True)
class Source:
    """One dataset layout that can be imported."""

    name: str
    title: str
    layout: str
    """The files expected below the folder, in words."""
    licence: str
    read: Reader


def csv_rows(path: Path, required: Iterable[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """The rows of a CSV file as (place for messages, values by column), values stripped.

    Raises:
        ManifestError: `missing_file`, `missing_column`, `unreadable` (not UTF-8) or `bad_value` (a row is too short).
    """
    if not path.is_file():
        raise ManifestError(
            "missing_file", "there is no such table", where=str(path), way_out="Check that the folder is the dataset's own."
        )
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            names = [name.strip() for name in reader.fieldnames or []]
            reader.fieldnames = names
            for column in required:
                if column not in names:
                    raise ManifestError(
                        "missing_column",
                        f"the column {column!r} is missing",
                        where=str(path),
                        way_out=f"It has: {', '.join(names) or 'no columns'}.",
                    )
            for values in reader:
                place = f"{path}, line {reader.line_num}"
                if None in values or None in values.values():
                    raise ManifestError(
                        "bad_value", f"the row has not {len(names)} values", where=place, way_out="Download the table again."
                    )
                yield place, {name: value.strip() for name, value in values.items()}
    except (UnicodeDecodeError, csv.Error) as error:
        raise ManifestError(
            "unreadable", f"this is not a readable CSV file ({error})", where=str(path), way_out="Save it as UTF-8 CSV."
        ) from error


class Images:
    """The pictures below a folder by name without ending; the first found wins in the order of their paths."""

    def __init__(self, folder: Path, *subfolders: str) -> None:
        """Lists `folder`, or only those of `subfolders` that are there; superpixel maps of the challenges are left out."""
        if not folder.is_dir():
            raise ManifestError("missing_file", "there is no such folder", where=str(folder), way_out="Check the path.")
        self.folder = folder
        starts = [folder / name for name in subfolders if (folder / name).is_dir()] or [folder]
        self._by_stem: dict[str, Path] = {}
        for start in starts:
            for path in image_files(start):
                self._by_stem.setdefault(path.stem, path)

    def place(self, image_id: str) -> tuple[Path, str]:
        """Where the picture lies, and the reject reason: empty, or that it is missing."""
        path = self._by_stem.get(image_id)
        return (path, "") if path else (self.folder / f"{image_id}.jpg", MISSING_FILE)


def image_files(folder: Path) -> Iterator[Path]:
    """All picture files below a folder, sorted, hidden ones and the challenges' superpixel maps left out."""
    for base, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = Path(base, name)
            if path.suffix.lower() in IMAGE_SUFFIXES and not name.startswith(".") and "_superpixels" not in name:
                yield path


def lookup(table: Mapping[str, _Value], value: str, *, column: str, place: str) -> _Value:
    """The entry for a value of a closed vocabulary.

    Raises:
        ManifestError: `unknown_value`, with the words that are known.
    """
    try:
        return table[value]
    except KeyError:
        raise ManifestError(
            "unknown_value",
            f"{column} is {value!r}",
            where=place,
            way_out=f"Known are: {', '.join(sorted(table))}.",
        ) from None


def age(value: str, *, place: str) -> float | None:
    """Years; None where unknown. '85+' counts as 85.

    Raises:
        ManifestError: `bad_value`: not a number from 0 to 120.
    """
    if value.lower() in _UNKNOWN:
        return None
    try:
        years = float(value.removesuffix("+"))
    except ValueError:
        years = -1.0
    if not 0 <= years <= 120:  # noqa: PLR2004 - the manifest's own limits
        raise ManifestError("bad_value", f"the age is {value!r}", where=place, way_out="Correct it or leave it empty.")
    return years


def sex(value: str) -> str:
    """`female`, `male`, or empty."""
    return {"f": "female", "female": "female", "m": "male", "male": "male"}.get(value.lower(), "")


def is_unknown(value: str) -> bool:
    """Whether a value says that nothing is known."""
    return value.lower() in _UNKNOWN


def flag(value: str, *, column: str, place: str) -> bool:
    """A yes/no value: 1, 1.0, true or 0, 0.0, false, in any case.

    Raises:
        ManifestError: `bad_value`.
    """
    known = {"1": True, "1.0": True, "true": True, "0": False, "0.0": False, "false": False}
    return lookup(known, value.lower(), column=column, place=place)


def coded(dataset: str, code: str, *, column: str, place: str) -> Diagnosis:
    """The diagnosis of a data set's own code (`core.taxonomy.CODES`).

    Raises:
        ManifestError: `unknown_diagnosis`, with the codes that are known.
    """
    try:
        diagnosis = from_code(dataset, code).diagnosis
    except UnknownDiagnosisError as error:
        raise ManifestError("unknown_diagnosis", f"{column}: {error.what}", where=place, way_out=error.way_out) from error
    assert diagnosis is not None
    return diagnosis
