"""Made-up copies of the real layouts of the datasets that can be imported: the file names, columns and words are real,
the pictures are drawn.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from dermaloop.core.synthetic import draw_lesion


def picture(path: Path, seed: int, *, size_px: int = 96, malignant: bool = False) -> Path:
    """Draws one lesion into a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draw_lesion(seed, size_px=size_px, malignant=malignant).save(path)
    return path


def mask(path: Path, size_px: int = 96) -> None:
    """A lesion mask."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("1", (size_px, size_px), 1).save(path)


def table(path: Path, columns: Sequence[str], *rows: Sequence[Any], header: bool = True, delimiter: str = ",") -> Path:
    """Writes a CSV file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, delimiter=delimiter)
        if header:
            writer.writerow(columns)
        writer.writerows(rows)
    return path


def ham10000(folder: Path) -> None:
    table(
        folder / "HAM10000_metadata.csv",
        ("lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization"),
        ("HAM_0000118", "ISIC_0027419", "bkl", "histo", "80.0", "male", "scalp"),
        ("HAM_0000118", "ISIC_0025030", "bkl", "histo", "80.0", "male", "scalp"),
        ("HAM_0002730", "ISIC_0026769", "nv", "follow_up", "", "unknown", "unknown"),
        ("HAM_0001466", "ISIC_0031633", "akiec", "confocal", "0.0", "female", "back"),
        ("HAM_0001467", "ISIC_0031634", "mel", "consensus", "45", "female", "left knee"),
    )
    for seed, name in enumerate(("0027419", "0025030")):
        picture(folder / "HAM10000_images_part_1" / f"ISIC_{name}.jpg", seed)
        mask(folder / "HAM10000_segmentations_lesion_tschandl" / f"ISIC_{name}_segmentation.png")
    for seed, name in enumerate(("0026769", "0031633", "0031634"), start=2):
        picture(folder / "HAM10000_images_part_2" / f"ISIC_{name}.jpg", seed)


def isic2016(folder: Path) -> None:
    rows = (("ISIC_0000000", "benign"), ("ISIC_0000002", "malignant"))
    table(folder / "ISBI2016_ISIC_Part3_Training_GroundTruth.csv", (), *rows, header=False)
    table(
        folder / "ISBI2016_ISIC_Part3_Test_GroundTruth.csv",
        (),
        ("ISIC_0000003", "0.0"),
        ("ISIC_0000009", "1.0"),
        header=False,
    )
    for seed, name in enumerate(("0000000", "0000002")):
        picture(folder / "ISBI2016_ISIC_Part3_Training_Data" / f"ISIC_{name}.jpg", seed)
    for seed, name in enumerate(("0000003", "0000009"), start=2):
        picture(folder / "ISBI2016_ISIC_Part3_Test_Data" / f"ISIC_{name}.jpg", seed)


def isic2017(folder: Path) -> None:
    columns = ("image_id", "melanoma", "seborrheic_keratosis")
    table(
        folder / "ISIC-2017_Training_Part3_GroundTruth.csv",
        columns,
        ("ISIC_0000000", "0.0", "0.0"),
        ("ISIC_0000002", "1.0", "0.0"),
    )
    table(folder / "ISIC-2017_Test_v2_Part3_GroundTruth.csv", columns, ("ISIC_0012086", "0.0", "1.0"))
    people = ("image_id", "age_approximate", "sex")
    training = folder / "ISIC-2017_Training_Data"
    table(
        training / "ISIC-2017_Training_Data_metadata.csv",
        people,
        ("ISIC_0000000", "55", "female"),
        ("ISIC_0000002", "unknown", "unknown"),
    )
    for seed, name in enumerate(("0000000", "0000002")):
        picture(training / f"ISIC_{name}.jpg", seed)
        picture(training / f"ISIC_{name}_superpixels.png", seed)
    picture(folder / "ISIC-2017_Test_v2_Data" / "ISIC_0012086.jpg", 2)


def isic2018(folder: Path) -> None:
    columns = ("image", "MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC")
    part = folder / "ISIC2018_Task3_Training_GroundTruth"
    table(
        part / "ISIC2018_Task3_Training_GroundTruth.csv",
        columns,
        ("ISIC_0024306", "0.0", "1.0", "0.0", "0.0", "0.0", "0.0", "0.0"),
        ("ISIC_0024307", "0.0", "0.0", "0.0", "1.0", "0.0", "0.0", "0.0"),
    )
    table(
        folder / "ISIC2018_Task3_Training_LesionGroupings.csv",
        ("image", "lesion_id", "diagnosis_confirm_type"),
        ("ISIC_0024306", "HAM_0000550", "single image expert consensus"),
        ("ISIC_0024307", "HAM_0003577", "serial imaging showing no change"),
    )
    table(
        folder / "ISIC2018_Task3_Test_GroundTruth" / "ISIC2018_Task3_Test_GroundTruth.csv",
        columns,
        ("ISIC_0034524", "1.0", "0.0", "0.0", "0.0", "0.0", "0.0", "0.0"),
    )
    for seed, name in enumerate(
        ("Training_Input/ISIC_0024306", "Training_Input/ISIC_0024307", "Test_Input/ISIC_0034524")
    ):
        picture(folder / f"ISIC2018_Task3_{name}.jpg", seed)


