"""What each importer makes of its dataset's own words."""

import os
from pathlib import Path

import numpy as np
import pytest

from dermaloop.core.errors import ManifestError
from dermaloop.core.manifest import Confirmation, ImageType
from dermaloop.core.taxonomy import Diagnosis
from dermaloop.curation.importing import Job, import_sources
from dermaloop.curation.sources import Notes, Settings
from dermaloop.curation.sources.isic_archive import UNSUPPORTED_TYPE
from support.datasets import LAYOUTS, SLICE_3D_COLUMNS, SLICE_3D_ROWS, picture, table

BENIGN = "NV|BKL|DF|VASC"


def rows(name, folder, notes=None, *, build=True, **settings):
    if build:
        LAYOUTS[name](folder)
    manifest = import_sources([Job(name, folder, Settings(name, **settings))], folder, notes or Notes())
    return {row.image_id: row for row in map(manifest.row, range(len(manifest)))}


def test_ham10000(tmp_path):
    notes = Notes()
    found = rows("ham10000", tmp_path, notes)
    first = found["ISIC_0027419"]
    assert (first.diagnosis, first.candidates, first.diagnosis_term) == (Diagnosis.BKL, "BKL", "bkl")
    assert (first.confirmation, first.site, first.age_years, first.sex) == ("histopathology", "head/neck", 80, "male")
    assert first.lesion_id == found["ISIC_0025030"].lesion_id == "ham10000:HAM_0000118"
    assert first.mask_path.endswith("ISIC_0027419_segmentation.png")
    assert found["ISIC_0026769"].confirmation is Confirmation.FOLLOW_UP
    assert (found["ISIC_0026769"].age_years, found["ISIC_0026769"].sex, found["ISIC_0026769"].site) == (None, "", "")
    assert found["ISIC_0026769"].mask_path == ""
    assert found["ISIC_0031633"].confirmation is Confirmation.CONFOCAL
    assert found["ISIC_0031634"].site == ""
    assert dict(notes.unmapped) == {("ham10000", "localization", "left knee"): 1}


def test_ham10000_as_the_dataverse_gives_it(tmp_path):
    picture(tmp_path / "HAM10000_images_part_1" / "ISIC_0027419.jpg", 1)
    table(
        tmp_path / "HAM10000_metadata.tab",
        ("lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization", "dataset"),
        ("HAM_0000118", "ISIC_0027419", "bkl", "histo", "80", "male", "scalp", "vidir_modern"),
        delimiter="\t",
    )
    assert rows("ham10000", tmp_path, build=False)["ISIC_0027419"].diagnosis is Diagnosis.BKL


def test_isic2016(tmp_path):
    found = rows("isic2016", tmp_path)
    assert {key: row.candidates for key, row in found.items()} == {
        "ISIC_0000000": BENIGN, "ISIC_0000002": "MEL", "ISIC_0000003": BENIGN, "ISIC_0000009": "MEL",
    }  # fmt: skip
    assert found["ISIC_0000000"].diagnosis is None


def test_isic2017(tmp_path):
    found = rows("isic2017", tmp_path)
    assert [row.diagnosis for row in found.values()] == [Diagnosis.NV, Diagnosis.MEL, Diagnosis.BKL]
    assert {row.pixel_aspect for row in found.values()} == {1.0}
    assert (found["ISIC_0000000"].age_years, found["ISIC_0000000"].sex) == (55, "female")
    assert (found["ISIC_0000002"].age_years, found["ISIC_0012086"].sex) == (None, "")


def test_isic2017_as_squares_is_stretched_back(tmp_path):
    picture(tmp_path / "images" / "ISIC_0000002.jpg", 1)
    columns = ("image_id", "challenge_split", "melanoma", "seborrheic_keratosis", "age_approximate", "sex")
    table(tmp_path / "labels.csv", columns, ("ISIC_0000002", "train", "1", "0", "60", "female"))
    found = rows("isic2017", tmp_path, build=False)["ISIC_0000002"]
    assert found.pixel_aspect == pytest.approx(4 / 3)
    assert (found.diagnosis, found.age_years, found.confirmation) == (Diagnosis.MEL, 60, Confirmation.UNKNOWN)


