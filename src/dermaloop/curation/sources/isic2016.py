"""ISIC challenge 2016, part 3: malignant or benign. All malignant lesions in it are melanomas.

Its tables have no header line; the training labels are words, the test labels 0 and 1.
Source: Gutman et al. 2016, arXiv:1605.01397 (part 3: melanoma against benign lesions).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dermaloop.core.manifest import ManifestRow
from dermaloop.core.taxonomy import BENIGN, Diagnosis, Label
from dermaloop.curation.sources.challenge import LICENCE
from dermaloop.curation.sources.reading import Folder, Notes, Settings, Source, csv_rows, lookup, row

_TABLES = ("ISBI2016_ISIC_Part3_Training_GroundTruth.csv", "ISBI2016_ISIC_Part3_Test_GroundTruth.csv")
_MALIGNANT, _BENIGN = Label("malignant", frozenset({Diagnosis.MEL})), Label("benign", BENIGN)
_LABELS = {
    "malignant": _MALIGNANT, "benign": _BENIGN, "1": _MALIGNANT, "0": _BENIGN, "1.0": _MALIGNANT, "0.0": _BENIGN,
}  # fmt: skip


def read(folder: Path, settings: Settings, notes: Notes) -> Iterator[ManifestRow]:  # noqa: ARG001 - every reader has it
    """The rows of the training and test ground truth, whichever are there.

    Raises:
        ManifestError: Neither table is there, or a label is neither malignant nor benign.
    """
    files = Folder(folder)
    for table in files.tables(*_TABLES) or [files.table(*_TABLES)]:
        for place, values in csv_rows(table, (), header=("image_id", "label")):
            label = lookup(_LABELS, values["label"].lower(), column="label", place=place)
            yield row(
                settings,
                values["image_id"],
                files.image(values["image_id"]),
                label,
                mask_path=files.mask(f"{values['image_id']}_Segmentation"),
                licence=LICENCE,
            )


SOURCE = Source("isic2016", "ISIC challenge 2016, part 3", " or ".join(_TABLES) + ", and the pictures", LICENCE, read)
