"""The page that compares two pictures of a lesion: which two, where the second lies, what is said; and the chart."""

import datetime as dt
import html
import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from dermaloop.cases.actor import system
from dermaloop.cases.images import name_of
from dermaloop.cases.practice import Practice, change_practice
from dermaloop.cases.roles import Role
from dermaloop.core.prediction import Prediction, Reason, Status
from dermaloop.core.synthetic import draw_lesion
from dermaloop.web.chart import chart_of
from dermaloop.web.errors import WebError
from dermaloop.web.follow_up import choose
from support.hostile import save
from support.moved import farthest, moved
from support.visits import new_lesion, new_patient, send_pictures

SIDE = 300
MALIGNANT = draw_lesion(4, size_px=SIDE, malignant=True)
AGAIN, BACK = moved(MALIGNANT, degrees=20, scale=1.15, shift=(6, -4), gain=0.9)


def _jpeg(picture):
    return save(picture, "JPEG", quality=92)


def _text(answer):
    page = re.sub(r"<(script|style)\b.*?</\1>", " ", answer.text, flags=re.DOTALL)
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page)))


@pytest.fixture
def clinician(make_client):
    return make_client(role=Role.CLINICIAN)


def _lesion(client, *visits, **more):
    """A lesion with one picture per visit, (day, picture); gives the path of its page."""
    lesion = new_lesion(client, new_patient(client))
    for day, picture in visits:
        assert send_pictures(client, lesion, ("a.jpg", _jpeg(picture)), visited_on=day, **more).status_code == 200
    return lesion


def _places(page):
    return re.findall(r' data-(?:second-)?place="([^"]+)"', page.text)


def test_two_photographs_of_a_lesion_lie_on_each_other(clinician):
    lesion = _lesion(clinician, ("2025-03-01", MALIGNANT), ("2026-03-01", AGAIN))
    page = clinician.get(f"{lesion}/follow-up")
    text = _text(page)
    assert re.search(r"Aligned on \d+ places that both pictures show; the second covers \d+% of the first\.", text)
    assert "Not to scale: the size of a pixel is not stated for both pictures" in text
    assert "No figure is given" in text
    beside, over = _places(page)
    assert beside == over
    x, y, width, degrees = map(float, beside.split())
    assert degrees == pytest.approx(-20, abs=0.2)
    assert width == pytest.approx(1 / 1.15, rel=0.005)
    middle = BACK @ (SIDE / 2, SIDE / 2, 1) / SIDE
    assert (x + width / 2, y + width / 2) == pytest.approx(tuple(middle), abs=0.005)
    values = [float(value) for value in re.search(r'transform="matrix\(([^)]+)\)"', page.text)[1].split()]
    a, b, c, d, e, f = values
    assert farthest(np.array([[a, c, e], [b, d, f]]), BACK, (SIDE, SIDE)) < 1.5  # a JPEG between
    left, top, right, bottom = map(float, re.search(r'data-start="([^"]+)"', page.text)[1].split())
    assert 0 <= left <= left + right <= 1
    assert 0 <= top <= top + bottom <= 1
    assert page.text.count('data-link="follow-up"') == 2
    assert f'href="{lesion}/follow-up"' in clinician.get(lesion).text


def test_with_both_pixel_sizes_it_is_to_scale_and_both_have_a_bar(clinician):
    lesion = _lesion(clinician, ("2025-03-01", MALIGNANT), ("2026-03-01", AGAIN), pixel_size_mm="0.02")
    page = clinician.get(f"{lesion}/follow-up")
    assert "To scale, by the pixel sizes stated for both pictures" in _text(page)
    assert page.text.count('data-mm-per-px="0.02"') == 3
    assert float(_places(page)[0].split()[2]) == pytest.approx(1), "what was 15 % larger stays 15 % larger"


def test_two_lesions_by_mistake_are_shown_as_they_were_taken_and_it_says_why(clinician):
    other = draw_lesion(9, size_px=SIDE, malignant=False)
    lesion = _lesion(clinician, ("2025-03-01", MALIGNANT), ("2026-03-01", other))
    page = clinician.get(f"{lesion}/follow-up")
    text = _text(page)
    assert "Could not be aligned" in text
    assert "The pictures are shown as they were taken." in text
    assert "Side by side" in text
    assert "One over the other" not in text
    assert _places(page) == []
    assert page.text.count('class="viewer"') == 2