def test_isic2017_cannot_be_two_diagnoses(tmp_path):
    columns = ("image_id", "melanoma", "seborrheic_keratosis")
    table(tmp_path / "ISIC-2017_Training_Part3_GroundTruth.csv", columns, ("ISIC_1", "1.0", "1.0"))
    with pytest.raises(ManifestError, match="line 2") as caught:
        rows("isic2017", tmp_path, build=False)
    assert caught.value.rule == "contradiction"


def test_isic2018(tmp_path):
    found = rows("isic2018", tmp_path)
    assert found["ISIC_0024307"].diagnosis is Diagnosis.AKIEC
    assert found["ISIC_0024307"].confirmation is Confirmation.FOLLOW_UP
    assert found["ISIC_0024306"].lesion_id == "isic2018:HAM_0000550"
    assert (found["ISIC_0034524"].diagnosis, found["ISIC_0034524"].lesion_id) == (Diagnosis.MEL, "")


@pytest.mark.parametrize(
    ("cells", "rule"),
    [
        (("0", "0", "0", "0", "0", "0", "0"), "contradiction"),
        (("1", "1", "0", "0", "0", "0", "0"), "contradiction"),
        (("0.5", "0.5", "0", "0", "0", "0", "0"), "bad_value"),
        (("x", "0", "0", "0", "0", "0", "0"), "bad_value"),
    ],
)
def test_one_class_per_row(tmp_path, cells, rule):
    columns = ("image", "MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC")
    table(tmp_path / "ISIC2018_Task3_Training_GroundTruth.csv", columns, ("ISIC_0024306", *cells))
    with pytest.raises(ManifestError) as caught:
        rows("isic2018", tmp_path, build=False)
    assert caught.value.rule == rule


def test_isic2019(tmp_path):
    notes = Notes()
    found = rows("isic2019", tmp_path, notes)
    downsampled = found["ISIC_0000002_downsampled"]
    assert (downsampled.diagnosis, downsampled.lesion_id) == (Diagnosis.AKIEC, "isic2019:BCN_0000003")
    assert (downsampled.site, downsampled.age_years, downsampled.sex) == ("upper extremity", 30, "male")
    assert (found["ISIC_0000004"].diagnosis_term, found["ISIC_0000004"].candidates) == ("UNK", "")
    assert notes.unmapped["isic2019", "diagnosis", "UNK"] == 1


def test_isic2020(tmp_path):
    found = rows("isic2020", tmp_path)
    assert found["ISIC_2637011"].candidates == BENIGN
    assert (found["ISIC_0015719"].diagnosis, found["ISIC_0015719"].site) == (Diagnosis.NV, "torso")
    melanoma = found["ISIC_0149568"]
    assert (melanoma.diagnosis, melanoma.confirmation) == (Diagnosis.MEL, Confirmation.HISTOPATHOLOGY)
    assert (melanoma.patient_id, melanoma.lesion_id) == ("isic2020:IP_0962375", "isic2020:IL_5644568")
    assert (found["ISIC_0052212"].diagnosis_term, found["ISIC_0052212"].candidates) == ("cafe-au-lait macule", "")


def test_isic2020_labels_that_contradict_each_other(tmp_path):
    columns = ("image_name", "patient_id", "sex", "age_approx", "anatom_site_general_challenge", "diagnosis",
               "benign_malignant", "target")  # fmt: skip
    table(tmp_path / "train.csv", columns, ("ISIC_1", "IP_1", "", "", "", "melanoma", "benign", "1"))
    with pytest.raises(ManifestError) as caught:
        rows("isic2020", tmp_path, build=False)
    assert caught.value.rule == "contradiction"


