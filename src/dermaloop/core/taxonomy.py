"""The diagnoses, what they count as, and how other vocabularies map to them.

Owns the one table that says what is malignant. Adding a diagnosis is one row of `TABLE` (plus a member of
`Diagnosis`, whose order is the order of every probability vector). The trade-off: eight diagnoses that the public data
share, instead of the archive's hundreds; a term that maps to none of them stays visible as unmapped, with its benign or
malignant value kept. What the archive's terms mean is data, in `core.isic_terms`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from dermaloop.core import isic_terms
from dermaloop.core.errors import UnknownDiagnosisError


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
    snomed_ct: str = ""
    """SNOMED CT concept, only where it could be checked against a terminology server or a standard; else empty."""
    snomed_source: str = ""
    """Where it was checked."""


_ISIC = "ISIC archive diagnosis terms (diagnosis_1)"

TABLE: tuple[Entry, ...] = (
    Entry(Diagnosis.MEL, "Melanoma", Malignancy.MALIGNANT, True, _ISIC),
    Entry(
        Diagnosis.NV,
        "Melanocytic naevus",
        Malignancy.BENIGN,
        False,
        _ISIC,
        "400096001",
        "FHIR terminology server, SNOMED CT UK edition of 2023-04-12: Melanocytic nevus (disorder)",
    ),
    Entry(Diagnosis.BCC, "Basal cell carcinoma", Malignancy.MALIGNANT, True, _ISIC),
    Entry(
        Diagnosis.AKIEC,
        "Actinic keratosis / intraepithelial carcinoma (Bowen's disease)",
        Malignancy.INDETERMINATE,
        True,
        _ISIC + "; counted malignant as in Tschandl et al. 2019, Lancet Oncol, doi:10.1016/S1470-2045(19)30333-X",
        "201101007",
        "DICOM PS3.16, CID 4405: Actinic keratosis (Bowen's disease has a concept of its own)",
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


@dataclass(frozen=True, slots=True)
class Label:
    """What a source's own word for a diagnosis leaves possible.

    Attributes:
        term: The source's word, verbatim.
        candidates: The diagnoses it leaves possible: one for a fine label, several for a coarse one, none where it is
            none of the taxonomy's (or unknown).
        malignancy: The source's three-way value, kept even where there are no candidates; None where it states none.
        reviewed: False for a term that the mapping has never seen.
    """

    term: str
    candidates: frozenset[Diagnosis]
    malignancy: Malignancy | None = None
    reviewed: bool = True

    @property
    def diagnosis(self) -> Diagnosis | None:
        """The one diagnosis, where the label is that fine."""
        return next(iter(self.candidates)) if len(self.candidates) == 1 else None

    @property
    def mapped(self) -> bool:
        """Whether the taxonomy has a place for the term."""
        return bool(self.candidates)


_LEVELS = tuple(f"diagnosis_{level}" for level in range(1, 6))
_RULES = dict(isic_terms.RULES)


def from_archive(row: Mapping[str, object]) -> Label:
    """What a row of the ISIC archive's metadata says, by its present fields or by its former ones.

    `diagnosis_1` to `diagnosis_5` (from coarse to fine) decide where any is filled; else the former `diagnosis`; else
    `benign_malignant`, as a coarse label. A term that is none of the eight has no candidates, but keeps its term and
    its malignancy.

    Args:
        row: Column name to value; None, NaN and blank text mean unknown. Other columns are ignored.

    Returns:
        A label without candidates and with `reviewed` false where nobody has decided yet what the term means: to be
        reported, never dropped.
    """
    levels = [_text(row.get(name)) for name in _LEVELS]
    while levels and not levels[-1]:
        levels.pop()
    if levels:
        return _from_levels(tuple(levels))
    return _from_legacy(_text(row.get("diagnosis")), _text(row.get("benign_malignant")))


@functools.lru_cache(maxsize=4096)
def _from_levels(levels: tuple[str, ...]) -> Label:
    term = ":".join(levels)
    side = levels[0].lower()
    malignancy = Malignancy(side) if side in set(Malignancy) else None
    for length in range(len(levels), 0, -1):
        branch = ":".join(levels[:length])
        if branch in _RULES and (length == len(levels) or branch not in isic_terms.ITSELF_ONLY):
            return Label(term, _candidates(_RULES[branch]), malignancy)
    return Label(term, frozenset(), malignancy, reviewed=False)


@functools.lru_cache(maxsize=4096)
def _from_legacy(term: str, benign_malignant: str) -> Label:
    side = benign_malignant.lower()
    malignancy = Malignancy(side) if side in set(Malignancy) else None
    if "/" in side:  # "indeterminate/benign", "indeterminate/malignant"
        malignancy = Malignancy.INDETERMINATE
    if term.lower() in isic_terms.UNKNOWN:
        coarse = side if side in (isic_terms.BENIGN, isic_terms.MALIGNANT) else isic_terms.NONE
        return Label(term or benign_malignant, _candidates(coarse), malignancy)
    meaning = isic_terms.LEGACY.get(term.lower())
    return Label(term, _candidates(meaning or ""), malignancy, reviewed=meaning is not None)


def _candidates(meaning: str) -> frozenset[Diagnosis]:
    if meaning == isic_terms.MALIGNANT:
        return MALIGNANT
    return BENIGN if meaning == isic_terms.BENIGN else parse_candidates(meaning)


def _text(value: object) -> str:
    """A cell as text; a missing value, which tables also write as NaN, as ''."""
    return "" if value is None or value != value else str(value).strip()  # noqa: PLR0124 - NaN differs from itself


def parse_candidates(text: str) -> frozenset[Diagnosis]:
    """The diagnoses in a manifest's `candidates`, codes joined by '|'.

    Raises:
        UnknownDiagnosisError: A code that the taxonomy does not have.
    """
    try:
        return frozenset(Diagnosis(code) for code in text.split("|") if code)
    except ValueError:
        unknown = next(code for code in text.split("|") if code and code not in set(Diagnosis))
        raise UnknownDiagnosisError(
            f"{unknown!r} is not a diagnosis of the taxonomy", way_out=f"Use {', '.join(Diagnosis)}, joined by '|'."
        ) from None


def format_candidates(candidates: Iterable[Diagnosis]) -> str:
    """The manifest's `candidates`: codes in the taxonomy's order, joined by '|'."""
    wanted = set(candidates)
    return "|".join(diagnosis for diagnosis in Diagnosis if diagnosis in wanted)


CODES: dict[str, dict[str, Diagnosis]] = {
    "ham10000": {
        "akiec": Diagnosis.AKIEC,
        "bcc": Diagnosis.BCC,
        "bkl": Diagnosis.BKL,
        "df": Diagnosis.DF,
        "mel": Diagnosis.MEL,
        "nv": Diagnosis.NV,
        "vasc": Diagnosis.VASC,
    },
    "isic_challenge": {
        "MEL": Diagnosis.MEL,
        "NV": Diagnosis.NV,
        "BCC": Diagnosis.BCC,
        "AKIEC": Diagnosis.AKIEC,  # 2018
        "AK": Diagnosis.AKIEC,  # 2019
        "BKL": Diagnosis.BKL,
        "DF": Diagnosis.DF,
        "VASC": Diagnosis.VASC,
        "SCC": Diagnosis.SCC,
    },
    "pad_ufes_20": {
        "ACK": Diagnosis.AKIEC,
        "BCC": Diagnosis.BCC,
        "MEL": Diagnosis.MEL,
        "NEV": Diagnosis.NV,
        "SCC": Diagnosis.SCC,  # the data set counts Bowen's disease here, unlike HAM10000
        "SEK": Diagnosis.BKL,
    },
}
"""Diagnosis codes by data set. Source: doi:10.1038/sdata.2018.161 (HAM10000),
doi:10.1016/j.dib.2020.106221 (PAD-UFES-20) and challenge.isic-archive.com (2018 task 3, 2019)."""


def from_code(dataset: str, code: str) -> Label:
    """What a data set's own diagnosis code means; letter case does not matter.

    Raises:
        UnknownDiagnosisError: The data set has no such code.
    """
    codes = {known.lower(): diagnosis for known, diagnosis in CODES[dataset].items()}
    diagnosis = codes.get(code.strip().lower())
    if diagnosis is None:
        raise UnknownDiagnosisError(
            f"{code!r} is not a diagnosis code of {dataset}", way_out=f"Known are {', '.join(CODES[dataset])}."
        )
    return Label(code, frozenset({diagnosis}), ENTRIES[diagnosis].malignancy)
