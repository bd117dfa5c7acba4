"""What every importer needs: CSV files read strictly, pictures found by name, values turned into manifest words.

Owns the `Source` record and the small parsers. Refuses to know any dataset. The trade-off: a broken table (a missing
column, an unknown label) stops the import with the line named, because it means that the layout is not the one
expected; a single picture that is missing becomes a row with its reason, because real copies of datasets have holes.
"""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from dermaloop.core.errors import ManifestError, UnknownDiagnosisError
from dermaloop.core.manifest import SITES, Confirmation, ImageType, ManifestRow
from dermaloop.core.manifest_place import require_text
from dermaloop.core.taxonomy import Diagnosis, Label, format_candidates, from_code

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
    unpack_to: Path = Path("unpacked")
    """Where pictures that lie inside one big file are written as files."""
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


def csv_rows(
    path: Path, required: Iterable[str], *, header: Sequence[str] = ()
) -> Iterator[tuple[str, dict[str, str]]]:
    """The rows of a CSV file (`.tab`: separated by tabs) as (place for messages, values by column), values stripped.

    Args:
        path: The file.
        required: Columns it must have.
        header: Names of the columns, for a file that has no header line.

    Raises:
        ManifestError: `missing_file`, `missing_column`, `unreadable` (not UTF-8) or `bad_value` (a row is too short).
    """
    if not path.is_file():
        raise ManifestError(
            "missing_file",
            "there is no such table",
            where=str(path),
            way_out="Check that the folder is the dataset's own.",
        )
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, header or None, delimiter="\t" if path.suffix == ".tab" else ",")
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
                        "bad_value",
                        f"the row has not {len(names)} values",
                        where=place,
                        way_out="Download the table again.",
                    )
                yield place, {name: value.strip() for name, value in values.items()}
    except (UnicodeDecodeError, csv.Error) as error:
        raise ManifestError(
            "unreadable", f"this is not a readable CSV file ({error})", where=str(path), way_out="Save it as UTF-8 CSV."
        ) from error


class Folder:
    """The files below a folder by name, listed once. Where a name occurs twice, the first in path order counts."""

    def __init__(self, folder: Path) -> None:
        """Lists it.

        Raises:
            ManifestError: `missing_file`: there is no such folder.
        """
        if not folder.is_dir():
            raise ManifestError("missing_file", "there is no such folder", where=str(folder), way_out="Check the path.")
        self.path = folder
        self._images: dict[str, Path] = {}
        self._tables: dict[str, Path] = {}
        for path in files_below(folder):
            if is_image(path):
                self._images.setdefault(path.stem, path)
            else:
                self._tables.setdefault(path.name, path)

    def image(self, image_id: str) -> tuple[Path, str]:
        """Where the picture lies, and the reject reason: empty, or that it is missing."""
        path = self._images.get(image_id)
        return (path, "") if path else (self.path / f"{image_id}.jpg", MISSING_FILE)

    def mask(self, name: str) -> str:
        """Where the mask of that name (without ending) lies; empty where there is none."""
        return str(self._images.get(name, ""))

    def table(self, *names: str) -> Path:
        """The first of the named tables that is there, at any depth.

        Raises:
            ManifestError: `missing_file`, with the names.
        """
        found = self.tables(*names)
        if not found:
            raise ManifestError(
                "missing_file",
                f"there is no {' or '.join(names)}",
                where=str(self.path),
                way_out="Check that the folder is the dataset's own; 'dermaloop curate sources' says what is expected.",
            )
        return found[0]

    def tables(self, *names: str) -> list[Path]:
        """All of the named tables that are there, at any depth."""
        return [self._tables[name] for name in names if name in self._tables]


def files_below(folder: Path) -> Iterator[Path]:
    """All files below a folder in path order, hidden ones left out."""
    for base, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith("."):
                yield Path(base, name)


def is_image(path: Path) -> bool:
    """Whether a file may be a picture by its name; the challenges' superpixel maps are none."""
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.stem.endswith("_superpixels")


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


def coded(dataset: str, code: str, *, column: str, place: str) -> Label:
    """The label of a data set's own code (`core.taxonomy.CODES`).

    Raises:
        ManifestError: `unknown_diagnosis`, with the codes that are known.
    """
    try:
        return from_code(dataset, code)
    except UnknownDiagnosisError as error:
        raise ManifestError(
            "unknown_diagnosis", f"{column}: {error.what}", where=place, way_out=error.way_out
        ) from error


CONFIRMATIONS: dict[str, Confirmation] = {
    "histopathology": Confirmation.HISTOPATHOLOGY,
    "serial imaging showing no change": Confirmation.FOLLOW_UP,
    "single image expert consensus": Confirmation.CONSENSUS,
    "confocal microscopy with consensus dermoscopy": Confirmation.CONFOCAL,
    "single contributor clinical assessment": Confirmation.SINGLE_CLINICIAN,
    "": Confirmation.UNKNOWN,
}
"""The ISIC archive's words for how a diagnosis was confirmed. Source: isic-metadata 4.12.0, its fields."""


def archive_site(value: str, source: str, notes: Notes) -> str:
    """The archive's `anatom_site_general`: the manifest's own words; anything else is counted and left out."""
    if value in SITES:
        return value
    if not is_unknown(value):
        notes.count(source, "anatom_site_general", value)
    return ""


def prefixed(source: str, identity: str) -> str:
    """A lesion's or patient's id that cannot collide with another source's; empty stays empty."""
    return "" if is_unknown(identity) else f"{source}:{identity}"


def row(settings: Settings, image_id: str, place: tuple[Path, str], label: Label, **other: Any) -> ManifestRow:
    """One row of a source.

    Args:
        settings: Of the source; what it says of licence, pixel aspect and image type wins over `other`.
        image_id: Of the picture.
        place: Where it lies, and the reject reason if it has one, as `Folder.image` tells them.
        label: What the source says that it shows.
        other: Further columns of the manifest.

    Raises:
        ManifestError: `bad_value`: the file's name is no text, so no table could hold it.
    """
    path, reject_reason = place
    require_text(path)
    columns = {"pixel_aspect": 1.0, "image_type": ImageType.DERMOSCOPIC, **other}
    for name in ("licence", "pixel_aspect", "image_type"):
        columns[name] = getattr(settings, name) or columns.get(name, "")
    columns["pixel_aspect"] = settings.pixel_aspect_by_label.get(label.term, columns["pixel_aspect"])
    return ManifestRow(
        image_id=image_id,
        source=settings.name,
        path=str(path),
        reject_reason=reject_reason,
        diagnosis_term=label.term,
        diagnosis=label.diagnosis,
        candidates=format_candidates(label.candidates),
        **columns,
    )