def check_slice_3d(found):
    assert [row.candidates for row in found.values()] == [BENIGN, "NV", "MEL"]
    assert found["ISIC_0082829"].confirmation is Confirmation.HISTOPATHOLOGY
    assert found["ISIC_0015845"].lesion_id == "isic2024:IL_6727506"
    assert {row.image_type for row in found.values()} == {ImageType.CLINICAL}
    assert [row.licence for row in found.values()] == ["CC-BY", "CC-BY-NC", "CC-BY"]


def test_isic2024_as_files(tmp_path):
    check_slice_3d(rows("isic2024", tmp_path))


def test_isic2024_from_hdf5_writes_the_pictures_once(tmp_path):
    h5py = pytest.importorskip("h5py")
    data, out = tmp_path / "data", tmp_path / "out"
    table(data / "train-metadata.csv", SLICE_3D_COLUMNS, *SLICE_3D_ROWS)
    contents = {
        row[0]: picture(tmp_path / f"{row[0]}.jpg", seed).read_bytes() for seed, row in enumerate(SLICE_3D_ROWS)
    }
    with h5py.File(data / "train-image.hdf5", "w") as store:
        for image_id, content in contents.items():
            store[image_id] = np.void(content)
    job = Job("isic2024", data, Settings("isic2024"))
    manifest = import_sources([job], out, Notes())
    check_slice_3d({row.image_id: row for row in map(manifest.row, range(3))})
    assert [path.read_bytes() for path in manifest.image_paths()] == list(contents.values())
    assert manifest.column("path")[0] == "isic2024_pictures/ISIC_0015670.jpg"
    stamps = [path.stat().st_mtime_ns for path in manifest.image_paths()]
    again = import_sources([job], out, Notes())
    assert [path.stat().st_mtime_ns for path in again.image_paths()] == stamps


def test_isic2024_a_damaged_hdf5_is_named(tmp_path):
    pytest.importorskip("h5py")
    table(tmp_path / "train-metadata.csv", SLICE_3D_COLUMNS, *SLICE_3D_ROWS)
    (tmp_path / "train-image.hdf5").write_bytes(b"\x89HDF\r\n\x1a\n cut off")
    with pytest.raises(ManifestError, match=r"train-image\.hdf5") as caught:
        rows("isic2024", tmp_path, build=False)
    assert caught.value.rule == "unreadable"


def test_isic2024_with_its_labels_in_files_of_their_own(tmp_path):
    table(tmp_path / "metadata.csv", ("isic_id", "patient_id", "age_approx"), ("ISIC_0015670", "IP_1", "60"))
    with pytest.raises(ManifestError, match="ISIC_2024_Training_GroundTruth"):
        rows("isic2024", tmp_path, build=False)
    table(tmp_path / "ISIC_2024_Training_GroundTruth.csv", ("isic_id", "malignant"), ("ISIC_0015670", "1.0"))
    picture(tmp_path / "ISIC_2024_Training_Input" / "ISIC_0015670.jpg", 0)
    found = rows("isic2024", tmp_path, build=False)["ISIC_0015670"]
    assert (found.candidates, found.diagnosis, found.age_years) == ("MEL|BCC|AKIEC|SCC", None, 60)


def test_isic_archive(tmp_path):
    notes = Notes()
    found = rows("isic_archive", tmp_path, notes)
    melanoma = found["ISIC_0053453"]
    assert (melanoma.diagnosis, melanoma.confirmation) == (Diagnosis.MEL, Confirmation.HISTOPATHOLOGY)
    assert (melanoma.age_years, melanoma.skin_type, melanoma.site) == (85, 2, "head/neck")
    assert (melanoma.lesion_id, melanoma.patient_id) == ("isic_archive:IL_1", "isic_archive:IP_1")
    assert melanoma.licence == "CC-0"
    assert found["ISIC_0053454"].image_type is ImageType.CLINICAL
    other = found["ISIC_0053455"]
    assert (other.diagnosis_term, other.candidates) == ("Benign:Benign - Other", "")
    assert found["ISIC_0053456"].reject_reason == UNSUPPORTED_TYPE
    assert dict(notes.unmapped) == {("isic_archive", "diagnosis", "Benign:A branch of tomorrow"): 1}


