"""What the one-page report says, before it is printed."""

import html
import re
from dataclasses import replace

import pytest

from dermaloop.cases import words
from dermaloop.core.prediction import Reason, Status
from dermaloop.web import clinical, pages, translation
from dermaloop.web.report import limits, report_of
from dermaloop.web.settings import Settings
from dermaloop.web.upload import Upload
from dermaloop.web.views import assess
from dermaloop.web.wording import DISCLAIMER
from support.facts import FACTS


@pytest.fixture
def view(toy_classifier, lesion_jpeg):
    return assess(toy_classifier, Upload("a.jpg", lesion_jpeg), Settings())


def _page(report, code="en"):
    template = pages._templates().get_template("report.html")
    return template.render(report=report, language=translation.language(code), back="/")


def _text(page):
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", page)))


def test_it_says_all_that_a_report_has_to(view):
    text = _text(_page(report_of(view, "CC BY-NC 4.0.", FACTS)))
    point = view.point
    for wanted in (
        DISCLAIMER,
        view.verdict.title,
        view.verdict.sentence,
        "Sensitivity 96% (95% interval 90% to 99%; 48 malignant lesions).",
        f"Measured on: {point.measured_on}.",
        *limits(),
        "P-0174",
        "1957, female, skin type II",
        "3, left scapula",
        "Back and buttocks",
        "Nov 20, 2026",
        "before seeing the model's answer",
        "Excision",
        "Asymmetric, <b>irregular</b> network.",
        "Melanoma, confirmed by: histopathology, Nov 28, 2026",
        "Dr. A. Example",
        "Signature",
        view.prediction.bundle,
        view.prediction.sha256,
        "Licence of the model: CC BY-NC 4.0. Software: dermaloop",
    ):
        assert wanted in text, wanted


def test_it_shows_picture_and_heatmap_and_nothing_that_runs(view):
    page = _page(report_of(view, "free", FACTS))
    assert page.count(f'src="{view.picture}"') == 2
    assert page.count(f'href="{view.heatmap}"') == 1
    assert "<b>irregular</b>" not in page
    assert not re.search(r"<[^>]+\s(?:style|on\w+)=", page)
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style", page)


def test_what_is_not_known_is_a_line_to_write_on(view):
    report = report_of(view, "free")
    assert {value for _, value in (*report.facts, *report.impression)} == {""}
    assert (report.words, report.confirmed, report.clinician, report.signed) == ("", "", "", "")
    page = _page(report)
    assert page.count('<div class="sheet-line"></div>') == 3
    assert "Place and date" in page
    assert "Signed off on" not in page


def test_a_declined_picture_has_reasons_and_no_figures(toy_classifier, blank_png):
    view = assess(toy_classifier, Upload("b.png", blank_png), Settings())
    report = report_of(view, "free")
    assert not report.figures
    page = _page(report)
    assert "The picture is blurred. Hold still" in page
    assert "sheet-bars" not in page
    assert "sheet-heat" not in page


def test_a_reason_that_nobody_has_translated_is_marked_as_english(view):
    prediction = replace(view.prediction, status=Status.ABSTAINED, reasons=(Reason("new", "Something new."),))
    with translation.speaking("de"):
        assert '<p lang="en">Something new.</p>' in _page(report_of(replace(view, prediction=prediction), "free"), "de")


def test_it_is_german_throughout(toy_classifier, lesion_jpeg):
    with translation.speaking("de"):
        view = assess(toy_classifier, Upload("a.jpg", lesion_jpeg), Settings())
        page = _page(report_of(view, "frei", FACTS), "de")
    text = _text(page)
    for wanted in (
        "Entscheidungsunterstützung für Forschungszwecke. Kein Medizinprodukt.",
        "Bericht zu einer Hautläsion",
        "1957, weiblich, Hauttyp II",
        "Rücken und Gesäß",
        "20.11.2026",
        "vor Kenntnis der Antwort des Modells",
        "Exzision",
        "Melanom, gesichert durch: Histopathologie, 28.11.2026",
        "Unterschrift",
    ):
        assert wanted in text, wanted
    assert not re.search(r"\b(?:the|of|and|with|lesion|picture)\b", text.replace("left scapula", ""))


def test_a_long_impression_is_set_small_and_whole(view):
    words_of_it = "A sentence of the clinician about what there is to be seen. " * 12
    page = _page(report_of(view, "free", replace(FACTS, impression=words_of_it)))
    assert "small-words" in page
    assert words_of_it.strip() in page


def test_every_word_of_the_records_has_a_name():
    tables = (
        (words.Sex, clinical.SEX),
        (words.View, clinical.SIDES),
        (words.PictureType, clinical.PICTURE_TYPES),
        (words.Management, clinical.MANAGEMENT),
        (words.Timing, clinical.TIMING),
        (words.CaseState, clinical.CASE_STATES),
    )
    for kind, table in tables:
        assert set(table) == set(kind)
    assert clinical.skin_type_name(6) == "VI"
    assert clinical.case_state_name("awaiting") == "Awaits confirmation"
    assert clinical.picture_type_name("dermoscopic") == "Dermoscopic picture"
    assert clinical.site_name("somewhere new") == "somewhere new"


def test_the_result_page_carries_its_report_without_a_second_copy_of_the_picture(client, lesion_jpeg, blank_png):
    files = [("pictures", ("a.jpg", lesion_jpeg)), ("pictures", ("b.png", blank_png)), ("pictures", ("c.jpg", b"no"))]
    page = client.post("/assess", files=files).text
    assert page.count('<template class="report">') == 2
    assert page.count("data:image/jpeg") == 2
    assert page.count('data-print="result"') == 2
