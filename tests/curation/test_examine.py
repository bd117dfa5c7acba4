import hashlib

import numpy as np
import pytest
from PIL import Image

from dermaloop.core import quality
from dermaloop.curation import buckets, examine
from support.datasets import picture
from support.rows import manifest, row


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "p"
    picture(folder / "a.jpg", 1, size_px=120)
    picture(folder / "b.png", 2, size_px=400)
    (folder / "cut.jpg").write_bytes((folder / "a.jpg").read_bytes()[:900])
    (folder / "text.jpg").write_text("hello")
    (folder / "empty.jpg").write_bytes(b"")
    Image.new("RGB", (90, 90), "#c09080").save(folder / "blank.png")
    Image.new("RGB", (9, 9), "#c09080").save(folder / "small.png")
    names = ["a.jpg", "b.png", "cut.jpg", "text.jpg", "empty.jpg", "blank.png", "small.png", "none.jpg"]
    return manifest(*(row(name.split(".")[0], path=f"p/{name}") for name in names), folder=tmp_path)


def test_everything_is_taken_from_one_look(pictures, tmp_path):
    table, views = examine.examine(pictures, tmp_path)
    first = table.row(0)
    content = pictures.image_path(0).read_bytes()
    assert (first.sha256, first.size_bytes) == (hashlib.sha256(content).hexdigest(), len(content))
    assert (first.width_px, first.height_px) == (120, 120)
    expected = quality.measure(Image.open(pictures.image_path(0)).convert("RGB"))
    assert {name: getattr(first, f"quality_{name}") for name in quality.MEASURES} == pytest.approx(expected, abs=0.02)
    assert views.shape == (8, 2, 64, 64)
    assert first.perceptual_hash == f"{int(buckets.perceptual_hashes(views[:1, 0])[0, 0]):016x}"
    assert (table.row(1).width_px, table.row(1).height_px) == (400, 400)  # as stored, although decoded smaller


def test_bad_pictures_become_rows_with_their_reason(pictures, tmp_path):
    table, views = examine.examine(pictures, tmp_path)
    assert dict(zip(table.column("image_id"), table.column("reject_reason"), strict=True)) == {
        "a": "", "b": "", "cut": "truncated", "text": "not_an_image", "empty": "empty", "blank": examine.BLANK,
        "small": "too_small", "none": "missing_file",
    }  # fmt: skip
    cut = table.row(2)
    assert len(cut.sha256) == 64
    assert cut.size_bytes == 900
    assert (cut.perceptual_hash, cut.quality_blur, cut.width_px) == ("", None, None)
    assert not views[2].any()


def test_limits_reject_by_name(pictures, tmp_path):
    blur = examine.examine(pictures, tmp_path)[0].column("quality_blur")[0]
    table, _ = examine.examine(pictures, tmp_path, limits={"blur": (None, blur - 0.01)})
    assert table.column("reject_reason")[0] == "blurred"


def test_a_reason_that_a_row_has_already_stays(pictures, tmp_path):
    table, _ = examine.examine(pictures.with_columns(reject_reason=["ours"] * 8), tmp_path)
    assert set(table.column("reject_reason")) == {"ours"}


def test_processes_see_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(examine, "_WORTH_PROCESSES", 1)
    monkeypatch.setattr(examine, "_PORTION", 7)
    for seed in range(20):
        picture(tmp_path / f"{seed}.jpg", seed, size_px=64)
    table = manifest(*(row(str(seed), path=f"{seed}.jpg") for seed in range(20)), folder=tmp_path)
    told = []

    class Told:
        def __init__(self, name, total):
            told.append((name, total))

        def __enter__(self):
            return told.append

        def __exit__(self, *_):
            return None

    one, one_views = examine.examine(table, tmp_path)
    one_views = np.array(one_views)
    two, two_views = examine.examine(table, tmp_path, workers=2, step=Told)
    assert two.identity() == one.identity()
    assert np.array_equal(one_views, two_views)
    assert told == [("Looking at pictures", 20), 7, 7, 6]


def test_an_empty_manifest(tmp_path):
    table, views = examine.examine(manifest(folder=tmp_path), tmp_path)
    assert len(table) == 0
    assert views.shape == (0, 2, 64, 64)
