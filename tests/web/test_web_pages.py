"""The pages as the server renders them, without a browser."""

import base64
import html
import io
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from dermaloop.core.prediction import Decision, Reason, Status
from dermaloop.core.synthetic import draw_lesion
from dermaloop.core.taxonomy import ENTRIES
from support.hostile import exif, hostile_files, save


def _assess(client, *pairs, path="/assess"):
    return client.post(path, files=[("pictures", pair) for pair in pairs])


def _text(answer):
    return html.unescape(re.sub(r"<[^>]+>", " ", answer.text))


def _titles(answer):
    return re.findall(r'<article class="result[^>]*data-kind="(\w+)"', answer.text)


def test_a_result_page_says_the_answer_first_and_all_that_it_rests_on(client, lesion_jpeg, toy_classifier):
    prediction = toy_classifier.classify(lesion_jpeg, "mole.jpg")
    answer = _assess(client, ("mole.jpg", lesion_jpeg))

    assert answer.status_code == 200
    text = _text(answer)
    assert _titles(answer) == [prediction.decision.value]
    first = text.index("Suspicious: refer" if prediction.decision == "refer" else "Below the referral threshold")
    for later in ("Probability of malignancy", "Diagnoses", "Similar cases", "How this was decided"):
        assert text.index(later) > first
    for diagnosis in prediction.probabilities:
        assert ENTRIES[diagnosis].name in text
    for case in prediction.similar:
        assert case.image_id in text
    assert "Sensitivity 96% (95% interval 90% to 99%; 48 malignant lesions)." in text
    assert "Specificity 70% (95% interval 60% to 80%; 48 benign lesions)." in text
    assert "Measured on: drawn lesions." in text
    assert prediction.sha256 in text
    assert toy_classifier.bundle.identity in text


def test_the_form_works_without_a_script_for_several_pictures(client, lesion_jpeg, blank_png):
    answer = _assess(client, ("a.jpg", lesion_jpeg), ("b.jpg", b"no picture"), ("c.png", blank_png), ("", b""))

    kinds = _titles(answer)
    assert kinds[1:] == ["unreadable", "abstained"]
    assert len(kinds) == 3
    for number in (1, 2, 3):
        assert f'href="#result-{number}"' in answer.text
        assert f'id="result-{number}"' in answer.text


def test_a_file_over_the_limit_does_not_hide_the_others(make_client, lesion_jpeg):
    client = make_client(max_file_bytes=len(lesion_jpeg))
    answer = _assess(client, ("big.jpg", lesion_jpeg + b"x"), ("a.jpg", lesion_jpeg))

    kinds = _titles(answer)
    assert kinds[0] == "unreadable"
    assert kinds[1] in ("refer", "no_referral")
    assert "too_large_bytes" in answer.text
    assert "Export it as JPEG" in answer.text


HOSTILE = {name: pair for name, pair in hostile_files().items() if pair[1]}


@pytest.mark.parametrize("name", HOSTILE)
def test_each_hostile_file_gets_its_named_reason_on_the_page(client, name):
    content, reason = HOSTILE[name]
    answer = _assess(client, (name, content))
    assert answer.status_code == 200
    assert _titles(answer) == ["unreadable"]
    assert f'<span class="reason-code">{reason}</span>' in answer.text
    assert "data:image/jpeg" not in answer.text


def _shown_pictures(answer):
    return [base64.b64decode(found) for found in re.findall(r'<img src="data:image/jpeg;base64,([^"]+)"', answer.text)]


def test_the_shown_picture_has_no_metadata_and_stands_upright(client):
    wide = draw_lesion(4).resize((400, 200))
    content = save(wide, "JPEG", quality=92, exif=exif(6, gps=True))
    assert b"Jane Doe" in content

    (shown,) = _shown_pictures(_assess(client, ("a.jpg", content)))

    assert b"Jane Doe" not in shown
    assert b"Exif" not in shown
    picture = Image.open(io.BytesIO(shown))
    assert picture.size == (200, 400)
    assert not picture.getexif()
    assert "icc_profile" not in picture.info


def test_a_large_picture_is_shown_small(make_client):
    client = make_client(picture_side_px=320)
    (shown,) = _shown_pictures(_assess(client, ("a.jpg", save(draw_lesion(4).resize((1600, 1200)), "JPEG"))))
    assert Image.open(io.BytesIO(shown)).size == (320, 240)


def test_the_square_that_the_model_saw_is_marked_where_it_is_not_the_whole_picture(client, lesion_jpeg):
    wide = save(draw_lesion(4, malignant=True).resize((600, 300)), "JPEG")
    marked = _assess(client, ("a.jpg", wide)).text
    assert '<rect class="frame" x="150.0" y="0.0" width="300.0" height="300.0"/>' in marked
    assert "what lies outside was not assessed" in marked
    assert 'class="frame"' not in _assess(client, ("a.jpg", lesion_jpeg)).text


def test_a_declined_picture_shows_why_and_no_figures(client, blank_png):
    answer = _assess(client, ("a.png", blank_png))
    text = _text(answer)
    assert "No assessment" in text
    assert "The picture is blurred. Hold still" in text
    assert "blurred: 1.00, limit 0.99" in re.sub(r"\s+", " ", text)
    assert "Probability of malignancy" not in text
    assert "Diagnoses" not in text
    assert "Similar cases" not in text
    assert 'class="heat"' not in answer.text
    assert len(_shown_pictures(answer)) == 1


class _Saying:
    """Answers as the toy classifier does, but abstains for a given reason."""

    def __init__(self, classifier, code):
        self.bundle, self.operating_point = classifier.bundle, classifier.operating_point
        self._classifier, self._code = classifier, code

    def classify(self, content, name=""):
        prediction = self._classifier.classify(content, name)
        reasons = (Reason(self._code, "Said so. Do this."),)
        return replace(prediction, status=Status.ABSTAINED, decision=Decision.NONE, reasons=reasons)


