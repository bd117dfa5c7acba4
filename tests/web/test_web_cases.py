"""The workstation, page by page, as a clinician goes through it: from a new patient to the confirmed diagnosis."""

import html
import io
import json
import re
import zipfile

import pytest
from PIL import Image

from dermaloop.cases.actor import system
from dermaloop.cases.practice import Practice, change_practice
from dermaloop.cases.roles import Role
from dermaloop.core.synthetic import draw_lesion
from dermaloop.web.case_words import FIELDS
from support.hostile import exif, save
from support.people import sign_in
from support.visits import FACTS, FINDING, new_case, new_lesion, new_patient, send_pictures

NOWHERE = "00000000-0000-4000-8000-000000000000"
SCRIPT = '<script>alert("1")</script><img src=x onerror=alert(2)>'


@pytest.fixture(scope="module")
def second_jpeg():
    return save(draw_lesion(9, size_px=320, malignant=False), "JPEG", quality=90)


@pytest.fixture
def clinician(make_client):
    return make_client(role=Role.CLINICIAN)


@pytest.fixture
def hiding(store):
    """A practice that hides the answer until the impression is in."""
    with store.database.begin() as session:
        change_practice(session, system("test"), Practice("Skin practice", hide_answer_until_impression=True))


def _text(answer):
    page = re.sub(r"<(script|style)\b.*?</\1>", " ", answer.text, flags=re.DOTALL)
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page)))


def _addresses(page):
    """The addresses of the pictures and heatmaps on a case's page."""
    return re.findall(r'data-picture="([^"]+)"', page.text), re.findall(r'data-heatmap="([^"]+)"', page.text)


def _count(store, table):
    with store.database.engine.connect() as connection:
        return connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar()


def _actions(store):
    with store.database.engine.connect() as connection:
        return [row[0] for row in connection.exec_driver_sql("SELECT action FROM audit_entries ORDER BY sequence")]


def test_from_a_new_patient_to_the_confirmed_diagnosis(clinician, store, lesion_jpeg, second_jpeg, toy_classifier):
    patient = new_patient(clinician)
    assert "Year of birth 1957 Sex female" in _text(clinician.get(patient))

    lesion = new_lesion(clinician, patient, label="left scapula")
    page = clinician.get(patient)
    assert "Lesion 1, left scapula" in _text(page)
    assert '<g class="body-mark">' in page.text

    answer = send_pictures(clinician, lesion, ("a.jpg", lesion_jpeg), ("b.jpg", second_jpeg), pixel_size_mm="0,02")
    case = answer.url.path
    assert re.fullmatch(r"/cases/[0-9a-f-]{36}", case)
    text = _text(answer)
    assert text.count("Probability of malignancy") == text.count("Similar cases") == 2
    assert "Sensitivity 96% (95% interval 90% to 99%; 48 malignant lesions)." in text
    assert "What the model cannot tell" in text
    assert toy_classifier.bundle.identity in text
    assert answer.text.count('data-mm-per-px="0.02"') == 2
    pictures, heatmaps = _addresses(answer)
    assert len(pictures) == len(heatmaps) == 2
    kept = Image.open(io.BytesIO(clinician.get(pictures[0]).content))
    assert kept.tobytes() == Image.open(io.BytesIO(lesion_jpeg)).tobytes()
    assert clinician.get(heatmaps[1]).headers["content-type"] == "image/png"

    page = clinician.post(
        f"{case}/impression", data={"diagnosis": "MEL", "management": "excision", "text": "Irregular network."}
    )
    assert page.url.path == case
    assert "Melanoma · Excision" in _text(page)
    assert "after seeing the model's answer" in _text(page)
    page = clinician.post(f"{case}/signoff", data={"form_token": ""})
    assert "Signed off by clinician" in _text(page)
    assert "Awaits confirmation" in _text(page)

    report = clinician.get(f"{case}/report")
    text = _text(report)
    for wanted in ("P-0174", "1957, female, skin type II", "1, left scapula", "Back and buttocks", "Mar 1, 2026"):
        assert wanted in text, wanted
    assert "Irregular network." in text
    assert "Signed off on" in text
    assert f'src="{pictures[0]}"' in report.text or f'src="{pictures[1]}"' in report.text

    assert "P-0174" in _text(clinician.get("/worklist?state=awaiting"))
    assert "P-0174" not in _text(clinician.get("/worklist"))
    page = clinician.post(f"{case}/confirmation", data={**FINDING, "confirmed_by": "Laboratory", "document": "H-77/26"})
    text = _text(page)
    assert "Confirmed by: histopathology, Mar 8, 2026, Laboratory" in text
    assert "document H-77/26" in text
    assert "P-0174" in _text(clinician.get("/worklist?state=done"))
    assert "P-0174" not in _text(clinician.get("/worklist?state=awaiting"))
    assert "Melanoma, confirmed by: histopathology, Mar 8, 2026" in _text(clinician.get(f"{case}/report"))

    page = clinician.get(lesion)
    assert 'class="chart"' in page.text
    assert len(re.findall(r'<circle class="(?:suspicious|below)"', page.text)) == 2
    assert "Referral threshold" in _text(page)
    done = _actions(store)
    for action in ("patient.made", "lesion.made", "visit.made", "image.seen", "prediction.seen", "case.signed_off"):
        assert action in done


