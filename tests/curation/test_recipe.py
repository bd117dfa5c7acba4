from pathlib import Path

import pytest

from dermaloop.core.errors import RecipeError
from dermaloop.core.manifest import Confirmation, ImageType
from dermaloop.core.taxonomy import BENIGN, Diagnosis
from dermaloop.curation.recipe import Recipe, read_recipe

REFERENCE = Path(__file__).resolve().parents[2] / "recipes" / "curation.toml"
FULL = """
seed = 3
[ratios]
train = 0.5
validation = 0.2
calibration = 0.2
test = 0.1
[quality]
blur = { most = 0.7 }
brightness = { least = 0.1, most = 0.95 }
[sources.ham10000]
[sources.clinic]
importer = "folders"
folder = "pictures/of/ours"
use = "external"
licence = "ours"
pixel_aspect = 1.5
pixel_aspect_by_label.melanoma = 1.0
image_type = "clinical"
confirmation = "histopathology"
labels.naevus = ["NV"]
[[exclusions]]
source = "clinic"
image_id = "7"
reason = "a finger"
"""


def write(tmp_path, text):
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    return path


def test_all_keys(tmp_path):
    recipe = read_recipe(write(tmp_path, FULL))
    assert recipe.uses() == {"ham10000": "split", "clinic": "external"}
    assert recipe.quality == {"blur": (None, 0.7), "brightness": (0.1, 0.95)}
    settings = recipe.sources["clinic"].settings("clinic")
    assert (settings.name, settings.licence, settings.pixel_aspect) == ("clinic", "ours", 1.5)
    assert (settings.image_type, settings.confirmation) == (ImageType.CLINICAL, Confirmation.HISTOPATHOLOGY)
    assert settings.labels == {"naevus": (Diagnosis.NV,)}
    assert settings.pixel_aspect_by_label == {"melanoma": 1.0}
    assert recipe.exclusions[0].reason == "a finger"


def test_ratios_default_to_the_documented_ones():
    recipe = Recipe.model_validate({"sources": {"ham10000": {}}})
    assert list(recipe.ratios.by_split().values()) == [0.70, 0.15, 0.08, 0.07]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "sources"),
        ("[sources]", "sources"),
        ("[sources.ham10000]\nusee = 'train'", "sources.ham10000.usee"),
        ("[sources.ham10000]\nuse = 'test'", "sources.ham10000.use"),
        ("[sources.mine]", "no importer 'mine'"),
        ("[sources.ham10000]\n[ratios]\ntrain = 0.9", "sum to 1.2"),
        ("[sources.ham10000]\n[ratios]\ntrian = 0.9", "ratios.trian"),
        ("[sources.ham10000]\n[ratios]\ntrain = 1.2\ntest = -0.2", "ratios.train"),
        ("[sources.ham10000]\npixel_aspect = 0", "pixel_aspect"),
        ("[sources.ham10000]\nlabels.x = ['ACNE']", "labels.x"),
        ("[sources.ham10000]\n[quality]\nblurr = { most = 1 }", "no measure 'blurr'"),
        ("[sources.ham10000]\n[quality]\nblur = 0.5", "least"),
        ("[sources.ham10000]\n[quality]\nblur = { max = 0.5 }", "least"),
        ("[sources.ham10000]\n[[exclusions]]\nsource = 'ham10000'\nimage_id = 'x'", "exclusions.0.reason"),
        ("[sources.ham10000]\n[[exclusions]]\nsource = 'ham10000'\nimage_id = 'x'\nreason = ''", "exclusions.0.reason"),
        ("seed = -1\n[sources.ham10000]", "seed"),
        ("not toml", "TOML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, text, told):
    path = write(tmp_path, text)
    with pytest.raises(RecipeError) as caught:
        read_recipe(path)
    assert told in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_missing_recipe(tmp_path):
    with pytest.raises(RecipeError, match="no such recipe"):
        read_recipe(tmp_path / "none.toml")


def test_the_reference_recipe():
    recipe = read_recipe(REFERENCE)
    assert recipe.uses() == {"ham10000": "split", "isic2017": "split", "pad_ufes_20": "split", "isic_mixed": "train"}
    assert set(recipe.sources["isic_mixed"].labels["benign"]) == BENIGN
    assert all(len(item.reason) > 20 for item in recipe.exclusions)
