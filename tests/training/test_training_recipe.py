"""A recipe means what it says, or is refused by the name of what is wrong."""

import dataclasses
import tomllib
from pathlib import Path

import pytest

from dermaloop.core.errors import RecipeError
from dermaloop.training import recipe, recipe_rules
from support.trainings import small, write_toml

REFERENCE = Path(__file__).parents[2] / "recipes" / "reference.toml"
RECIPES = [*sorted(REFERENCE.parent.glob("reference*.toml")), REFERENCE.parent / "left-out.toml"]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_each_recipe_of_the_reference_is_read_whole_and_starts_from_weights(path):
    found = recipe.load(path)
    assert found.network.start
    assert not Path(found.network.start).is_absolute()
    assert found.run.evaluate_px <= found.data.cache_px


def test_the_reference_recipe_loads_and_every_key_of_it_arrives():
    found = recipe.load(REFERENCE)
    plain = found.plain()
    for table, values in tomllib.loads(REFERENCE.read_text()).items():
        if isinstance(values, dict):
            assert values.items() <= plain[table].items() or table == "run"
        else:
            assert plain[table] == values
    assert found.network.start == "mobilenetv2_100.safetensors"


def test_a_stored_recipe_is_the_same_recipe_again():
    found = recipe.load(REFERENCE)
    again = recipe.parse(found.plain())
    assert again == found
    assert again.identity() == found.identity()


def test_another_value_is_another_identity():
    found = recipe.load(REFERENCE)
    assert recipe.load(REFERENCE, {"seed": "2"}).identity() != found.identity()


def test_a_whole_number_serves_where_a_number_is_wanted():
    assert (
        recipe.parse(small(optimiser={"rate": 1})).identity() == recipe.parse(small(optimiser={"rate": 1.0})).identity()
    )


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        ({"run": {"step": 5}}, "run.step: there is no such key"),
        ({"rum": {"steps": 5}}, "rum: there is no such key"),
        ({"run": {"steps": "5"}}, "run.steps: input should be a valid integer (given: '5')"),
        ({"run": {"steps": 5.5}}, "run.steps: input should be a valid integer"),
        ({"run": {"steps": True}}, "run.steps: input should be a valid integer"),
        ({"augment": {"rotate": 1}}, "augment.rotate: input should be a valid boolean"),
        ({"augment": {"scale": [1.0]}}, "augment.scale.1: the key is missing"),
        ({"run": {"keep": "first"}}, "run.keep: input should be 'best' or 'last'"),
        ({"data": {"leave_out": "alpha"}}, "data.leave_out: input should be a valid array"),
        ({"run": {"steps": 0}}, "run.steps must be at least 1 (given: 0)"),
        ({"run": {"steps_per_epoch": 13}}, "run.steps_per_epoch must be between 1 and run.steps (given: 13 of 12)"),
        ({"run": {"batch": 1}}, "run.batch must be at least 2"),
        ({"run": {"train_px": []}}, "run.train_px must begin with 0"),
        ({"run": {"train_px": [[0.1, 64]]}}, "run.train_px must begin with 0"),
        ({"run": {"train_px": [[0.0, 64], [0.8, 64], [0.5, 96]]}}, "run.train_px must begin with 0 and ascend"),
        ({"run": {"train_px": [[0.0, 16]]}}, "run.train_px must have sides of at least 32"),
        ({"run": {"evaluate_px": 31}}, "run.evaluate_px must be at least 32"),
        ({"run": {"devices": 0}}, "run.devices must be at least 1, or -1 for all"),
        ({"data": {"source_share": {"a": 0.7, "b": 0.4}}}, "data.source_share must not be negative nor sum"),
        ({"data": {"source_share": {"a": -0.1}}}, "data.source_share must not be negative nor sum"),
        ({"augment": {"scale": [1.1, 0.9]}}, "augment.scale must be two positive numbers, ascending"),
        ({"augment": {"blur": 1.5}}, "augment.blur must be between 0 and 1 (given: 1.5)"),
        ({"optimiser": {"rate": 0}}, "optimiser.rate must be above 0"),
        ({"optimiser": {"rate": float("nan")}}, "optimiser.rate must be above 0 (given: nan)"),
        ({"optimiser": {"ema_decay": 1}}, "optimiser.ema_decay must be at least 0 and below 1"),
        ({"loss": {"mask_weight": 0.5}}, "loss.mask_weight needs network.lesion_attention"),
        (
            {"loss": {"mask_weight": 0.5}, "network": {"lesion_attention": True}, "augment": {"cutmix": 1.0}},
            "loss.mask_weight does not go with augment.mixup",
        ),
        ({"package": {"sensitivity": []}}, "package.sensitivity needs at least one value"),
        ({"package": {"sensitivity": [0.9, 1.0]}}, "package.sensitivity needs at least one value, all in (0, 1)"),
    ],
)
def test_a_mistake_is_refused_by_its_name(tables, words, tmp_path):
    path = tmp_path / "wrong.toml"
    with pytest.raises(RecipeError, match=r"docs/training\.md") as refused:
        recipe.load(write_toml(small(**tables), path)) if "nan" not in words else recipe.parse(small(**tables))
    assert words in str(refused.value)


