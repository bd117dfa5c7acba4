"""The diagnoses, what they count as, and how other vocabularies map to them.

Owns the one table that says what is malignant. Adding a diagnosis is one row of `TABLE` (plus a member of
`Diagnosis`, whose order is the order of every probability vector). The trade-off: eight diagnoses that the public data
share, instead of the archive's hundreds; a term that maps to none of them stays visible as unmapped.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Diagnosis(StrEnum):
    """Short codes of the ISIC challenges 2018 and 2019. The order is the order of probability vectors."""

    MEL = "MEL"
    NV = "NV"
    BCC = "BCC"
    AKIEC = "AKIEC"
    BKL = "BKL"
    DF = "DF"
    VASC = "VASC"
    SCC = "SCC"


class Malignancy(StrEnum):
    """The ISIC archive's three-way value (its field `diagnosis_1`)."""

    BENIGN = "benign"
    INDETERMINATE = "indeterminate"
    MALIGNANT = "malignant"


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the taxonomy."""

    diagnosis: Diagnosis
    name: str
    malignancy: Malignancy
    """The three-way value of the ISIC archive for the bulk of the class."""
    counts_as_malignant: bool
    """How the two-way comparisons of the field count it (docs/adr/0003)."""
    source: str
    """Where the three-way value and the two-way count come from."""


_ISIC = "ISIC archive diagnosis terms (diagnosis_1)"

TABLE: tuple[Entry, ...] = (
    Entry(Diagnosis.MEL, "Melanoma", Malignancy.MALIGNANT, True, _ISIC),
    Entry(Diagnosis.NV, "Melanocytic naevus", Malignancy.BENIGN, False, _ISIC),
    Entry(Diagnosis.BCC, "Basal cell carcinoma", Malignancy.MALIGNANT, True, _ISIC),
    Entry(
        Diagnosis.AKIEC,
        "Actinic keratosis / intraepithelial carcinoma (Bowen's disease)",
        Malignancy.INDETERMINATE,
        True,
        _ISIC + "; counted malignant as in Tschandl et al. 2019, Lancet Oncol, doi:10.1016/S1470-2045(19)30333-X",
    ),
    Entry(Diagnosis.BKL, "Benign keratosis", Malignancy.BENIGN, False, _ISIC),
    Entry(Diagnosis.DF, "Dermatofibroma", Malignancy.BENIGN, False, _ISIC),
    Entry(Diagnosis.VASC, "Vascular lesion", Malignancy.BENIGN, False, _ISIC),
    Entry(Diagnosis.SCC, "Squamous cell carcinoma", Malignancy.MALIGNANT, True, _ISIC),
)

ENTRIES: dict[Diagnosis, Entry] = {entry.diagnosis: entry for entry in TABLE}
MALIGNANT: frozenset[Diagnosis] = frozenset(entry.diagnosis for entry in TABLE if entry.counts_as_malignant)
BENIGN: frozenset[Diagnosis] = frozenset(Diagnosis) - MALIGNANT


def malignant(candidates: frozenset[Diagnosis]) -> bool | None:
    """Whether a label counts as malignant; None where the candidates lie on both sides or there are none.

    Args:
        candidates: The diagnoses that the label leaves possible; one for a fine label.
    """
    if candidates and candidates <= MALIGNANT:
        return True
    if candidates and candidates <= BENIGN:
        return False
    return None