def test_a_picture_declined_as_ambiguous_alone_keeps_its_figures(make_client, toy_classifier, lesion_jpeg):
    ambiguous = _text(_assess(make_client(_Saying(toy_classifier, "ambiguous")), ("a.jpg", lesion_jpeg)))
    assert "No assessment" in ambiguous
    assert "Said so. Do this." in ambiguous
    assert "Probability of malignancy" in ambiguous

    foreign = _text(_assess(make_client(_Saying(toy_classifier, "out_of_distribution")), ("a.jpg", lesion_jpeg)))
    assert "Probability of malignancy" not in foreign


def test_a_file_name_cannot_bring_in_html(client, lesion_jpeg):
    answer = _assess(client, ('<img src=x onerror="alert(1)">.jpg', lesion_jpeg))
    assert "<img src=x" not in answer.text
    assert "&lt;img src=x" in answer.text


@pytest.mark.parametrize("name", ["even", "irregular", "everyday"])
def test_samples_are_labelled_as_drawn(client, name):
    page = client.get(f"/sample/{name}")
    assert page.status_code == 200
    assert "Drawn by the program, not a patient" in page.text
    part = client.get(f"/sample/{name}/part")
    assert _titles(part) == _titles(page)
    picture = client.get(f"/sample/{name}.jpg")
    assert picture.headers["content-type"] == "image/jpeg"
    assert min(Image.open(io.BytesIO(picture.content)).size) >= 450


def test_an_upload_is_not_labelled_as_drawn(client, lesion_jpeg):
    assert "Drawn by the program" not in _assess(client, ("a.jpg", lesion_jpeg)).text


def test_the_card_is_rendered_harmless(client):
    page = client.get("/model").text
    assert "<h1>Toy model</h1>" in page
    assert "&lt;script&gt;" in page
    assert "<script>alert" not in page
    assert "elsewhere.example" not in page
    assert "a picture" in page
    assert "javascript:" not in re.sub(r">[^<]*<", "><", page)
    assert '<a href="https://doi.org/10.1038/sdata.2018.161" rel="noopener noreferrer">' in page
    assert '<div class="scroll" role="region" aria-label="Table" tabindex="0">\n<table>' in page


def test_the_report_is_boxed_in(client):
    answer = client.get("/model/report")
    assert answer.text.startswith("<!doctype html><title>Report</title>")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("sandbox; default-src 'none'")
    assert "script" not in policy
    assert "allow-" not in policy


def test_without_a_report_there_is_no_link_and_a_plain_answer(make_client, toy_classifier):
    bundle = toy_classifier.bundle
    bare = replace(bundle, parts={name: part for name, part in bundle.parts.items() if name != "evaluation.html"})

    class Bare:
        operating_point = toy_classifier.operating_point
        classify = staticmethod(toy_classifier.classify)

    Bare.bundle = bare
    client = make_client(Bare())
    assert "/model/report" not in client.get("/").text
    answer = client.get("/model/report")
    assert answer.status_code == 404
    assert "no evaluation report" in answer.text


PAGES = ("/", "/model", "/api/docs", "/sample/irregular", "/sample/everyday", "/nothing", "/sample/nothing")


@pytest.mark.parametrize("path", PAGES)
def test_every_page_is_ours_alone(client, path):
    page = client.get(path).text
    assert "Decision support for research use. Not a medical device." in page
    assert "Licence of the model: CC BY-NC 4.0, non-commercial research." in page
    loaded = re.findall(r'<(?:script|img|link|image|iframe|source|video|use)\b[^>]*?(?:src|href)="([^"]*)"', page)
    assert loaded
    assert all(one.startswith(("/", "data:image/")) and not one.startswith("//") for one in loaded)
    if path != "/model":  # the card links to its sources, for people to follow
        assert not re.search(r'="(?:https?:)?//', page)
    assert not re.search(r"<script(?![^>]*\bsrc=)", page)
    assert "<style" not in page
    assert not re.search(r"<[^>]+\s(?:style|on\w+)=", page)


def test_every_visible_symbol_and_control_has_a_name(client):
    page = client.get("/").text
    for control in re.findall(r'<input [^>]*id="(\w+)"', page):
        assert f'<label for="{control}">' in page
    for drawing in re.findall(r"<svg[^>]*>", client.get("/sample/irregular").text + page):
        assert 'aria-hidden="true"' in drawing or ('role="img"' in drawing and "aria-label=" in drawing)


def test_a_request_without_a_picture_answers_with_a_page(client):
    answer = client.post("/assess", files=[("pictures", ("", b""))])
    assert answer.status_code == 422
    assert "No picture was chosen" in answer.text
    part = client.post("/assess/part", files=[("pictures", ("", b""))])
    assert part.status_code == 422
    assert '<p class="problem" data-code="no_picture">' in part.text


def test_the_heatmap_of_the_page_is_the_classifiers(client, lesion_jpeg, toy_classifier):
    page = _assess(client, ("a.jpg", lesion_jpeg)).text
    found = re.search(r'<image class="heat" href="data:image/png;base64,([^"]+)"', page)
    layer = np.asarray(Image.open(io.BytesIO(base64.b64decode(found[1]))))
    values = toy_classifier.classify(lesion_jpeg).heatmap
    place = np.unravel_index(values.argmax(), values.shape)
    scale = layer.shape[0] / values.shape[0]
    centre = tuple(int((one + 0.5) * scale) for one in place)
    coldest = np.unravel_index(values.argmin(), values.shape)
    assert layer[centre][3] == 255
    assert layer[tuple(int((one + 0.5) * scale) for one in coldest)][3] == 0
