"""What a challenger starts from and learns from is the plan's choice, and stands in the record."""

from dataclasses import replace

import pytest

from dermaloop.core.errors import ManifestError
from dermaloop.core.manifest import Split
from dermaloop.refine.challenger import START, choose, plain, require_apart, training_manifest, weights_of
from dermaloop.refine.plan import PlanError
from support.challengers import easy_plan
from support.trainings import lesion_manifest


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    per_split = {Split.TRAIN: 4, Split.CALIBRATION: 4, Split.TEST: 4}
    return lesion_manifest(tmp_path_factory.mktemp("original"), sources=("alpha", "beta"), per_split=per_split)


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"weights")
    return path


def test_with_weights_and_original_data_it_is_a_warm_start_with_rehearsal(tmp_path, original, weights):
    plan = easy_plan(tmp_path, training={"rehearsal_share": 0.75})
    chosen = choose(plan, weights=weights, rehearsal=original)
    assert (chosen.weights, chosen.rehearsal) == ("champion", 8)
    assert chosen.recipe.network.start == START
    assert chosen.recipe.network.freeze == ("conv_stem", "bn1")
    assert chosen.recipe.data.source_share == {"clinic": 0.25}
    assert plain(chosen)["said"] == [
        "Warm start from the champion's weights.",
        "8 pictures of original data are rehearsed, 75% of each batch.",
    ]


def test_a_recipes_own_shares_are_shares_of_the_rehearsal(tmp_path, original, weights):
    plan = easy_plan(tmp_path, training={"rehearsal_share": 0.5})
    own = replace(plan.recipe, data=replace(plan.recipe.data, source_share={"alpha": 0.8}))
    given = replace(plan, recipe=own)
    assert choose(given, weights=weights, rehearsal=original).recipe.data.source_share == {"alpha": 0.4, "clinic": 0.5}


def test_without_original_data_the_plan_decides_and_the_choice_is_recorded(tmp_path, weights):
    with pytest.raises(PlanError, match="original training data is not at hand"):
        choose(easy_plan(tmp_path), weights=weights, rehearsal=None)
    plan = easy_plan(tmp_path, training={"without_rehearsal": "new cases only"})
    chosen = choose(plan, weights=weights, rehearsal=None)
    assert (chosen.rehearsal, chosen.recipe.data.source_share) == (0, {})
    assert chosen.said[-1] == "The original data is not at hand; the plan lets training go on with new cases only."
    assert plain(chosen)["rehearsal_pictures"] == 0


def test_without_weights_the_plan_decides_and_nothing_stays_frozen(tmp_path, original):
    with pytest.raises(PlanError, match="--champion-weights"):
        choose(easy_plan(tmp_path), weights=None, rehearsal=original)
    plan = easy_plan(tmp_path, training={"without_weights": "start anew"})
    chosen = choose(plan, weights=None, rehearsal=original)
    assert chosen.weights == "anew"
    assert (chosen.recipe.network.start, chosen.recipe.network.freeze) == ("", ())
    assert "start anew, with nothing frozen" in chosen.said[0]


def test_a_champions_weights_are_found_by_its_hash_unless_some_are_named(tmp_path, weights):
    assert weights_of(tmp_path, "a" * 64, None) is None
    assert weights_of(tmp_path, "a" * 64, weights) == weights
    kept = tmp_path / "weights" / f"{'a' * 64}.safetensors"
    kept.parent.mkdir()
    kept.write_bytes(b"kept")
    assert weights_of(tmp_path, "a" * 64, None) == kept


def test_what_is_held_out_never_trains(tmp_path, original):
    new = lesion_manifest(tmp_path / "new", sources=("clinic",), per_split={Split.TRAIN: 4, Split.TEST: 4}, size_px=80)
    rows = training_manifest(original, new, tmp_path)
    assert len(rows) == 2 * 8 + 4
    assert Split.TEST not in set(rows.column("split"))
    require_apart(new.where(split=Split.TEST), rows)
    with pytest.raises(ManifestError, match="in the frozen set and in the training data"):
        require_apart(new.where(split=Split.TRAIN), rows)
