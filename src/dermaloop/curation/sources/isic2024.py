"""ISIC challenge 2024 (SLICE-3D): 400,000 small crops of lesions from total body photographs.

The pictures come as files or inside one HDF5 file (a byte string per isic_id). They are written out as files once,
below the manifest's folder: every other part of the program then reads them like any picture, and copies of the
manifest and its folder stay complete. The trade-off: 1.2 GB of small files more.
Source: Kurtansky et al. 2024, Sci Data 11:884, doi:10.1038/s41597-024-03743-w.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from dermaloop.core.errors import ManifestError, MissingExtraError, OutputError
from dermaloop.core.manifest import Confirmation, ImageType, ManifestRow
from dermaloop.core.taxonomy import Label, from_archive
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

_METADATA = ("train-metadata.csv", "ISIC_2024_Training_Metadata.csv", "metadata.csv")
_TRUTH = "ISIC_2024_Training_GroundTruth.csv"
_SUPPLEMENT = "ISIC_2024_Training_Supplement.csv"
_HDF5 = "train-image.hdf5"


def read(folder: Path, settings: Settings, notes: Notes) -> Iterator[ManifestRow]:
    """The rows of the metadata; labels from it or from the ground truth and supplement beside it.

    Raises:
        ManifestError: A table or the label is missing, or the HDF5 file cannot be read.
        MissingExtraError: The pictures are in HDF5 and h5py is not installed.
        OutputError: They cannot be written out.
    """
    files = Folder(folder)
    extra: dict[str, dict[str, str]] = {}
    for table in files.tables(_TRUTH, _SUPPLEMENT):
        for _, values in csv_rows(table, ("isic_id",)):
            extra.setdefault(values["isic_id"], {}).update(values)
    packed = files.tables(_HDF5)
    with _open(packed[0] if packed else None) as store:
        for place, own in csv_rows(files.table(*_METADATA), ("isic_id",)):
            values = {**own, **extra.get(own["isic_id"], {})}
            found = files.image(values["isic_id"])
            if found[1] and values["isic_id"] in store:
                found = (_unpack(store, values["isic_id"], settings.unpack_to), "")
            label, malignant = _label(values, place)
            if not label.reviewed:
                notes.count(settings.name, "iddx_full", label.term)
            yield row(
                settings,
                values["isic_id"],
                found,
                label,
                lesion_id=prefixed(settings.name, values.get("lesion_id", "")),
                patient_id=prefixed(settings.name, values.get("patient_id", "")),
                # The data set's paper: malignant lesions were biopsied; the rest mostly were judged clinically.
                confirmation=Confirmation.HISTOPATHOLOGY if malignant else Confirmation.UNKNOWN,
                image_type=ImageType.CLINICAL,
                age_years=age(values.get("age_approx", ""), place=place),
                sex=sex(values.get("sex", "")),
                site=archive_site(values.get("anatom_site_general", ""), settings.name, notes),
                licence=values.get("copyright_license", "") or LICENCE,
            )


def _label(values: dict[str, str], place: str) -> tuple[Label, bool]:
    """The finest label that the row has, and whether the challenge counts it malignant."""
    column = next((name for name in ("target", "malignant") if name in values), "")
    if not column:
        raise ManifestError(
            "missing_column",
            "there is neither 'target' nor 'malignant'",
            where=place,
            way_out=f"Put {_TRUTH} beside the table.",
        )
    malignant = flag(values[column], column=column, place=place)
    levels = {f"diagnosis_{level}": values.get(f"iddx_{level}", "") for level in range(1, 6)}
    return from_archive({**levels, "benign_malignant": "malignant" if malignant else "benign"}), malignant


class _Nothing(dict[str, Any]):
    """Stands for an HDF5 file where there is none."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None


def _open(path: Path | None) -> Any:
    if path is None:
        return _Nothing()
    try:
        import h5py  # noqa: PLC0415 - an extra that only this data set needs
    except ImportError as error:
        raise MissingExtraError(
            "reading HDF5 needs h5py", where=str(path), way_out="Install it: pip install 'dermaloop[curate]'."
        ) from error
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise ManifestError(
            "unreadable", f"this is not a readable HDF5 file ({error})", where=str(path), way_out="Download it again."
        ) from error


def _unpack(store: Mapping[str, Any], image_id: str, folder: Path) -> Path:
    """Writes one picture of the HDF5 file as a file, unless it is there already."""
    content = bytes(store[image_id][()])
    path = folder / f"{image_id}.jpg"
    try:
        if not path.is_file() or path.stat().st_size != len(content):
            folder.mkdir(parents=True, exist_ok=True)
            temporary = path.with_suffix(".part")  # no sync per picture: a short one has another size next time
            temporary.write_bytes(content)
            temporary.replace(path)
    except OSError as error:
        raise OutputError(
            f"the picture cannot be written ({error.strerror})",
            where=str(path),
            way_out="Free space or choose another --out.",
        ) from error
    return path


SOURCE = Source(
    "isic2024",
    "ISIC challenge 2024 (SLICE-3D)",
    f"{_METADATA[0]} and {_HDF5} or the pictures (or {_TRUTH}, {_SUPPLEMENT} and metadata.csv)",
    "CC BY-NC 4.0, or as its column copyright_license says",
    read,
)
