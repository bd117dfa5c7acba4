"""Frozen blocks keep their weights and their statistics, and the others learn."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from dermaloop.core.errors import RecipeError
from dermaloop.training import recipe as recipes
from dermaloop.training.network import build
from dermaloop.training.run import train
from support.trainings import lesion_manifest, small

FREEZE = ["conv_stem", "bn1", "blocks.0"]


def test_what_is_frozen_stays_and_the_rest_learns(tmp_path):
    torch.manual_seed(0)
    network = build(recipes.parse(small()).network)
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, tmp_path / "w.safetensors")
    recipe = recipes.parse(
        small(network={"start": "w.safetensors", "freeze": FREEZE}, run={"steps": 3, "steps_per_epoch": 3})
    )
    train(recipe, lesion_manifest(tmp_path / "data", sources=("a",)), tmp_path / "run", weights_folder=tmp_path,
          show_progress=False)  # fmt: skip
    before, after = load_file(tmp_path / "w.safetensors"), load_file(tmp_path / "run/weights.safetensors")
    # Averaging a weight with itself may turn its last bit.
    same = {name for name, value in before.items() if torch.allclose(value, after[name], rtol=0, atol=1e-7)}
    frozen = {name for name in before if name.startswith(tuple(f"backbone.{block}." for block in FREEZE))}
    assert frozen
    assert frozen <= same, "neither weights nor running statistics moved"
    assert {"backbone.conv_head.weight", "backbone.classifier.weight"} & (set(before) - same)


def test_freezing_needs_a_start_and_blocks_that_are_there():
    with pytest.raises(RecipeError, match=r"network\.freeze needs network\.start"):
        recipes.parse(small(network={"freeze": FREEZE}))
    wrong = recipes.parse(small(network={"start": "w", "freeze": ["nowhere"]}))
    with pytest.raises(RecipeError, match="no block 'nowhere'"):
        build(wrong.network, start=False)


def test_a_recipe_without_frozen_blocks_is_what_it_was_before_there_were_any():
    plain = recipes.parse(small())
    assert "freeze" in plain.plain()["network"]
    frozen = recipes.parse(small(network={"start": "w", "freeze": FREEZE}))
    started = recipes.parse(small(network={"start": "w"}))
    assert len({plain.identity(), started.identity(), frozen.identity()}) == 3
