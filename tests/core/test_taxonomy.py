"""The taxonomy against the archive's own vocabulary."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from isic_metadata.diagnosis_hierarchical import DiagnosisEnum
from isic_metadata.fields import LegacyDxEnum

from dermaloop.core import isic_terms
from dermaloop.core.errors import UnknownDiagnosisError
from dermaloop.core.taxonomy import (
    BENIGN,
    CODES,
    ENTRIES,
    MALIGNANT,
    TABLE,
    Diagnosis,
    Malignancy,
    format_candidates,
    from_archive,
    from_code,
    malignant,
    parse_candidates,
)

TERMS = [term.value for term in DiagnosisEnum]


def row(term: str) -> dict[str, object]:
    return {f"diagnosis_{level}": part for level, part in enumerate(term.split(":"), start=1)}


def test_every_diagnosis_has_one_row_in_the_order_of_probability_vectors():
    assert [entry.diagnosis for entry in TABLE] == list(Diagnosis)
    assert all(entry.name and entry.source for entry in TABLE)


def test_malignant_and_benign_share_the_diagnoses_out():
    assert {Diagnosis.MEL, Diagnosis.BCC, Diagnosis.AKIEC, Diagnosis.SCC} == MALIGNANT
    assert set(Diagnosis) == MALIGNANT | BENIGN
    assert not MALIGNANT & BENIGN


def test_a_snomed_code_names_where_it_was_checked():
    for entry in TABLE:
        assert bool(entry.snomed_ct) == bool(entry.snomed_source)
        assert not entry.snomed_ct or entry.snomed_ct.isdigit()


@pytest.mark.parametrize("term", TERMS)
def test_every_term_of_the_archive_is_decided_and_keeps_its_malignancy(term):
    label = from_archive(row(term))
    assert label.reviewed, "a new term of the archive: decide in core/isic_terms.py what it means"
    assert label.term == term
    assert label.malignancy == Malignancy(term.split(":")[0].lower())
    if label.malignancy == Malignancy.BENIGN:
        assert label.candidates <= BENIGN
    elif label.malignancy == Malignancy.MALIGNANT:
        assert label.candidates <= MALIGNANT
    else:
        assert label.candidates <= {Diagnosis.AKIEC}


def test_every_rule_names_a_term_of_the_archive():
    assert {branch for branch, _ in isic_terms.RULES} <= set(TERMS)
    assert set(TERMS) >= isic_terms.ITSELF_ONLY
    assert len(isic_terms.RULES) == len({branch for branch, _ in isic_terms.RULES})


def test_the_mapping_covers_what_it_claims():
    fine = [from_archive(row(term)).diagnosis for term in TERMS]
    counts = {diagnosis: fine.count(diagnosis) for diagnosis in Diagnosis}
    assert all(counts.values()), counts
    assert counts[Diagnosis.NV] > 30
    assert counts[Diagnosis.MEL] > 25
    assert 100 < fine.count(None) < 300


@pytest.mark.parametrize("term", [term.value for term in LegacyDxEnum])
def test_every_former_term_is_decided(term):
    assert from_archive({"diagnosis": term, "benign_malignant": "benign"}).reviewed


def test_former_terms_are_the_archives():
    known = {term.value.lower() for term in LegacyDxEnum}
    assert set(isic_terms.LEGACY) == known


@pytest.mark.parametrize(
    ("term", "expected"),
    [
        ("Malignant:Malignant melanocytic proliferations (Melanoma):Melanoma in situ:Melanoma in situ, Mucosal", "MEL"),
        ("Malignant:Malignant epidermal proliferations:Squamous cell carcinoma in situ", "AKIEC"),
        ("Malignant:Malignant epidermal proliferations:Squamous cell carcinoma, NOS", "SCC"),
        ("Malignant:Malignant epidermal proliferations", "AKIEC|SCC"),
        ("Malignant:Malignant adnexal epithelial proliferations - Follicular:Basal cell carcinoma", "BCC"),
        ("Indeterminate:Indeterminate epidermal proliferations:Solar or actinic keratosis", "AKIEC"),
        ("Benign:Benign melanocytic proliferations:Nevus:Blue nevus:Blue nevus, Cellular", "NV"),
        ("Benign:Benign epidermal proliferations:Pigmented benign keratosis", "BKL"),
        ("Benign:Benign epidermal proliferations:Solar lentigo", "BKL"),
        ("Benign:Benign soft tissue proliferations - Vascular:Hemangioma:Hemangioma, Cherry", "VASC"),
        ("Benign:Benign soft tissue proliferations - Fibro-histiocytic:Dermatofibroma", "DF"),
        ("Benign:Benign soft tissue proliferations - Fibro-histiocytic:Scar", ""),
        ("Benign:Benign melanocytic proliferations:Lentigo simplex", ""),
        ("Malignant:Merkel cell proliferation:Merkel cell carcinoma", ""),
        ("Indeterminate:Indeterminate melanocytic proliferations:Atypical Spitz tumor", ""),
        ("Malignant", "MEL|BCC|AKIEC|SCC"),
        ("Benign", "NV|BKL|DF|VASC"),
        ("Indeterminate", ""),
    ],
)
def test_terms_mean_what_a_dermatologist_would_say(term, expected):
    label = from_archive(row(term))
    assert format_candidates(label.candidates) == expected
    assert label.diagnosis == (Diagnosis(expected) if expected in set(Diagnosis) else None)


@pytest.mark.parametrize(
    "term",
    ["Benign:Something new", "Malignant:Malignant epidermal proliferations:Something new", "Puzzling:Something"],
)
def test_a_term_never_seen_is_reported_and_not_guessed(term):
    label = from_archive(row(term))
    assert not label.reviewed
    assert not label.mapped
    assert label.term == term
    assert label.malignancy == {"Benign": Malignancy.BENIGN, "Malignant": Malignancy.MALIGNANT}.get(term.split(":")[0])


@pytest.mark.parametrize(
    ("values", "candidates", "malignancy"),
    [
        ({"diagnosis": "melanoma", "benign_malignant": "malignant"}, "MEL", Malignancy.MALIGNANT),
        ({"diagnosis": "unknown", "benign_malignant": "benign"}, "NV|BKL|DF|VASC", Malignancy.BENIGN),
        ({"diagnosis": None, "benign_malignant": "malignant"}, "MEL|BCC|AKIEC|SCC", Malignancy.MALIGNANT),
        ({"diagnosis": "lentigo NOS", "benign_malignant": "benign"}, "", Malignancy.BENIGN),
        ({"diagnosis": "AIMP", "benign_malignant": "indeterminate/malignant"}, "", Malignancy.INDETERMINATE),
        ({"benign_malignant": math.nan}, "", None),
        ({}, "", None),
        ({"diagnosis_1": "Benign", "diagnosis": "melanoma"}, "NV|BKL|DF|VASC", Malignancy.BENIGN),
        ({"diagnosis_1": None, "diagnosis_2": math.nan, "diagnosis": "nevus"}, "NV", None),
    ],
)
def test_former_and_missing_fields(values, candidates, malignancy):
    label = from_archive(values)
    assert format_candidates(label.candidates) == candidates
    assert label.malignancy == malignancy


def test_data_set_codes():
    assert {from_code("ham10000", code).diagnosis for code in CODES["ham10000"]} == set(Diagnosis) - {Diagnosis.SCC}
    assert from_code("pad_ufes_20", "ack").diagnosis == Diagnosis.AKIEC
    assert from_code("pad_ufes_20", "SEK").malignancy == ENTRIES[Diagnosis.BKL].malignancy
    with pytest.raises(UnknownDiagnosisError, match=r"'XYZ'.*Known are ACK"):
        from_code("pad_ufes_20", "XYZ")


@given(st.frozensets(st.sampled_from(list(Diagnosis))))
def test_candidates_survive_text(candidates):
    assert parse_candidates(format_candidates(candidates)) == candidates
    if candidates and candidates <= MALIGNANT:
        assert malignant(candidates) is True
    elif candidates and candidates <= BENIGN:
        assert malignant(candidates) is False
    else:
        assert malignant(candidates) is None


def test_an_unknown_code_is_named():
    with pytest.raises(UnknownDiagnosisError, match="'MELANOMA'"):
        parse_candidates("NV|MELANOMA")