def test_isic_archive_needs_no_column_but_the_id(tmp_path):
    picture(tmp_path / "ISIC_0053453.jpg", 1)
    table(tmp_path / "metadata.csv", ("isic_id",), ("ISIC_0053453",))
    found = rows("isic_archive", tmp_path, build=False)["ISIC_0053453"]
    assert (found.diagnosis, found.candidates, found.image_type) == (None, "", ImageType.DERMOSCOPIC)


def test_pad_ufes_20(tmp_path):
    notes = Notes()
    found = rows("pad_ufes_20", tmp_path, notes)
    first, nevus = found["PAT_1006_53_716"], found["PAT_100_393_595"]
    assert (first.diagnosis, first.confirmation) == (Diagnosis.AKIEC, Confirmation.CONSENSUS)
    assert (first.lesion_id, first.patient_id) == ("pad_ufes_20:PAT_1006:53", "pad_ufes_20:PAT_1006")
    assert (first.image_type, first.site, first.skin_type) == (ImageType.CLINICAL, "upper extremity", None)
    assert (nevus.diagnosis, nevus.confirmation, nevus.skin_type) == (Diagnosis.NV, Confirmation.HISTOPATHOLOGY, 1)
    assert [row.diagnosis for row in found.values()][1::2] == [Diagnosis.SCC, Diagnosis.BKL]
    assert found["PAT_101_53_1"].lesion_id != first.lesion_id
    assert dict(notes.unmapped) == {("pad_ufes_20", "region", "TAIL"): 1}


def test_ph2(tmp_path):
    found = rows("ph2", tmp_path)
    assert [(row.diagnosis_term, row.diagnosis) for row in found.values()] == [
        ("common nevus", Diagnosis.NV), ("atypical nevus", Diagnosis.NV), ("melanoma", Diagnosis.MEL),
    ]  # fmt: skip
    assert [row.confirmation for row in found.values()] == ["single clinician", "single clinician", "histopathology"]
    assert found["IMD003"].path.endswith("IMD003_Dermoscopic_Image/IMD003.bmp")
    assert found["IMD003"].mask_path.endswith("IMD003_lesion.bmp")


def test_ph2_of_another_form_is_refused(tmp_path):
    (tmp_path / "PH2_dataset.txt").write_text("IMD003;0\n")
    with pytest.raises(ManifestError) as caught:
        rows("ph2", tmp_path, build=False)
    assert caught.value.rule == "unreadable"


def test_labels(tmp_path):
    found = rows(
        "labels", tmp_path, labels={"Melanoma": (Diagnosis.MEL, Diagnosis.SCC)}, confirmation=Confirmation.CONSENSUS
    )
    assert [row.candidates for row in found.values()] == [BENIGN, "MEL|SCC", "BCC"]
    assert [row.diagnosis for row in found.values()] == [None, None, Diagnosis.BCC]
    assert found["a"].lesion_id == "labels:1"
    assert found["c"].lesion_id == ""
    assert {row.confirmation for row in found.values()} == {Confirmation.CONSENSUS}


def test_labels_of_differently_made_pictures(tmp_path):
    found = rows("labels", tmp_path, pixel_aspect=4 / 3, pixel_aspect_by_label={"melanoma": 1.0})
    assert [row.pixel_aspect for row in found.values()] == [pytest.approx(4 / 3), 1.0, pytest.approx(4 / 3)]


