"""What every importer must do, run on every importer."""

import shutil

import pytest

from dermaloop.core import manifest as manifests
from dermaloop.core.errors import ManifestError, RecipeError
from dermaloop.core.manifest_rules import check
from dermaloop.curation.importing import Job, import_sources, merge
from dermaloop.curation.sources import SOURCES, Notes, Settings, source
from dermaloop.curation.sources.reading import MISSING_FILE
from support.datasets import LAYOUTS

HEADERS = sorted(set(SOURCES) - {"isic2016", "ph2", "folders"})  # those whose tables name their columns
PLANTED = {"labels": ["lesion_of_two_diagnoses"]}


@pytest.fixture(params=sorted(SOURCES))
def layout(request, tmp_path):
    folder = tmp_path / "data"
    LAYOUTS[request.param](folder)
    return request.param, folder


def run(name, folder, out, **settings):
    return import_sources([Job(name, folder, Settings("clinic", **settings))], out, Notes())


def test_every_importer_has_a_made_up_layout():
    assert set(LAYOUTS) == set(SOURCES)


def test_rows_are_sound_and_name_pictures_that_are_there(layout, tmp_path):
    name, folder = layout
    manifest = run(name, folder, tmp_path)
    assert len(manifest) >= 3
    assert [violation.rule for violation in check(manifest, files=True)] == PLANTED.get(name, [])
    assert set(manifest.column("source")) == {"clinic"}
    assert all(path.is_file() for path in manifest.image_paths())
    for column in ("lesion_id", "patient_id"):
        assert all(not value or value.startswith("clinic:") for value in manifest.column(column))
    for value in filter(None, manifest.column("mask_path")):
        assert (manifest.folder / value).is_file()
    assert all(
        manifest.column("diagnosis_term")[i] or not manifest.column("candidates")[i] for i in range(len(manifest))
    )


def test_importing_twice_adds_nothing_twice(layout, tmp_path):
    name, folder = layout
    once = run(name, folder, tmp_path)
    merged = merge(once, run(name, folder, tmp_path))
    assert (merged.new, merged.known, merged.left) == (0, len(once), 0)
    assert merged.manifest.identity() == once.identity()


def test_a_manifest_survives_writing_and_reading(layout, tmp_path):
    name, folder = layout
    once = run(name, folder, tmp_path)
    once.write(tmp_path / "m.parquet")
    assert manifests.read(tmp_path / "m.parquet").identity() == once.identity()


def test_settings_win_over_the_importers_own(layout, tmp_path):
    name, folder = layout
    manifest = run(name, folder, tmp_path, licence="ours", pixel_aspect=1.5)
    assert set(manifest.column("licence")) == {"ours"}
    assert set(manifest.column("pixel_aspect")) == {1.5}


@pytest.mark.parametrize("name", sorted(set(SOURCES) - {"folders"}))  # its rows are the pictures that are there
def test_a_missing_picture_is_a_row_with_its_reason(name, tmp_path):
    folder = tmp_path / "data"
    LAYOUTS[name](folder)
    before = run(name, folder, tmp_path)
    before.image_path(1).unlink()
    after = run(name, folder, tmp_path)
    assert after.column("image_id") == before.column("image_id")
    assert after.column("reject_reason")[1] == MISSING_FILE
    assert after.column("reject_reason")[0] == ""


def test_a_folder_of_something_else_is_refused(layout, tmp_path):
    name, folder = layout
    shutil.rmtree(folder)
    folder.mkdir()
    with pytest.raises(ManifestError) as caught:
        run(name, folder, tmp_path)
    assert caught.value.rule in ("missing_file", "empty_source")
    assert str(folder) in str(caught.value)


def test_a_folder_that_is_not_there_is_refused(layout, tmp_path):
    name, _ = layout
    with pytest.raises(ManifestError) as caught:
        run(name, tmp_path / "nowhere", tmp_path)
    assert caught.value.rule == "missing_file"


@pytest.mark.parametrize("name", HEADERS)
def test_a_missing_column_is_named(name, tmp_path):
    folder = tmp_path / "data"
    LAYOUTS[name](folder)
    for path in folder.rglob("*.csv"):
        lines = path.read_text().splitlines()
        path.write_text("\n".join([lines[0].replace(lines[0].split(",")[0], "renamed", 1), *lines[1:]]))
    with pytest.raises(ManifestError) as caught:
        run(name, folder, tmp_path)
    assert caught.value.rule == "missing_column"
    assert ".csv" in str(caught.value)


def test_an_unknown_importer_is_refused_with_those_there_are():
    with pytest.raises(RecipeError, match="ham10000"):
        source("isic2031")