def test_a_name_that_is_no_file_name_is_refused():
    with pytest.raises(RecipeError, match="name must be letters, digits"):
        recipe.parse({**small(), "name": "../up"})


def test_every_number_that_stands_alone_has_a_range():
    """A new key without a range would let a typing error through."""
    numbers = {
        f"{table.name}.{field.name}"
        for table in dataclasses.fields(recipe.Recipe)
        if dataclasses.is_dataclass(made := getattr(recipe.parse(small()), table.name))
        for field in dataclasses.fields(made)
        if type(getattr(made, field.name)) in (int, float)
    }
    together = {"run.steps_per_epoch"}
    assert numbers | {"seed"} == set(recipe_rules.RANGES) | together


def test_no_such_file_and_no_toml(tmp_path):
    with pytest.raises(RecipeError, match="there is no such recipe"):
        recipe.load(tmp_path / "none.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("name = \n")
    with pytest.raises(RecipeError, match=r"this is not TOML .*line 1"):
        recipe.load(broken)
    broken.write_bytes(b"\xff\xfe")
    with pytest.raises(RecipeError, match="this is not TOML"):
        recipe.load(broken)


def test_overrides_are_toml_and_a_bare_word_is_text(tmp_path):
    path = write_toml(small(), tmp_path / "small.toml")
    given = {"run.steps": "20", "run.keep": "best", "data.source_share": "{ alpha = 0.5 }", "network.start": ""}
    found = recipe.load(path, given)
    assert (found.run.steps, found.run.keep, found.network.start) == (20, "best", "")
    assert found.data.source_share == {"alpha": 0.5}
    assert recipe.load(path).run.steps == 12


def test_an_override_below_a_value_is_refused(tmp_path):
    with pytest.raises(RecipeError, match="'name' is a value, not a table"):
        recipe.load(write_toml(small(), tmp_path / "small.toml"), {"name.first": "1"})


def test_leaving_a_source_out_says_so_in_the_name():
    base = recipe.parse(small(data={"leave_out": ["alpha"]}))
    found = recipe.without_source(base, "beta")
    assert found.data.leave_out == ("alpha", "beta")
    assert found.name == "small-without-beta"
    assert found.identity() != base.identity()


def test_a_recipe_without_compression_is_what_it_was_before_there_was_any():
    plain = recipe.parse(small())
    assert plain.plain()["augment"]["jpeg"] == 0
    assert plain.identity() != recipe.parse(small(augment={"jpeg": 0.2})).identity()
    named = recipe.parse(small(augment={"jpeg": 0.0}))
    assert plain.identity() == named.identity()
