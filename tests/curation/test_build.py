import shutil
from collections import Counter

import pytest
from PIL import Image

from dermaloop.core import manifest as manifests
from dermaloop.core.errors import ManifestError, RecipeError
from dermaloop.core.manifest_rules import check
from dermaloop.core.synthetic import draw_lesion
from dermaloop.curation import build as building
from dermaloop.curation.importing import Job, import_sources, merge
from dermaloop.curation.recipe import Recipe
from dermaloop.curation.sources import Notes, Settings
from support.datasets import LAYOUTS, picture, table


def recipe(*sources, **other):
    return Recipe.model_validate({"sources": {name: {"importer": "labels"} for name in sources}, **other})


def clinic(folder, name, entries):
    """A labels.csv source: (image name, label, seed of the lesion)."""
    table(folder / name / "labels.csv", ("image", "label"), *((f"{image}.png", label) for image, label, _ in entries))
    for image, _, seed in entries:
        picture(folder / name / f"{image}.png", seed)


def run(plan, folder, out, names=()):
    built = building.build(plan, building.jobs(plan, folder, names), out)
    built.manifest.write(out)
    return built


@pytest.fixture
def data(tmp_path):
    clinic(tmp_path, "one", [(f"a{i}", "NV" if i % 2 else "MEL", i) for i in range(20)])
    clinic(tmp_path, "two", [(f"b{i}", "BCC", 50 + i) for i in range(9)])
    Image.open(tmp_path / "one" / "a3.png").transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(
        tmp_path / "one" / "a30.png"
    )
    with (tmp_path / "one" / "labels.csv").open("a") as stream:
        stream.write("a30.png,NV\n")
    return tmp_path


def test_from_folders_to_a_sound_split_manifest(data):
    built = run(recipe("one", "two"), data, data / "m.parquet")
    stored = manifests.read(data / "m.parquet")
    assert stored.identity() == built.manifest.identity()
    assert (built.merged.new, built.merged.known, len(stored)) == (30, 0, 30)
    assert check(stored, files=True) == []
    assert None not in stored.column("split")
    (pair,) = built.pairs
    ids = stored.column("image_id")
    assert (ids[pair.first], ids[pair.second], pair.orientation) == ("a3", "a30", 1)
    assert stored.column("duplicate_group")[pair.first] == stored.column("duplicate_group")[pair.second] == "one/a3"
    assert stored.column("split")[pair.first] == stored.column("split")[pair.second]


def test_building_twice_changes_nothing(data):
    first = run(recipe("one", "two"), data, data / "m.parquet")
    second = run(recipe("one", "two"), data, data / "m.parquet")
    assert (second.merged.new, second.merged.known) == (0, 30)
    assert second.manifest.identity() == first.manifest.identity()


def test_adding_a_source_moves_no_lesion(data):
    plan = recipe("one", "two")
    first = run(plan, data, data / "m.parquet", ["one"]).manifest
    second = run(plan, data, data / "m.parquet", ["two"])
    assert (second.merged.new, second.merged.left) == (9, 21)
    assert second.manifest.column("split")[:21] == first.column("split")
    assert second.manifest.column("image_id")[:21] == first.column("image_id")


def test_the_same_picture_with_two_diagnoses_stops_the_build(data):
    clinic(data, "three", [("c1", "NV", 50)])  # the lesion that source two calls BCC
    plan = recipe("one", "two", "three")
    with pytest.raises(ManifestError) as caught:
        run(plan, data, data / "m.parquet")
    assert caught.value.rule == "same_picture_two_diagnoses"
    assert "two/b0 is 'BCC' and three/c1 is 'NV'" in str(caught.value)
    assert not (data / "m.parquet").exists()


@pytest.mark.parametrize("wrong", ["two/b0", "three/c1"])
def test_excluding_either_row_resolves_it(data, wrong):
    clinic(data, "three", [("c1", "NV", 50)])
    source, image_id = wrong.split("/")
    plan = recipe("one", "two", "three", exclusions=[{"source": source, "image_id": image_id, "reason": "wrong"}])
    table = run(plan, data, data / "m.parquet").manifest
    keys = zip(table.column("source"), table.column("image_id"), table.column("reject_reason"), strict=True)
    assert [f"{name}/{image}" for name, image, reason in keys if reason == building.EXCLUDED_BY_RECIPE] == [wrong]
    assert Counter(table.column("split"))["excluded"] == 1
    assert check(table, files=True) == []


def test_a_recompressed_copy_with_another_diagnosis_stops_it_too(data):
    clinic(data, "three", [("c1", "NV", 1)])
    draw_lesion(50, size_px=96).resize((128, 128)).save(data / "three" / "c1.png")
    with pytest.raises(ManifestError, match="two/b0"):
        run(recipe("one", "two", "three"), data, data / "m.parquet")


def test_a_coarser_label_is_no_contradiction(data):
    clinic(data, "three", [("c1", "malignant", 50)])
    built = run(recipe("one", "two", "three"), data, data / "m.parquet")
    assert built.manifest.column("duplicate_group")[-1] == "three/c1"


