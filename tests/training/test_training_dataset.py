"""Labels as arrays, shares that hold, and draws that depend on seed and step alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dermaloop.core.errors import ManifestError
from dermaloop.core.manifest import Split
from dermaloop.core.taxonomy import BENIGN, MALIGNANT, Diagnosis
from dermaloop.training import dataset
from dermaloop.training.cache import open_cache
from dermaloop.training.recipe import Data
from support.trainings import lesion_manifest

K = len(Diagnosis)
KINDS = [frozenset({0}), frozenset({1}), frozenset({2}), frozenset({0, 2, 3}), frozenset(range(K))]


def labels(sources, kinds):
    candidates = np.zeros((len(sources), K), dtype=bool)
    for row, kind in enumerate(kinds):
        candidates[row, list(KINDS[kind])] = True
    fine = np.where(candidates.sum(axis=1) == 1, candidates.argmax(axis=1), -1)
    return dataset.Targets(candidates, fine, list(sources))


rows_of = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, len(KINDS) - 1)), min_size=1, max_size=60)


@settings(deadline=None)
@given(rows_of, st.floats(0, 1.5), st.data())
def test_every_source_and_every_label_gets_its_share(rows, power, data):
    sources, kinds = zip(*rows, strict=True)
    present = sorted(set(sources))
    named = data.draw(st.lists(st.sampled_from(present), unique=True, max_size=len(present) - 1))
    share = dict.fromkeys(named, 0.9 / max(1, len(named)))
    weights = dataset.sampling_weights(labels(sources, kinds), Data(source_share=share, class_power=power))
    assert weights.sum() == pytest.approx(1)
    assert (weights > 0).all()
    by_source = {source: weights[np.array(sources) == source].sum() for source in present}
    for source in named:
        assert by_source[source] == pytest.approx(share[source])
    others = [source for source in present if source not in named]
    counts = {source: sources.count(source) for source in others}
    for source in others:
        left = 1 - sum(share.values())
        assert by_source[source] == pytest.approx(left * counts[source] / sum(counts.values()))
    for source in present:
        inside = [(kinds[i], weights[i]) for i in range(len(rows)) if sources[i] == source]
        drawn = {kind: [weight for other, weight in inside if other == kind] for kind, _ in inside}
        for some in drawn.values():
            assert np.ptp(some) == pytest.approx(0, abs=1e-12)
        for one in drawn.values():
            for two in drawn.values():
                assert sum(one) / sum(two) == pytest.approx((len(one) / len(two)) ** power)


def test_a_source_that_the_shares_leave_nothing_for_is_refused():
    with pytest.raises(ManifestError, match="leaves nothing for the source 'b'") as refused:
        dataset.sampling_weights(labels("aab", [0, 1, 0]), Data(source_share={"a": 1.0}))
    assert refused.value.rule == "no_share"


@settings(deadline=None)
@given(st.integers(0, 2**40), st.integers(0, 10**6))
def test_a_batch_depends_on_seed_and_step_alone(seed, step):
    weights = np.array([0.1, 0.0, 0.4, 0.5, 0.0])
    one = dataset.StepSampler(weights, 16, seed, 10, lambda: 0)
    other = dataset.StepSampler(weights, 16, seed, 10, lambda: 7)
    other.draw(step + 3)
    assert one.draw(step) == other.draw(step)
    assert set(one.draw(step)) <= {0, 2, 3}  # weight 0 is never drawn
    assert len(one.draw(step)) == 16


def test_seeds_steps_and_processes_draw_differently():
    weights = np.full(1000, 1 / 1000)
    base = dataset.StepSampler(weights, 32, 1, 10, lambda: 0)
    others = [
        base.draw(1),
        dataset.StepSampler(weights, 32, 2, 10, lambda: 0).draw(0),
        dataset.StepSampler(weights, 32, 1, 10, lambda: 0, ranks=lambda: (0, 2)).draw(0),
        dataset.StepSampler(weights, 32, 1, 10, lambda: 0, ranks=lambda: (1, 2)).draw(0),
    ]
    drawn = [base.draw(0), *others]
    assert len({tuple(batch) for batch in drawn}) == len(drawn)


def test_draws_follow_the_weights():
    weights = np.array([0.5, 0.3, 0.2, 0.0])
    sampler = dataset.StepSampler(weights, 1000, 5, 10, lambda: 0)
    counts = np.bincount([i for step in range(40) for i in sampler.draw(step)], minlength=4) / 40_000
    np.testing.assert_allclose(counts, weights, atol=0.01)


@pytest.mark.parametrize(("position", "steps"), [(0, [0, 1, 2, 3]), (2, [2, 3]), (4, [4, 5, 6, 7]), (7, [7])])
def test_an_iteration_begins_where_the_run_stands_and_ends_with_the_epoch(position, steps):
    sampler = dataset.StepSampler(np.full(9, 1 / 9), 4, 1, 4, lambda: position)
    assert list(sampler) == [sampler.draw(step) for step in steps]
    assert len(sampler) == 4


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dataset")
    return lesion_manifest(folder, sources=("alpha",), per_split={Split.TRAIN: 8})


def test_labels_become_arrays_in_the_taxonomys_order(manifest):
    coarse = manifest.with_columns(
        candidates=["MEL", "NV", "|".join(sorted(MALIGNANT)), "|".join(BENIGN)] + ["BKL"] * 4
    )
    found = dataset.targets(coarse)
    order = list(Diagnosis)
    assert found.fine.tolist() == [order.index("MEL"), order.index("NV"), -1, -1] + [order.index("BKL")] * 4
    assert {order[k] for k in np.flatnonzero(found.candidates[2])} == MALIGNANT
    assert {order[k] for k in np.flatnonzero(found.candidates[3])} == BENIGN
    assert found.sources == ["alpha"] * 8


def test_an_unlabelled_row_is_refused_by_its_number(manifest):
    with pytest.raises(
        ManifestError, match=r"row 3 .*alpha-train-002.* 1 rows to train on have no diagnosis"
    ) as refused:
        dataset.targets(manifest.with_columns(candidates=["MEL", "NV", "", *["BKL"] * 5]))
    assert refused.value.rule == "unlabelled"


def test_what_training_reads_identifies_the_rows(manifest):
    base = dataset.rows_identity(manifest)
    assert dataset.rows_identity(manifest.with_columns(age_years=[50.0] * 8)) == base
    assert dataset.rows_identity(manifest.select([True] * 7 + [False])) != base
    assert dataset.rows_identity(manifest.with_columns(candidates=["NV"] * 8)) != base
    assert dataset.rows_identity(manifest.with_columns(split=["validation"] * 8)) != base


@pytest.mark.parametrize("workers", [0, 1])
def test_the_loader_gives_the_drawn_rows_as_they_are_stored(manifest, tmp_path, workers):
    cache = open_cache(manifest, tmp_path, 32)
    found = dataset.targets(manifest)
    rows = np.array([7, 5, 3, 1])  # of the cache
    part = dataset.Targets(found.candidates[rows], found.fine[rows], [found.sources[i] for i in rows])
    pictures = dataset.Pictures(cache, rows, part)
    sampler = dataset.StepSampler(np.full(4, 0.25), 6, 1, 3, lambda: 1)
    batches = list(dataset.loader(pictures, sampler, batch=6, workers=workers))
    assert [batch["index"].tolist() for batch in batches] == [sampler.draw(1), sampler.draw(2)]
    for batch in batches:
        index = batch["index"].numpy()
        np.testing.assert_array_equal(batch["picture"].numpy(), cache.pictures[rows[index]])
        np.testing.assert_array_equal(batch["candidates"].numpy(), found.candidates[rows[index]])
    once = list(dataset.loader(pictures, None, batch=3, workers=0))
    assert [batch["index"].tolist() for batch in once] == [[0, 1, 2], [3]]
