import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dermaloop.core.bundle import array_part
from dermaloop.core.taxonomy import Diagnosis
from dermaloop.inference import similar
from dermaloop.inference.similar import build_references, nearest


def table(count=500, length=200, seed=0):
    rng = np.random.default_rng(seed)
    embeddings = np.abs(rng.normal(size=(count, 20)) @ rng.normal(size=(20, length))).astype(np.float32)
    ids = [f"ISIC_{place:07d}" for place in range(count)]
    sources = ["ham10000" if place % 3 else "isic2017" for place in range(count)]
    diagnoses = [str(list(Diagnosis)[place % 8]) for place in range(count)]
    confirmations = ["histopathology" if place % 2 else "" for place in range(count)]
    return embeddings, ids, sources, diagnoses, confirmations


def test_a_training_picture_finds_itself_with_its_facts():
    embeddings, ids, sources, diagnoses, confirmations = table()
    found = nearest(embeddings, build_references(embeddings, ids, sources, diagnoses, confirmations), 3)
    for place, cases in enumerate(found):
        first = cases[0]
        assert (first.image_id, first.source, first.diagnosis, first.confirmation) == (
            ids[place],
            sources[place],
            diagnoses[place],
            confirmations[place],
        )
        assert first.similarity == pytest.approx(1, abs=1e-3)
        assert first.similarity >= cases[1].similarity >= cases[2].similarity >= -1.001


def test_one_byte_a_dimension_keeps_the_neighbours():
    embeddings, *facts = table(count=800)
    queries = embeddings[:100] + np.random.default_rng(1).normal(0, 0.3, (100, 200)).astype(np.float32)
    found = nearest(queries, build_references(embeddings, *facts), 1)
    centred = embeddings - embeddings.mean(axis=0)
    exact = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    asked = queries - embeddings.mean(axis=0)
    best = (asked @ exact.T / np.linalg.norm(asked, axis=1, keepdims=True)).argmax(axis=1)
    agree = np.mean([cases[0].image_id == facts[0][place] for cases, place in zip(found, best, strict=True)])
    assert agree >= 0.97


def test_ten_thousand_references_fit():
    embeddings, *facts = table(count=10_000, length=300)
    assert len(array_part(**build_references(embeddings, *facts))) < 1_000_000


def test_fewer_references_than_asked_for_give_all_there_are():
    embeddings, *facts = table(count=4)
    assert [len(cases) for cases in nearest(embeddings, build_references(embeddings, *facts), 10)] == [4] * 4


def test_a_picture_without_any_feature_is_no_division_by_zero():
    embeddings, *facts = table(count=50)
    references = build_references(embeddings, *facts)
    (cases,) = nearest(references["mean"][None], references, 2)
    assert all(case.similarity == 0 for case in cases)


@given(values=st.lists(st.integers(-40, 40), max_size=600), count=st.integers(0, 8))
def test_the_highest_are_those_of_a_full_sort(values, count):
    """Few different values over several parts: ties within and across the parts, whose earlier one comes first."""
    row = np.asarray(values, dtype=np.float32)
    count = min(count, len(row))
    assert similar._highest(row, count) == sorted(range(len(row)), key=lambda place: -row[place])[:count]