def test_an_exclusion_of_nobody_is_refused(data):
    plan = recipe("one", exclusions=[{"source": "one", "image_id": "a99", "reason": "a slip"}])
    with pytest.raises(RecipeError, match="a99"):
        run(plan, data, data / "m.parquet")
    harmless = recipe("one", "two", exclusions=[{"source": "two", "image_id": "b99", "reason": "not imported yet"}])
    assert len(run(harmless, data, data / "m.parquet", ["one"]).manifest) == 21


def test_a_lifted_exclusion_lets_the_row_back(data):
    run(recipe("one", exclusions=[{"source": "one", "image_id": "a1", "reason": "doubtful"}]), data, data / "m.parquet")
    built = run(recipe("one"), data, data / "m.parquet")
    assert Counter(built.manifest.column("reject_reason")) == {"": 21}
    assert "excluded" not in built.manifest.column("split")


def test_bad_pictures_stay_as_excluded_rows(data):
    (data / "one" / "a5.png").write_bytes(b"no picture")
    (data / "one" / "a6.png").unlink()
    built = run(recipe("one"), data, data / "m.parquet")
    told = dict(zip(built.manifest.column("image_id"), built.manifest.column("reject_reason"), strict=True))
    assert (told["a5"], told["a6"]) == ("not_an_image", "missing_file")
    assert Counter(built.manifest.column("split"))["excluded"] == 2


def test_quality_limits_of_the_recipe(data):
    plan = recipe("one", quality={"brightness": {"least": 0.99}})
    built = run(plan, data, data / "m.parquet")
    assert set(built.manifest.column("reject_reason")) == {"underexposed"}


def test_an_unknown_source_is_refused(data):
    with pytest.raises(RecipeError, match="'three'"):
        building.jobs(recipe("one"), data, ["three"])


def test_merging_refreshes_metadata_and_keeps_decisions(tmp_path):
    LAYOUTS["ham10000"](tmp_path)
    job = Job("ham10000", tmp_path, Settings("ham10000"))
    first = import_sources([job], tmp_path, Notes())
    decided = first.with_columns(
        split=["test", "test", "train", "excluded", "excluded"], reject_reason=["", "", "", "group_in_test", "blurred"]
    )
    text = (tmp_path / "HAM10000_metadata.csv").read_text()
    (tmp_path / "HAM10000_metadata.csv").write_text(
        text.replace("HAM_0000118,ISIC_0027419,bkl,histo,80.0", "HAM_0000118,ISIC_0027419,bkl,histo,81.0")
    )
    merged = merge(decided, import_sources([job], tmp_path, Notes())).manifest
    assert merged.column("age_years")[0] == 81
    assert merged.column("split") == decided.column("split")
    assert merged.column("reject_reason") == ["", "", "", "group_in_test", ""]


def test_rows_that_their_source_lost_are_kept(tmp_path):
    LAYOUTS["folders"](tmp_path / "data")
    job = Job("folders", tmp_path / "data", Settings("mine"))
    first = import_sources([job], tmp_path, Notes())
    shutil.rmtree(tmp_path / "data" / "test")
    merged = merge(first, import_sources([job], tmp_path, Notes()))
    assert (merged.known, merged.left, len(merged.manifest)) == (2, 2, 4)


@pytest.mark.real_data
@pytest.mark.slow
def test_the_real_smartphone_photos(data_folder, tmp_path):
    plan = Recipe.model_validate({"sources": {"pad_ufes_20": {}}})
    with pytest.raises(ManifestError, match="PAT_759_1433_914") as caught:
        run(plan, data_folder, tmp_path / "m.parquet")
    assert caught.value.rule == "same_picture_two_diagnoses"
    exclusions = [{"source": "pad_ufes_20", "image_id": "PAT_759_1433_914", "reason": "shows the nose"}]
    built = run(
        plan.model_copy(
            update={
                "exclusions": Recipe.model_validate(
                    {"sources": {"pad_ufes_20": {}}, "exclusions": exclusions}
                ).exclusions
            }
        ),
        data_folder,
        tmp_path / "m.parquet",
    )
    assert len(built.manifest) == 471
    assert check(built.manifest, files=True) == []
    assert Counter(built.manifest.column("split"))["excluded"] == 1


@pytest.mark.real_data
def test_the_real_tables_are_read_whole(data_folder, tmp_path):
    settings = {"ham10000": 10015, "isic2017": 2150, "pad_ufes_20": 471}
    notes = Notes()
    table = import_sources([Job(name, data_folder / name, Settings(name)) for name in settings], tmp_path, notes)
    assert Counter(table.column("source")) == settings
    assert set(table.column("reject_reason")) == {""}
    assert not notes.unmapped
    assert len(set(table.where(source="ham10000").column("lesion_id"))) == 7470
    assert sum(bool(path) for path in table.column("mask_path")) == 10015