def isic2019(folder: Path) -> None:
    table(
        folder / "ISIC_2019_Training_GroundTruth.csv",
        ("image", "MEL", "NV", "BCC", "AK", "BKL", "DF", "VASC", "SCC", "UNK"),
        ("ISIC_0000000", *("0.0", "1.0", "0.0", "0.0", "0.0", "0.0", "0.0", "0.0", "0.0")),
        ("ISIC_0000002_downsampled", *("0.0", "0.0", "0.0", "1.0", "0.0", "0.0", "0.0", "0.0", "0.0")),
        ("ISIC_0000004", *("0.0", "0.0", "0.0", "0.0", "0.0", "0.0", "0.0", "0.0", "1.0")),
    )
    table(
        folder / "ISIC_2019_Training_Metadata.csv",
        ("image", "age_approx", "anatom_site_general", "lesion_id", "sex"),
        ("ISIC_0000000", "55.0", "anterior torso", "", "female"),
        ("ISIC_0000002_downsampled", "30.0", "upper extremity", "BCN_0000003", "male"),
        ("ISIC_0000004", "", "", "", ""),
    )
    for seed, name in enumerate(("0000000", "0000002_downsampled", "0000004")):
        picture(folder / "ISIC_2019_Training_Input" / f"ISIC_{name}.jpg", seed)


def isic2020(folder: Path) -> None:
    table(
        folder / "ISIC_2020_Training_GroundTruth_v2.csv",
        (
            "image_name",
            "patient_id",
            "lesion_id",
            "sex",
            "age_approx",
            "anatom_site_general_challenge",
            "diagnosis",
            "benign_malignant",
            "target",
        ),
        ("ISIC_2637011", "IP_7279968", "IL_7972535", "male", "45.0", "head/neck", "unknown", "benign", "0"),
        ("ISIC_0015719", "IP_3075186", "IL_4649854", "female", "45.0", "torso", "nevus", "benign", "0"),
        ("ISIC_0149568", "IP_0962375", "IL_5644568", "female", "55.0", "upper extremity", "melanoma", "malignant", "1"),
        ("ISIC_0052212", "IP_2842074", "", "", "", "", "cafe-au-lait macule", "benign", "0"),
    )
    for seed, name in enumerate(("2637011", "0015719", "0149568", "0052212")):
        picture(folder / "train" / f"ISIC_{name}.jpg", seed)


SLICE_3D_COLUMNS = (
    "isic_id",
    "target",
    "patient_id",
    "age_approx",
    "sex",
    "anatom_site_general",
    "image_type",
    "attribution",
    "copyright_license",
    "lesion_id",
    "iddx_full",
    "iddx_1",
    "iddx_2",
    "iddx_3",
    "iddx_4",
    "iddx_5",
)
_NEVUS = ("Benign", "Benign melanocytic proliferations", "Nevus", "", "")
_MELANOMA = ("Malignant", "Malignant melanocytic proliferations (Melanoma)", "Melanoma Invasive", "", "")
SLICE_3D_ROWS = (
    (
        "ISIC_0015670",
        "0",
        "IP_1235828",
        "60.0",
        "male",
        "lower extremity",
        "TBP tile: close-up",
        "MSK",
        "CC-BY",
        "",
        "Benign",
        "Benign",
        "",
        "",
        "",
        "",
    ),
    (
        "ISIC_0015845",
        "0",
        "IP_8170065",
        "60.0",
        "male",
        "head/neck",
        "TBP tile: close-up",
        "MSK",
        "CC-BY-NC",
        "IL_6727506",
        ":".join(filter(None, _NEVUS)),
        *_NEVUS,
    ),
    (
        "ISIC_0082829",
        "1",
        "IP_6724798",
        "",
        "",
        "",
        "TBP tile: close-up",
        "MSK",
        "CC-BY",
        "IL_4649855",
        ":".join(filter(None, _MELANOMA)),
        *_MELANOMA,
    ),
)


def isic2024(folder: Path) -> None:
    table(folder / "train-metadata.csv", SLICE_3D_COLUMNS, *SLICE_3D_ROWS)
    for seed, row in enumerate(SLICE_3D_ROWS):
        picture(folder / "train-image" / "image" / f"{row[0]}.jpg", seed)