def test_folders(tmp_path):
    found = rows("folders", tmp_path)
    assert {key: row.candidates for key, row in found.items()} == {
        "train/nevus/1": "NV", "train/melanoma/1": "MEL", "test/seborrheic_keratosis/2": "BKL", "test/MEL/3": "MEL",
    }  # fmt: skip


def test_folders_with_words_of_their_own(tmp_path):
    picture(tmp_path / "naevus" / "1.jpg", 1)
    with pytest.raises(ManifestError, match="naevus"):
        rows("folders", tmp_path, build=False)
    found = rows("folders", tmp_path, build=False, labels={"naevus": (Diagnosis.NV,)})
    assert found["naevus/1"].diagnosis is Diagnosis.NV


def test_folders_a_picture_outside_any_class(tmp_path):
    picture(tmp_path / "1.jpg", 1)
    with pytest.raises(ManifestError) as caught:
        rows("folders", tmp_path, build=False)
    assert caught.value.rule == "no_class"


HAM = ("lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization")
GOOD = ("HAM_1", "ISIC_1", "nv", "histo", "40", "male", "back")


@pytest.mark.parametrize(
    ("column", "value", "rule"),
    [
        ("dx", "acne", "unknown_diagnosis"),
        ("dx_type", "guess", "unknown_value"),
        ("age", "old", "bad_value"),
        ("age", "121", "bad_value"),
        ("age", "nan", None),
    ],
)
def test_a_value_out_of_range_names_the_line(tmp_path, column, value, rule):
    cells = [value if name == column else good for name, good in zip(HAM, GOOD, strict=True)]
    path = table(tmp_path / "HAM10000_metadata.csv", HAM, cells)
    picture(tmp_path / "ISIC_1.jpg", 1)
    if rule is None:
        assert rows("ham10000", tmp_path, build=False)["ISIC_1"].age_years is None
        return
    with pytest.raises(ManifestError) as caught:
        rows("ham10000", tmp_path, build=False)
    assert caught.value.rule == rule
    assert f"{path}, line 2" in str(caught.value)
    assert repr(value) in str(caught.value)


def test_a_row_that_is_too_short_is_refused(tmp_path):
    (tmp_path / "HAM10000_metadata.csv").write_text(",".join(HAM) + "\nHAM_1,ISIC_1\n")
    with pytest.raises(ManifestError, match="line 2") as caught:
        rows("ham10000", tmp_path, build=False)
    assert caught.value.rule == "bad_value"


def test_a_table_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "HAM10000_metadata.csv").write_bytes(b"lesion_id,image_id,dx\n\xff\xfe\x00")
    with pytest.raises(ManifestError) as caught:
        rows("ham10000", tmp_path, build=False)
    assert caught.value.rule in ("unreadable", "missing_column")


def test_an_id_that_occurs_twice_is_refused(tmp_path):
    table(tmp_path / "HAM10000_metadata.csv", HAM, GOOD, GOOD)
    with pytest.raises(ManifestError, match="ISIC_1") as caught:
        rows("ham10000", tmp_path, build=False)
    assert caught.value.rule == "duplicate_image_id"


def test_a_source_named_twice_is_refused(tmp_path):
    LAYOUTS["ham10000"](tmp_path)
    job = Job("ham10000", tmp_path, Settings("ham10000"))
    with pytest.raises(ManifestError) as caught:
        import_sources([job, job], tmp_path, Notes())
    assert caught.value.rule == "duplicate_source"


@pytest.mark.skipif(os.fsencode("\udcff") != b"\xff", reason="names of files are always text here")
def test_a_file_whose_name_is_no_text_is_named(tmp_path):
    (tmp_path / "NV").mkdir()
    try:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/NV/mole\xff.jpg")).write_bytes(b"")
    except OSError:
        pytest.skip("this file system takes no such name")
    with pytest.raises(ManifestError, match=r"mole\\udcff\.jpg: the name of this picture's file is not UTF-8 text"):
        rows("folders", tmp_path, build=False)