def test_without_opencv_the_pictures_are_there_and_it_says_what_to_install(clinician, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    lesion = _lesion(clinician, ("2025-03-01", MALIGNANT), ("2026-03-01", AGAIN))
    page = clinician.get(f"{lesion}/follow-up")
    assert page.status_code == 200
    assert "pip install 'dermaloop[follow-up]'" in _text(page)
    assert page.text.count('class="viewer"') == 2
    assert _places(page) == []


def test_one_picture_is_not_compared(clinician):
    lesion = _lesion(clinician, ("2025-03-01", MALIGNANT))
    assert "Two pictures of the lesion are needed" in _text(clinician.get(f"{lesion}/follow-up"))
    assert "follow-up" not in clinician.get(lesion).text


def test_a_damaged_picture_does_not_take_the_page_down(clinician, store):
    lesion = _lesion(clinician, ("2025-03-01", MALIGNANT), ("2026-03-01", AGAIN))
    with store.database.engine.connect() as connection:
        sha256 = connection.exec_driver_sql("SELECT sha256 FROM images").scalar()
    store.images.remove(name_of(sha256))
    page = clinician.get(f"{lesion}/follow-up")
    assert page.status_code == 200
    assert "Could not be aligned: a picture cannot be read." in _text(page)


def test_the_pair_is_chosen_by_the_address_and_a_wrong_one_is_refused(clinician):
    lesion = _lesion(clinician, ("2025-03-01", MALIGNANT), ("2026-03-01", AGAIN))
    page = clinician.get(f"{lesion}/follow-up")
    older, newer = re.findall(r'<option value="([^"]+)"', page.text)[:2]
    turned = clinician.get(f"{lesion}/follow-up", params={"first": newer, "second": older})
    assert _places(turned) == _places(page), "the older one is always the one that stays"
    for asked in ({"first": older, "second": older}, {"first": "x"}, {"second": "<script>"}):
        refused = clinician.get(f"{lesion}/follow-up", params=asked)
        assert refused.status_code == 422
        assert "bad_parameter" in refused.text
        assert "<script>" not in refused.text.partition("<main")[2]


def test_a_hidden_answer_stays_hidden_here_too(make_client, store):
    with store.database.begin() as session:
        change_practice(session, system("test"), Practice("", hide_answer_until_impression=True))
    client = make_client(role=Role.CLINICIAN)
    lesion = _lesion(client, ("2025-03-01", MALIGNANT), ("2026-03-01", AGAIN))
    text = _text(client.get(f"{lesion}/follow-up"))
    assert text.count("Answer hidden") == 4
    assert "threshold" not in text
    assert "after your own impression" in text


def test_german(clinician):
    lesion = _lesion(clinician, ("2025-03-01", MALIGNANT), ("2026-03-01", AGAIN))
    text = _text(clinician.get(f"{lesion}/follow-up", headers={"Accept-Language": "de"}))
    assert "Zur Deckung gebracht an" in text
    assert "Nicht maßstäblich" in text


# --- The choice of the pair, and the chart, on records made by hand ---


def _answer(name, day, kind="dermoscopic", *, probability=None, bundle="reference@1", status=Status.ASSESSED):
    stored = None
    if probability is not None or status is not Status.ASSESSED:
        reasons = () if status is Status.ASSESSED else (Reason("blurred", "Blurred."),)
        said = Prediction(name, "", bundle, status, reasons, probability, threshold=0.3)
        stored = SimpleNamespace(prediction=said)
    visit = SimpleNamespace(visited_on=dt.date.fromisoformat(day))
    return SimpleNamespace(image=SimpleNamespace(id=name, image_type=kind), visit=visit, stored=stored, hidden=False)


VISITS = [
    _answer("far", "2024-01-01", "overview"),
    _answer("old", "2024-01-01"),
    _answer("clinical", "2025-01-01", "close_up"),
    _answer("new", "2026-01-01"),
    _answer("new2", "2026-01-01"),
    _answer("far2", "2026-01-01", "overview"),
]


@pytest.mark.parametrize(
    ("asked", "pair"),
    [
        ({}, ("old", "new2")),
        ({"second_id": "new"}, ("old", "new")),
        ({"second_id": "far2"}, ("far", "far2")),
        ({"second_id": "clinical"}, ("old", "clinical")),
        ({"second_id": "old"}, ("old", "new")),
        ({"first_id": "new2"}, ("new", "new2")),
        ({"first_id": "far", "second_id": "clinical"}, ("far", "clinical")),
    ],
)
def test_the_pair_is_of_one_kind_and_two_visits_where_there_is_one(asked, pair):
    assert tuple(one.image.id for one in choose(VISITS, **asked)) == pair


def test_a_pair_needs_two_different_pictures():
    assert choose(VISITS[:1]) is None
    assert choose([]) is None
    with pytest.raises(WebError, match="with itself"):
        choose(VISITS, "old", "old")


def test_the_chart_marks_declined_answers_and_the_change_of_model():
    answers = [
        _answer("a", "2024-01-01", probability=0.2),
        _answer("b", "2024-07-01", status=Status.UNREADABLE),
        _answer("c", "2025-01-01", probability=0.4, bundle="reference@2"),
        _answer("d", "2026-01-01", probability=0.5, bundle="reference@2"),
        _answer("e", "2026-06-01", probability=0.9, status=Status.ABSTAINED),
        _answer("f", "2026-07-01"),
    ]
    chart = chart_of(answers)
    assert [point.probability for point in chart.points] == [0.2, 0.4, 0.5]
    assert len(chart.lines) == 2
    assert len(chart.declined) == 2
    assert chart.points[0].x < chart.declined[0] < chart.points[1].x < chart.points[2].x < chart.declined[1]
    (change,) = chart.changes
    assert change.bundle == "reference@2"
    assert change.day == dt.date(2025, 1, 1)
    assert chart.points[0].x < change.x < chart.points[1].x
    assert chart_of([answers[1]]) is None


def test_the_page_draws_what_the_chart_holds(clinician, blank_png):
    lesion = _lesion(clinician, ("2025-03-01", MALIGNANT))
    send_pictures(clinician, lesion, ("b.png", blank_png), visited_on="2025-09-01")
    page = clinician.get(f"{lesion}/follow-up")
    assert len(re.findall(r'<circle class="(?:suspicious|below)"', page.text)) == 1
    assert page.text.count('<path class="declined"') == 2, "one in the drawing, one in its legend"
    assert "No estimate: the model declined" in _text(page)
    assert page.text.count('<path class="change"') == 0
