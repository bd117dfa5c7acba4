"""PH2: 200 dermoscopic pictures of melanocytic lesions from Matosinhos, Portugal.

Its table `PH2_dataset.txt` is drawn with bars: `|| IMD003 || histological || clinical || ...`. The clinical diagnosis
is 0 (common naevus), 1 (atypical naevus) or 2 (melanoma), the histological one only where there was a biopsy.
Source: Mendonça et al. 2013, "PH2: a dermoscopic image database", EMBC, doi:10.1109/EMBC.2013.6610779.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dermaloop.core.errors import ManifestError
from dermaloop.core.manifest import Confirmation, ManifestRow
from dermaloop.core.taxonomy import Diagnosis, Label
from dermaloop.curation.sources.reading import Folder, Notes, Settings, Source, lookup, row

TABLE = "PH2_dataset.txt"
_CLINICAL = {
    "0": Label("common nevus", frozenset({Diagnosis.NV})),
    "1": Label("atypical nevus", frozenset({Diagnosis.NV})),
    "2": Label("melanoma", frozenset({Diagnosis.MEL})),
}
_LICENCE = "research and education only, no redistribution"


def read(folder: Path, settings: Settings, notes: Notes) -> Iterator[ManifestRow]:  # noqa: ARG001 - every reader has it
    """The rows of `PH2_dataset.txt`; each picture is a lesion of its own.

    Raises:
        ManifestError: The table is missing, has no rows, or a clinical diagnosis is not 0, 1 or 2.
    """
    files = Folder(folder)
    table = files.table(TABLE)
    found = False
    for number, line in enumerate(table.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        cells = [cell.strip() for cell in line.split("||")]
        if len(cells) < 4 or not cells[1].startswith("IMD"):  # noqa: PLR2004 - name, histological, clinical
            continue  # header and legend
        found = True
        image_id = cells[1]
        label = lookup(_CLINICAL, cells[3], column="Clinical Diagnosis", place=f"{table}, line {number}")
        yield row(
            settings,
            image_id,
            files.image(image_id),
            label,
            lesion_id=f"{settings.name}:{image_id}",
            confirmation=Confirmation.HISTOPATHOLOGY if cells[2] else Confirmation.SINGLE_CLINICIAN,
            mask_path=files.mask(f"{image_id}_lesion"),
            licence=_LICENCE,
        )
    if not found:
        raise ManifestError(
            "unreadable",
            "there is no row '|| IMD... || ... ||'",
            where=str(table),
            way_out="Take the table as it came with PH2.",
        )


SOURCE = Source("ph2", "PH2", f"{TABLE} and 'PH2 Dataset images/'", _LICENCE, read)