def test_a_page_says_what_the_classifier_said(clinician, lesion_jpeg, toy_classifier):
    prediction = toy_classifier.classify(lesion_jpeg)
    page = clinician.get(new_case(clinician, ("a.jpg", lesion_jpeg)))
    assert f'<article class="result {prediction.decision}"' in page.text
    assert prediction.similar[0].image_id in page.text
    assert "Jane" not in page.text


def test_the_name_of_a_file_is_not_kept(clinician, store, lesion_jpeg):
    case = new_case(clinician, ("Jane Doe left arm.jpg", lesion_jpeg))
    assert "Jane" not in clinician.get(case).text
    with store.database.engine.connect() as connection:
        assert "Jane" not in str(connection.exec_driver_sql("SELECT record FROM predictions").all())


def test_pictures_are_kept_without_place_and_time(clinician, lesion_jpeg):
    content = save(draw_lesion(4, size_px=300), "JPEG", exif=exif(1, gps=True))
    page = clinician.get(new_case(clinician, ("a.jpg", content)))
    kept = clinician.get(_addresses(page)[0][0])
    assert b"Exif" in content
    assert b"Exif" not in kept.content
    assert kept.headers["content-type"] == "image/jpeg"
    assert kept.headers["cache-control"].startswith("private, max-age=")
    again = clinician.get(str(kept.url), headers={"If-None-Match": kept.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    small = clinician.get(str(kept.url) + "/small.jpg")
    assert max(Image.open(io.BytesIO(small.content)).size) <= 480


def test_the_answer_is_hidden_until_the_impression_is_in(clinician, make_client, hiding, store, lesion_jpeg):
    case = new_case(clinician, ("a.jpg", lesion_jpeg))
    lesion = re.search(r'href="(/lesions/[0-9a-f-]{36})"', clinician.get(case).text)[1]
    page = clinician.get(case)
    heatmap = f"{_addresses(page)[0][0]}/heatmap/{_prediction(store)}.png"
    for shown in (page, clinician.get(lesion), clinician.get("/worklist"), clinician.get("/worklist?order=suspicious")):
        text = _text(shown)
        assert "Answer hidden" in text, shown.url
        assert not re.search(r"Suspicious: refer|Below the referral threshold|\d%", text), shown.url
    assert "heatmap" not in page.text.lower().replace("heatmap/", "")
    assert clinician.get(heatmap).status_code == 409
    assert clinician.get(f"{case}/report").status_code == 409
    assert 'class="chart"' not in clinician.get(lesion).text

    page = clinician.post(f"{case}/impression", data={"diagnosis": "NV", "management": "follow-up", "text": ""})
    assert "before seeing the model's answer" in _text(page)
    assert "Probability of malignancy" in _text(page)
    assert clinician.get(heatmap).status_code == 200
    assert "Answer hidden" not in _text(clinician.get("/worklist"))

    other = make_client(role=None)
    sign_in(other, Role.CLINICIAN, "somebody else")
    assert "Answer hidden" in _text(other.get(case)), "they have written none"
    assert other.get(heatmap).status_code == 409


def _prediction(store):
    with store.database.engine.connect() as connection:
        return connection.exec_driver_sql("SELECT id FROM predictions").scalar()


def test_one_file_that_is_no_picture_does_not_hide_the_others(clinician, store, lesion_jpeg, second_jpeg):
    lesion = new_lesion(clinician, new_patient(clinician))
    files = (("a.jpg", lesion_jpeg), ("bomb <b>.svg", b"<svg onload='alert(1)'/>"), ("c.jpg", second_jpeg))
    answer = send_pictures(clinician, lesion, *files)
    assert answer.status_code == 200
    text = _text(answer)
    assert "1 file could not be read bomb <b>.svg :" in text
    assert "2 pictures were stored a.jpg c.jpg" in text
    assert "<b>.svg" not in answer.text
    assert _count(store, "images") == _count(store, "predictions") == 2
    case = re.search(r'href="(/cases/[0-9a-f-]{36})"', answer.text)[1]
    assert len(_addresses(clinician.get(case))[0]) == 2
    assert len(list(store.images.entries())) == 2, "nothing of the hostile file is stored"


def test_files_none_of_which_can_be_read_make_nothing(clinician, store):
    lesion = new_lesion(clinician, new_patient(clinician))
    answer = send_pictures(clinician, lesion, ("a.jpg", b"%PDF-1.7"), ("b.jpg", b""), visited_on="2026-02-02")
    assert answer.status_code == 422
    assert "This is a PDF document" in _text(answer)
    assert 'value="2026-02-02"' in answer.text, "what was entered stays"
    assert _count(store, "visits") == _count(store, "cases") == _count(store, "images") == 0


def test_a_file_over_the_limit_is_named(make_client, lesion_jpeg):
    client = make_client(role=Role.CLINICIAN, max_file_bytes=len(lesion_jpeg))
    lesion = new_lesion(client, new_patient(client))
    for kind in ("dermoscopic", "clinical: overview"):
        answer = send_pictures(client, lesion, ("big.jpg", lesion_jpeg + b"x"), ("a.jpg", lesion_jpeg), image_type=kind)
        assert "big.jpg : " in _text(answer)
        assert "too_large_bytes" in answer.text


def test_a_request_sent_twice_makes_nothing_twice(clinician, store, lesion_jpeg, second_jpeg):
    lesion = new_lesion(clinician, new_patient(clinician))
    files = (("a.jpg", lesion_jpeg), ("b.jpg", second_jpeg))
    first = send_pictures(clinician, lesion, *files)
    again = send_pictures(clinician, lesion, *files, ("renamed.jpg", lesion_jpeg))
    assert first.url.path == again.url.path
    counts = {table: _count(store, table) for table in ("visits", "cases", "images", "predictions")}
    assert counts == {"visits": 1, "cases": 1, "images": 2, "predictions": 2}
    later = send_pictures(clinician, lesion, *files, visited_on="2026-04-01")
    assert later.url.path != first.url.path, "another day is another visit, whatever the pictures"


def test_two_lesions_on_one_day_are_one_visit(clinician, store, lesion_jpeg):
    patient = new_patient(clinician)
    for _ in range(2):
        send_pictures(clinician, new_lesion(clinician, patient), ("a.jpg", lesion_jpeg))
    assert (_count(store, "visits"), _count(store, "cases")) == (1, 2)


def test_an_overview_is_kept_and_not_assessed(clinician, store, lesion_jpeg):
    lesion = new_lesion(clinician, new_patient(clinician))
    page = send_pictures(clinician, lesion, ("a.jpg", lesion_jpeg), image_type="clinical: overview")
    assert "Overview Not assessed" in _text(page)
    assert (_count(store, "images"), _count(store, "predictions")) == (1, 0)
    assert clinician.get(f"{page.url.path}/report").status_code == 409


@pytest.mark.parametrize(
    "changes",
    [
        {"visited_on": "tomorrow"},
        {"visited_on": "2999-01-01"},
        {"image_type": "x-ray"},
        {"pixel_size_mm": "nan"},
        {"pixel_size_mm": "-1"},
        {"pixel_size_mm": "1e9"},
    ],
)
def test_entries_that_cannot_be_kept_are_refused_before_a_picture_is_looked_at(clinician, store, lesion_jpeg, changes):
    lesion = new_lesion(clinician, new_patient(clinician))
    answer = send_pictures(clinician, lesion, ("a.jpg", lesion_jpeg), **changes)
    assert answer.status_code == 422
    assert 'role="alert"' in answer.text
    field = next(iter(changes))
    assert f"{FIELDS[field]}:" in _text(answer), "it says which entry"
    assert ('aria-invalid="true"' in answer.text) is (field != "image_type")
    assert list(store.images.entries()) == []


def test_a_visit_without_a_picture_is_refused_on_its_form(clinician):
    lesion = new_lesion(clinician, new_patient(clinician))
    answer = send_pictures(clinician, lesion, ("", b""), visited_on="2026-01-05")
    assert answer.status_code == 422
    assert "No picture was chosen" in _text(answer)
    assert 'value="2026-01-05"' in answer.text


def test_a_signed_case_takes_nothing_until_it_is_opened_again(clinician, store, lesion_jpeg, second_jpeg):
    case = new_case(clinician, ("a.jpg", lesion_jpeg))
    lesion = re.search(r'href="(/lesions/[0-9a-f-]{36})"', clinician.get(case).text)[1]
    assert clinician.post(f"{case}/signoff", data={"a": "b"}).status_code == 409, "without an impression"
    impression = {"diagnosis": "NV", "management": "no action", "text": ""}
    clinician.post(f"{case}/impression", data=impression)
    assert clinician.post(f"{case}/signoff", data={"a": "b"}).status_code == 200
    for refused in (
        send_pictures(clinician, lesion, ("b.jpg", second_jpeg)),
        clinician.post(f"{case}/impression", data=impression),
        clinician.post(f"{case}/signoff", data={"a": "b"}),
    ):
        assert refused.status_code == 409
        assert "The case is signed off" in _text(refused)
    assert clinician.post(f"{case}/reopen", data={"reason": " "}).status_code == 422
    page = clinician.post(f"{case}/reopen", data={"reason": "New <b>picture</b>"})
    assert "Opened again by clinician" in _text(page)
    assert "New <b>picture</b>" in _text(page)
    assert send_pictures(clinician, lesion, ("b.jpg", second_jpeg)).url.path == case
    assert _count(store, "images") == 2


def test_one_click_writes_down_and_signs_and_both_or_neither_happens(clinician, hiding, lesion_jpeg):
    case = new_case(clinician, ("a.jpg", lesion_jpeg))
    assert 'name="then"' not in clinician.get(case).text, "not while the answer is hidden: it is to be read first"
    first = {"diagnosis": "NV", "management": "follow-up", "text": "Regular."}
    page = clinician.post(f"{case}/impression", data=first)
    assert 'name="then" value="sign"' in page.text
    refused = clinician.post(f"{case}/impression", data={**first, "management": "shrug", "then": "sign"})
    assert refused.status_code == 422
    assert "Signed off" not in _text(refused)
    second = {"diagnosis": "MEL", "management": "excision", "then": "sign"}
    text = _text(clinician.post(f"{case}/impression", data=second))
    assert "Melanoma · Excision" in text
    assert "Signed off by clinician" in text
    assert "Awaits confirmation" in text


def test_a_confirmation_is_corrected_and_taken_back_and_nothing_is_overwritten(clinician, lesion_jpeg):
    case = new_case(clinician, ("a.jpg", lesion_jpeg))
    page = clinician.post(f"{case}/confirmation", data=FINDING)
    entry = re.search(r"\?correct=([0-9a-f-]{36})", page.text)[1]
    form = clinician.get(f"{case}?correct={entry}").text
    assert f'name="corrects_id" value="{entry}"' in form
    assert '<option value="MEL" selected>' in form
    own = {"diagnosis": "", "term": "Atypical fibroxanthoma", "malignancy": "malignant", "corrects_id": entry}
    page = clinician.post(f"{case}/confirmation", data={**FINDING, **own})
    text = _text(page)
    assert "Melanoma malignant corrected or taken back" in text
    assert "Atypical fibroxanthoma malignant correction" in text
    assert clinician.post(f"{case}/confirmation", data={**FINDING, "corrects_id": entry}).status_code == 409
    assert "Atypical fibroxanthoma, confirmed by" in _text(clinician.get(f"{case}/report"))
    latest = re.search(r"\?correct=([0-9a-f-]{36})", page.text)[1]
    assert clinician.post(f"{case}/confirmations/{latest}/retract", data={"reason": ""}).status_code == 422
    page = clinician.post(f"{case}/confirmations/{latest}/retract", data={"reason": "Wrong lesion"})
    assert "Entry taken back" in _text(page)
    assert "Wrong lesion" in _text(page)
    assert "confirmed by" not in _text(clinician.get(f"{case}/report"))


@pytest.mark.parametrize(
    "changes",
    [
        {"confirmed_on": ""},
        {"confirmation": ""},
        {"diagnosis": ""},
        {"diagnosis": "", "term": "Something"},
        {"diagnosis": "XYZ"},
        {"corrects_id": NOWHERE},
    ],
)
def test_a_confirmation_that_is_not_whole_is_asked_for_again(clinician, store, lesion_jpeg, changes):
    case = new_case(clinician, ("a.jpg", lesion_jpeg))
    answer = clinician.post(f"{case}/confirmation", data={**FINDING, "document": "H-1", **changes})
    assert answer.status_code == (404 if "corrects_id" in changes else 422)
    assert _count(store, "confirmations") == 0
    if answer.status_code == 422:
        assert 'value="H-1"' in answer.text


def test_script_in_every_field_stays_text(make_client, store, lesion_jpeg):
    client = make_client(role=Role.LEAD)
    client.post("/practice", data={"name": SCRIPT, "hide_answer_until_impression": "no"})
    case = new_case(client, (f"{SCRIPT}.jpg", lesion_jpeg), pseudonym=SCRIPT[:90], note=SCRIPT)
    page = client.get(case)
    patient, lesion = (re.search(f'href="(/{kind}/[0-9a-f-]{{36}})"', page.text)[1] for kind in ("patients", "lesions"))
    client.post(f"{lesion}/edit", data={"region": "", "label": SCRIPT[:90], "note": SCRIPT})
    client.post(f"{case}/impression", data={"diagnosis": "", "management": "biopsy", "text": SCRIPT})
    client.post(f"{case}/signoff", data={"a": "b"})
    client.post(f"{case}/reopen", data={"reason": SCRIPT})
    texts = dict.fromkeys(("term", "confirmed_by", "note", "document"), SCRIPT)
    client.post(f"{case}/confirmation", data={**FINDING, **texts})
    shown = [case, f"{case}/report", patient, f"{patient}/edit", f"{patient}/export", f"{patient}/delete", lesion]
    shown += [f"{lesion}/edit", f"{lesion}/visits/new", f"{patient}/lesions/new", "/worklist", "/practice"]
    seen = 0
    for path in (*shown, f"/worklist?search={SCRIPT[:20]}"):
        answer = client.get(path)
        assert answer.status_code == 200, path
        assert not re.search(r"<(?:script|img)[^>]*(?:alert|onerror)", answer.text), path
        seen += answer.text.count("&lt;script&gt;")
    assert seen > 15, "the test would not see the texts"
    refused = client.post("/patients/new", data={**FACTS, "pseudonym": SCRIPT, "birth_year": SCRIPT})
    assert refused.status_code == 422
    assert "<script>alert" not in refused.text


def test_a_viewer_sees_all_and_is_offered_nothing_to_change(make_client, clinician, lesion_jpeg):
    case = new_case(clinician, ("a.jpg", lesion_jpeg))
    viewer = make_client(role=Role.VIEWER)
    page = viewer.get(case)
    patient, lesion = (re.search(f'href="(/{kind}/[0-9a-f-]{{36}})"', page.text)[1] for kind in ("patients", "lesions"))
    for path in (case, patient, lesion, "/worklist"):
        page = viewer.get(path)
        assert page.status_code == 200
        forms = re.findall(r'<form[^>]*method="post"[^>]*action="([^"]*)"', page.text)
        assert all(action.startswith("/language/") for action in forms), path
        for offered in ("/new", "/edit", "/export", "/delete", "/practice"):
            assert f'{offered}"' not in page.text, (path, offered)
    for path in (f"{case}/impression", f"{case}/signoff", f"{case}/confirmation", f"{patient}/edit"):
        refused = viewer.post(path, data=FACTS)
        assert refused.status_code == 403
        assert "role_missing" in refused.text
    assert send_pictures(viewer, lesion, ("a.jpg", lesion_jpeg)).status_code == 403


def test_a_clinician_neither_exports_nor_deletes_nor_changes_the_practice(clinician, lesion_jpeg):
    patient = new_patient(clinician)
    for path in (f"{patient}/export", f"{patient}/delete", "/practice"):
        assert clinician.get(path).status_code == 403
        assert clinician.post(path, data={"reason": "x", "pseudonym": "P-0174"}).status_code == 403
    assert clinician.get(patient).status_code == 200


@pytest.mark.parametrize("wrong", [NOWHERE, "1", "x" * 200, "%2e%2e%2fetc", "%00", "ä", "' OR 1=1--"])
def test_ids_that_do_not_exist_are_not_found(make_client, wrong, lesion_jpeg):
    client = make_client(role=Role.LEAD)
    paths = [f"/patients/{wrong}", f"/patients/{wrong}/edit", f"/patients/{wrong}/export", f"/patients/{wrong}/delete"]
    paths += [f"/lesions/{wrong}", f"/lesions/{wrong}/visits/new", f"/cases/{wrong}", f"/cases/{wrong}/report"]
    paths += [f"/images/{wrong}", f"/images/{wrong}/small.jpg", f"/images/{wrong}/heatmap/{wrong}.png"]
    for path in paths:
        assert client.get(path).status_code == 404, path
    if "%" not in wrong:
        assert send_pictures(client, f"/lesions/{wrong}", ("a.jpg", lesion_jpeg)).status_code == 404
        assert client.post(f"/cases/{wrong}/confirmation", data=FINDING).status_code == 404
        assert client.post(f"/patients/{wrong}/delete", data={"reason": "x", "pseudonym": ""}).status_code == 404


def test_a_heatmap_is_of_its_own_picture_only(clinician, lesion_jpeg, second_jpeg):
    page = clinician.get(new_case(clinician, ("a.jpg", lesion_jpeg), ("b.jpg", second_jpeg)))
    (first, second), (heatmap, _) = _addresses(page)
    assert clinician.get(heatmap).status_code == 200
    assert clinician.get(heatmap.replace(first, second)).status_code == 404


def test_two_patients_cannot_have_one_pseudonym(clinician):
    new_patient(clinician)
    answer = clinician.post("/patients/new", data={**FACTS, "pseudonym": " p-0174", "note": "second"})
    assert answer.status_code == 409
    assert "Another patient has this pseudonym already" in _text(answer)
    assert "second</textarea>" in answer.text


def test_facts_are_changed_and_shown_as_they_are(clinician):
    patient = new_patient(clinician)
    assert '<option value="2" selected>II</option>' in clinician.get(f"{patient}/edit").text
    page = clinician.post(f"{patient}/edit", data={**FACTS, "birth_year": "", "sex": "", "skin_type": ""})
    assert "Year of birth not stated Sex not stated Skin type (Fitzpatrick) not stated" in _text(page)
    refused = clinician.post(f"{patient}/edit", data={**FACTS, "birth_year": "1066"})
    assert refused.status_code == 422
    assert 'value="1066"' in refused.text


def test_a_lesion_s_place_is_kept_changed_and_cleared(clinician, store):
    patient = new_patient(clinician)
    lesion = new_lesion(clinician, patient, region="front-chest-right", x="0.42", y="0.25")
    form = clinician.get(f"{lesion}/edit").text
    assert '<option value="front-chest-right" selected>' in form
    assert 'name="x" value="0.42"' in form
    # without a script the list changes, and the old point is sent along
    moved = {"region": "back-calf-left", "x": "0.42", "y": "0.25", "label": "", "note": ""}
    clinician.post(f"{lesion}/edit", data={**moved, "region": "back-lower-leg-left"})
    assert '<option value="back-lower-leg-left" selected>' in clinician.get(f"{lesion}/edit").text
    assert "Calf, left" in _text(clinician.get(lesion))
    assert clinician.post(f"{lesion}/edit", data={**moved, "region": "nowhere"}).status_code == 422
    clinician.post(f"{lesion}/edit", data={**moved, "region": ""})
    assert "Place not stated" in _text(clinician.get(lesion))


def test_the_worklist_filters_searches_sorts_and_goes_on(make_client, clinician, lesion_jpeg, blank_png, monkeypatch):
    monkeypatch.setattr("dermaloop.web.worklist_page._ON_A_PAGE", 2)
    for number in range(3):
        new_case(clinician, ("a.jpg", lesion_jpeg), pseudonym=f"A-{number}")
    new_case(clinician, ("b.png", blank_png), pseudonym="B-<1>")
    page = clinician.get("/worklist?order=newest")
    assert _names(page) == ["B-<1>", "A-2"]
    following = html.unescape(re.search(r'rel="next" href="([^"]+)"', page.text)[1])
    assert _names(clinician.get(following)) == ["A-1", "A-0"]
    assert _names(clinician.get("/worklist?order=oldest")) == ["A-0", "A-1"]
    assert _names(clinician.get("/worklist?search=b-")) == ["B-<1>"]
    assert _names(clinician.get("/worklist?state=declined")) == ["B-<1>"]
    assert "No assessment" in _text(clinician.get("/worklist?state=declined"))
    assert "Open 4" in _text(page)
    assert "Declined by the model 1" in _text(page)
    assert "No case here has a pseudonym" in _text(clinician.get("/worklist?search=zzz"))
    for wrong in ("state=all", "order=worst", "cursor=x", "cursor=" + "A" * 9):
        assert clinician.get(f"/worklist?{wrong}").status_code == 422, wrong


def _names(page):
    return [html.unescape(one) for one in re.findall(r'class="case-title"><a href="[^"]+">(.+?) · ', page.text)]


def test_the_list_says_what_the_case_s_page_says(clinician, toy_classifier, lesion_jpeg, second_jpeg):
    new_case(clinician, ("a.jpg", lesion_jpeg), ("b.jpg", second_jpeg))
    said = {toy_classifier.classify(one).decision.value for one in (lesion_jpeg, second_jpeg)}
    expected = "refer" if "refer" in said else "no_referral"
    assert f'<li class="case {expected}">' in clinician.get("/worklist").text


def test_an_answer_of_another_model_claims_no_figures_of_the_present_one(clinician, store, lesion_jpeg):
    case = new_case(clinician, ("a.jpg", lesion_jpeg))
    with store.database.engine.begin() as connection:
        triggers = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'trigger'").scalars().all()
        for name in triggers:
            connection.exec_driver_sql(f'DROP TRIGGER "{name}"')
        record = json.loads(connection.exec_driver_sql("SELECT record FROM predictions").scalar())
        record["bundle"] = "earlier@000000000000"
        connection.exec_driver_sql("UPDATE predictions SET record = ?", (json.dumps(record),))
    for path in (case, f"{case}/report"):
        text = _text(clinician.get(path))
        assert "Assessed by another model than the present one" in text
        assert "Sensitivity" not in text
        assert "about" not in text.partition("Diagnoses")[0]


def test_the_practice_is_changed_by_a_lead(make_client, store):
    client = make_client(role=Role.LEAD)
    page = client.post("/practice", data={"name": "Skin & Co", "hide_answer_until_impression": "yes"})
    assert "Saved." in _text(page)
    assert 'value="Skin &amp; Co"' in page.text
    assert 'value="yes" checked' in page.text
    refused = client.post("/practice", data={"name": "x" * 101, "hide_answer_until_impression": "no"})
    assert refused.status_code == 422
    assert "practice.changed" in _actions(store)


def test_a_record_is_exported_whole_and_noted(make_client, store, lesion_jpeg, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    client = make_client(role=Role.LEAD)
    page = client.get(new_case(client, ("a.jpg", lesion_jpeg)))
    patient = re.search(r'href="(/patients/[0-9a-f-]{36})"', page.text)[1]
    assert "1 lesion , 1 visit , 1 case" in _text(client.get(f"{patient}/export")).replace(",", " ,")
    answer = client.post(f"{patient}/export", data={"a": "b"})
    assert answer.headers["content-disposition"].startswith("attachment;")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as packed:
        assert packed.testzip() is None
        assert json.loads(packed.read("record.json"))
        assert [one for one in packed.namelist() if one.startswith("images/")]
    assert "patient.exported" in _actions(store)
    assert list(tmp_path.glob("dermaloop-export-*")) == [], "nothing of it stays"


def test_a_deletion_needs_the_pseudonym_and_a_reason_and_is_for_good(make_client, store, lesion_jpeg):
    client = make_client(role=Role.LEAD)
    case = new_case(client, ("a.jpg", lesion_jpeg))
    page = client.get(case)
    patient = re.search(r'href="(/patients/[0-9a-f-]{36})"', page.text)[1]
    picture = _addresses(page)[0][0]
    for wrong in ({"pseudonym": "P-9", "reason": "letter"}, {"pseudonym": "P-0174", "reason": " "}):
        refused = client.post(f"{patient}/delete", data=wrong)
        assert refused.status_code == 422
        assert client.get(case).status_code == 200
    answer = client.post(f"{patient}/delete", data={"pseudonym": "p-0174 ", "reason": "request by letter"})
    assert answer.url.path == "/worklist"
    assert "P-0174" not in answer.text
    for path in (patient, case, picture, f"{picture}/small.jpg"):
        assert client.get(path).status_code == 404, path
    assert list(store.images.entries()) == []


def test_every_page_speaks_german(make_client, store, lesion_jpeg):
    client = make_client(role=Role.LEAD)
    case = new_case(client, ("a.jpg", lesion_jpeg))
    page = client.get(case)
    patient, lesion = (re.search(f'href="(/{kind}/[0-9a-f-]{{36}})"', page.text)[1] for kind in ("patients", "lesions"))
    client.post(f"{case}/impression", data={"diagnosis": "MEL", "management": "biopsy", "text": ""})
    client.post(f"{case}/confirmation", data=FINDING)
    shown = [case, f"{case}/report", patient, f"{patient}/edit", f"{patient}/export", f"{patient}/delete", lesion]
    shown += [f"{lesion}/edit", f"{lesion}/visits/new", f"{patient}/lesions/new", "/worklist", "/practice"]
    for path in shown:
        text = _text(client.get(path, headers={"Accept-Language": "de"})).replace("drawn lesions", "")
        left = re.findall(r"\b(?:the|and|of|with|picture|pictures|not|by|lesion|case|patient's)\b", text)
        assert left == [], (path, left)


def test_the_toy_bundle_is_the_one_that_the_rows_name(clinician, store, lesion_jpeg, toy_classifier):
    new_case(clinician, ("a.jpg", lesion_jpeg))
    with store.database.engine.connect() as connection:
        known = connection.exec_driver_sql("SELECT bundle, bundle_sha256 FROM predictions").one()
    assert tuple(known) == (toy_classifier.bundle.identity, toy_classifier.bundle.sha256)


def test_a_patient_is_found_by_a_part_of_the_pseudonym_whether_a_case_is_open_or_not(
    clinician, lesion_jpeg, monkeypatch
):
    monkeypatch.setattr("dermaloop.web.patient_pages._ON_A_PAGE", 2)
    assert "No patient yet." in clinician.get("/patients").text
    new_case(clinician, ("a.jpg", lesion_jpeg), pseudonym="P-0001")
    for number in (2, 3):
        new_patient(clinician, pseudonym=f"P-000{number}", birth_year="")
    first = clinician.get("/patients")
    assert [_text(first).count(name) for name in ("P-0001", "P-0002", "P-0003")] == [0, 1, 1]
    (on,) = re.findall(r'rel="next" href="([^"]+)"', first.text)
    second = _text(clinician.get(html.unescape(on)))
    assert "P-0001 born 1957, female 1 lesion last visit Mar 1, 2026" in second
    assert "P-0002" not in second
    found = clinician.get("/patients?search=p-0002")
    assert "P-0002 female 0 lesions no visit yet" in _text(found)
    assert "P-0001" not in found.text
    assert "No patient has a pseudonym with these letters." in clinician.get("/patients?search=Q").text
    assert clinician.get("/patients?cursor=x").status_code == 422
    taken = clinician.post("/patients/new", data={**FACTS, "pseudonym": "p-0002"})
    assert taken.status_code == 409
    assert 'href="/patients?search=p-0002"' in taken.text, "the way to who has it"


def test_comparing_with_before_is_offered_only_where_there_is_a_before(clinician, lesion_jpeg, second_jpeg):
    lesion = new_lesion(clinician, new_patient(clinician))
    both = (("a.jpg", lesion_jpeg), ("b.jpg", second_jpeg))
    latest = send_pictures(clinician, lesion, *both, visited_on="2026-03-01").url.path
    assert "Compare with before" not in clinician.get(latest).text, "two pictures, one visit"
    first = send_pictures(clinician, lesion, both[0], visited_on="2026-01-05").url.path
    assert "Compare with before" in clinician.get(latest).text
    assert "Compare with before" not in clinician.get(first).text
