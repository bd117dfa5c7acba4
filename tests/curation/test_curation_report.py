import re
from html.parser import HTMLParser

import pytest
from PIL import Image

from dermaloop.core.errors import OutputError
from dermaloop.curation.report import bars, contents, leakage, write_report
from support.datasets import picture
from support.rows import manifest, row


class Page(HTMLParser):
    """Collects what the page refers to, its open tags and its text."""

    def __init__(self, text):
        super().__init__()
        self.references, self.images, self.open, self.words = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.references += [values[name] for name in ("src", "href", "action", "data") if name in values]
        if tag == "img":
            self.images.append(values)
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] != "style":
            self.words.append(data)


@pytest.fixture
def dataset(tmp_path):
    rows = []
    for i, label in enumerate(["MEL", "NV", "NV", "NV|BKL", "", "BCC"]):
        picture(tmp_path / f"{i}.png", i)
        rows.append(
            row(
                f"ISIC_{i}",
                source="clinic<b>" if i % 2 else "ham",
                path=f"{i}.png",
                lesion_id=f"l{i}",
                diagnosis=label if "|" not in label and label else None,
                candidates=label,
                diagnosis_term=label,
                age_years=10 * i,
                sex="female" if i else "",
                skin_type=2 if i == 3 else None,
                quality_blur=0.3 + i / 10,
                split=["train", "test", "train", "validation", "excluded", "train"][i],
                reject_reason="blurred" if i == 4 else "",
                duplicate_group="ham/0" if i in (0, 2) else "",
            )
        )
    return manifest(*rows, folder=tmp_path)


def text_of(table, path):
    write_report(table, path)
    return path.read_text()


def test_the_page_refers_to_nothing_outside_and_closes_its_tags(dataset, tmp_path):
    text = text_of(dataset, tmp_path / "r.html")
    page = Page(text)
    assert page.open == []
    assert page.references
    assert all(reference.startswith("data:image/jpeg;base64,") for reference in page.references)
    assert not re.search(r"https?://|url\(|@import|<script", text)
    assert all(image["alt"] for image in page.images)


def test_it_says_what_is_in_the_manifest(dataset, tmp_path):
    words = " ".join(" ".join(Page(text_of(dataset, tmp_path / "r.html")).words).split())
    for expected in (
        "No leakage: nothing lies in more than one split.",
        "1 groups with 2 images",
        "labels differ",
        "Left out, by reason blurred",
        "NV|BKL Melanocytic naevus or Benign keratosis",
        "unmapped none of the eight diagnoses",
        "Decision support for research use. Not a medical device.",
        "clinic<b>",
    ):
        assert expected in words


def test_names_from_outside_are_escaped(dataset, tmp_path):
    assert "clinic<b>" not in text_of(dataset, tmp_path / "r.html")


def test_leakage_is_found_and_shown(dataset, tmp_path):
    leaking = dataset.with_columns(lesion_id=["l0", "l0", "l2", "l3", "l4", "l5"])
    assert {words: crossing for words, _, crossing in leakage(leaking)}["lesion"] == 1
    assert {words: crossing for words, _, crossing in leakage(dataset)}["lesion"] == 0
    text = text_of(leaking, tmp_path / "r.html")
    assert "Leakage: 1 groups lie in more than one split." in text
    assert "split_breaks_group" in text


def test_excluded_rows_do_not_leak(dataset):
    excluded = dataset.with_columns(lesion_id=["l0", "l1", "l2", "l3", "l0", "l5"])
    assert all(crossing == 0 for _, _, crossing in leakage(excluded))


def test_pictures_that_cannot_be_shown_leave_a_gap(dataset, tmp_path):
    (tmp_path / "1.png").unlink()
    text = text_of(dataset, tmp_path / "r.html")
    assert "no picture" in text
    assert "missing_file" in text


def test_small_copies_only(dataset, tmp_path):
    Image.new("RGB", (3000, 2000), "#c0a090").save(tmp_path / "0.png")
    assert len(text_of(dataset, tmp_path / "r.html")) < 400_000


def test_a_manifest_without_splits_quality_or_duplicates(tmp_path):
    picture(tmp_path / "a.png", 1)
    text = text_of(manifest(row("a", path="a.png"), folder=tmp_path), tmp_path / "r.html")
    assert "Nothing is split yet" in text
    assert "Not measured yet" in text
    assert "None is recorded" in text


def test_an_empty_manifest(tmp_path):
    Page(text_of(manifest(folder=tmp_path), tmp_path / "r.html"))


def test_the_same_manifest_gives_the_same_page(dataset, tmp_path):
    assert text_of(dataset, tmp_path / "a.html") == text_of(dataset, tmp_path / "b.html")


def test_bars_count_unknown_last():
    assert [(bar.name, bar.count, bar.percent) for bar in bars(["x", "", "y", "y", None, ""])] == [
        ("y", 2, pytest.approx(200 / 3)), ("x", 1, pytest.approx(100 / 3)), ("unknown", 3, 100),
    ]  # fmt: skip


def test_ages_by_ten_years(dataset):
    assert [bar.name for bar in contents(dataset)["ages"]] == [
        "0 to 9",
        "10 to 19",
        "20 to 29",
        "30 to 39",
        "40 to 49",
        "50 to 59",
    ]


def test_a_place_that_cannot_be_written_is_named(dataset, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="report"):
        write_report(dataset, tmp_path / "file" / "r.html")