def isic_archive(folder: Path) -> None:
    table(
        folder / "metadata.csv",
        (
            "isic_id",
            "attribution",
            "copyright_license",
            "age_approx",
            "anatom_site_general",
            "diagnosis_1",
            "diagnosis_2",
            "diagnosis_3",
            "diagnosis_confirm_type",
            "fitzpatrick_skin_type",
            "image_type",
            "lesion_id",
            "patient_id",
            "sex",
        ),
        (
            "ISIC_0053453",
            "Clinic",
            "CC-0",
            "85",
            "head/neck",
            *_MELANOMA[:3],
            "histopathology",
            "II",
            "dermoscopic",
            "IL_1",
            "IP_1",
            "male",
        ),
        (
            "ISIC_0053454",
            "Clinic",
            "CC-BY",
            "40",
            "",
            *_NEVUS[:3],
            "serial imaging showing no change",
            "",
            "clinical: close-up",
            "IL_2",
            "IP_1",
            "female",
        ),
        ("ISIC_0053455", "Clinic", "CC-BY", "", "", "Benign", "Benign - Other", "", "", "", "dermoscopic", "", "", ""),
        ("ISIC_0053456", "Clinic", "CC-BY", "", "", "", "", "", "", "", "clinical: overview", "", "IP_2", ""),
        (
            "ISIC_0053457",
            "Clinic",
            "CC-BY",
            "",
            "",
            "Benign",
            "A branch of tomorrow",
            "",
            "",
            "",
            "dermoscopic",
            "",
            "",
            "",
        ),
    )
    for seed in range(5):
        picture(folder / f"ISIC_005345{seed + 3}.jpg", seed)
    (folder / "attribution.txt").write_text("Clinic\n")


def pad_ufes_20(folder: Path) -> None:
    columns = (
        "patient_id",
        "lesion_id",
        "smoke",
        "drink",
        "background_father",
        "background_mother",
        "age",
        "pesticide",
        "gender",
        "skin_cancer_history",
        "cancer_history",
        "has_piped_water",
        "has_sewage_system",
        "fitspatrick",
        "region",
        "diameter_1",
        "diameter_2",
        "diagnostic",
        "itch",
        "grew",
        "hurt",
        "changed",
        "bleed",
        "elevation",
        "img_id",
        "biopsed",
    )

    def row(patient: str, lesion: str, image: str, **values: str) -> list[str]:
        filled = {"patient_id": patient, "lesion_id": lesion, "img_id": image, "age": "63", **values}
        return [filled.get(name, "") for name in columns]

    table(
        folder / "metadata.csv",
        columns,
        row("PAT_1006", "53", "PAT_1006_53_716.png", diagnostic="ACK", region="FOREARM", biopsed="False"),
        row("PAT_1006", "54", "PAT_1006_54_717.png", diagnostic="SCC", region="FACE", biopsed="True", gender="MALE"),
        row(
            "PAT_100", "393", "PAT_100_393_595.png", diagnostic="NEV", region="TAIL", biopsed="True", fitspatrick="1.0"
        ),
        row("PAT_101", "53", "PAT_101_53_1.png", diagnostic="SEK", biopsed="False", fitspatrick="", gender="FEMALE"),
    )
    for seed, name in enumerate(("PAT_1006_53_716", "PAT_1006_54_717", "PAT_100_393_595", "PAT_101_53_1")):
        picture(folder / f"imgs_part_{seed % 3 + 1}" / f"{name}.png", seed)


def ph2(folder: Path) -> None:
    (folder / "PH2_dataset.txt").parent.mkdir(parents=True, exist_ok=True)
    (folder / "PH2_dataset.txt").write_text(
        "||   Name ||  Histological Diagnosis || Clinical Diagnosis || Asymmetry | Pigment Network ||   Colors ||\n"
        "|| IMD003 ||                         ||                  0 ||         0 |               T ||        4 ||\n"
        "|| IMD009 ||                         ||                  1 ||         0 |               T ||     3  4 ||\n"
        "|| IMD058 ||               Melanoma ||                  2 ||         2 |              AT ||  3  4  5 ||\n"
        "\nLegends:\n\nClinical Diagnosis:\n\t0 - Common Nevus;\n\t1 - Atypical Nevus;\n\t2 - Melanoma.\n",
        encoding="latin-1",
    )
    for seed, name in enumerate(("IMD003", "IMD009", "IMD058")):
        base = folder / "PH2 Dataset images" / name
        picture(base / f"{name}_Dermoscopic_Image" / f"{name}.bmp", seed)
        mask(base / f"{name}_lesion" / f"{name}_lesion.bmp")


def labels(folder: Path) -> None:
    table(
        folder / "labels.csv",
        ("image", "label", "lesion_id"),
        ("a.jpg", "benign", "1"),
        ("b.jpg", "melanoma", "1"),
        ("c.jpg", "BCC", ""),
    )
    for seed, name in enumerate("abc"):
        picture(folder / "images" / f"{name}.jpg", seed)


def folders(folder: Path) -> None:
    for seed, name in enumerate(("train/nevus/1", "train/melanoma/1", "test/seborrheic_keratosis/2", "test/MEL/3")):
        picture(folder / f"{name}.jpg", seed)


LAYOUTS: dict[str, Callable[[Path], None]] = {
    made.__name__: made
    for made in (
        ham10000,
        isic2016,
        isic2017,
        isic2018,
        isic2019,
        isic2020,
        isic2024,
        isic_archive,
        pad_ufes_20,
        ph2,
        labels,
        folders,
    )
}
"""Every importer's layout by its name."""
