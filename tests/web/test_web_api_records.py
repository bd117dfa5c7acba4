"""Records over the API: made once however often they are sent, page by page, and hidden exactly as on the pages."""

import io
import json
import re
import threading
import time
import zipfile

import pytest

from dermaloop.cases.actor import system
from dermaloop.cases.idempotency import AnswerRow
from dermaloop.cases.practice import Practice, change_practice
from dermaloop.cases.roles import Role, Scope
from dermaloop.cases.worklist import Order
from dermaloop.core.synthetic import draw_lesion
from support.api import FINDING, PATIENT, bearer, get, new_case, new_lesion, post, upload
from support.hostile import save
from support.people import sign_in

NOWHERE = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def program(make_client, store):
    """A program of a lead's, with every scope."""
    client = make_client(role=None)
    client.headers.update(bearer(store, Role.LEAD))
    return client


@pytest.fixture(scope="module")
def second_jpeg():
    return save(draw_lesion(9, size_px=300), "JPEG")


@pytest.fixture
def hiding(store):
    """A practice that hides the answer until the impression is in."""
    with store.database.begin() as session:
        change_practice(session, system("test"), Practice("Skin practice", hide_answer_until_impression=True))


def _count(store, table):
    with store.database.engine.connect() as connection:
        return connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar()


def _problem(answer, status, code, field):
    assert answer.headers["content-type"] == "application/problem+json"
    found = answer.json()
    assert (answer.status_code, found["code"], found["field"]) == (status, code, field), found
    assert found["way_out"]
    assert found["detail"]
    return found


# -- sent twice -------------------------------------------------------------------------------------------------------


def test_a_retried_upload_makes_no_second_case_and_gets_the_same_answer(program, store, lesion_jpeg):
    lesion = new_lesion(program)
    key = {"Idempotency-Key": "upload-1"}
    files = ("Anna Muster.jpg", lesion_jpeg), ("Muster, born 1957.txt", b"x")
    answers = [upload(program, lesion, *files, headers=key) for _ in range(3)]

    assert [one["name"] for one in answers[0].json()["taken"]] == ["Anna Muster.jpg"]
    assert [one["name"] for one in answers[2].json()["refused"]] == ["Muster, born 1957.txt"]
    with store.database.read() as session:
        assert "Muster" not in session.query(AnswerRow).one().body, "a file's name may be a patient's"
    assert [one.status_code for one in answers] == [201] * 3
    assert answers[0].json() == answers[1].json() == answers[2].json()
    assert [one.headers.get("idempotent-replayed") for one in answers] == [None, "true", "true"]
    for table in ("cases", "visits", "images", "predictions", "kept_answers"):
        assert _count(store, table) == 1, table


def test_a_retry_is_not_classified_again(program, store, lesion_jpeg, monkeypatch):
    lesion = new_lesion(program)
    key = {"Idempotency-Key": "upload-1"}
    first = upload(program, lesion, ("a.jpg", lesion_jpeg), headers=key)
    monkeypatch.setattr("dermaloop.web.intake.predict", lambda *_: pytest.fail("it was classified again"))
    assert upload(program, lesion, ("a.jpg", lesion_jpeg), headers=key).json() == first.json()


def test_the_same_key_with_another_body_is_refused_and_makes_nothing(program, store, lesion_jpeg, second_jpeg):
    lesion, other = new_lesion(program), new_lesion(program, pseudonym="P-2")
    key = {"Idempotency-Key": "upload-1"}
    assert upload(program, lesion, ("a.jpg", lesion_jpeg), headers=key).status_code == 201
    for answer in (
        upload(program, lesion, ("a.jpg", second_jpeg), headers=key),
        upload(program, lesion, ("b.jpg", lesion_jpeg), headers=key),
        upload(program, lesion, ("a.jpg", lesion_jpeg), headers=key, data={"visited_on": "2026-03-02"}),
        upload(program, other, ("a.jpg", lesion_jpeg), headers=key),
        program.post("/api/v1/patients", json=PATIENT, headers=key),
    ):
        _problem(answer, 422, "idempotency_key_reused", "Idempotency-Key")
    assert _count(store, "images") == 1


def test_retries_at_the_same_moment_make_one_case(program, store, lesion_jpeg):
    lesion = new_lesion(program)
    start, answers = threading.Barrier(3), []

    def send():
        start.wait()
        answers.append(upload(program, lesion, ("a.jpg", lesion_jpeg), headers={"Idempotency-Key": "race"}))

    threads = [threading.Thread(target=send) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one.status_code for one in answers] == [201] * 3
    assert len({one.text for one in answers}) == 1
    assert sum("idempotent-replayed" in one.headers for one in answers) == 2
    assert _count(store, "images") == _count(store, "cases") == _count(store, "kept_answers") == 1


def test_every_entry_can_be_sent_twice_with_a_key(program, store, lesion_jpeg):
    case = new_case(program, ("a.jpg", lesion_jpeg))
    impression = {"management": "excision", "diagnosis": "MEL", "text": ""}
    for number, (path, body) in enumerate(
        (
            (f"/cases/{case}/impressions", impression),
            (f"/cases/{case}/signoff", None),
            (f"/cases/{case}/reopening", {"reason": "again"}),
            (f"/cases/{case}/confirmations", FINDING),
        )
    ):
        key = {"Idempotency-Key": f"entry-{number}"}
        assert post(program, path, body, headers=key) == post(program, path, body, headers=key), path
    confirmation = get(program, f"/cases/{case}")["confirmations"][0]["id"]
    path = f"/confirmations/{confirmation}/retraction"
    reason, key = {"reason": "wrong lesion"}, {"Idempotency-Key": "entry-9"}
    assert post(program, path, reason, headers=key) == post(program, path, reason, headers=key)
    assert _count(store, "impressions") == 1
    assert _count(store, "signoffs") == 2
    assert _count(store, "confirmations") == 2


def test_without_a_key_nothing_is_remembered_but_a_picture_is_still_not_taken_twice(program, store, lesion_jpeg):
    lesion = new_lesion(program)
    answers = [upload(program, lesion, ("a.jpg", lesion_jpeg)).json() for _ in range(2)]
    assert answers[0] == answers[1]
    assert _count(store, "images") == 1
    assert _count(store, "kept_answers") == 0


@pytest.mark.parametrize("key", ["", "x" * 201, "two words", "\u00fc"])
def test_a_key_that_cannot_be_used_is_refused(program, key):
    answer = program.post("/api/v1/patients", json=PATIENT, headers={"Idempotency-Key": key.encode()})
    _problem(answer, 422, "bad_parameter", "Idempotency-Key")


def test_where_no_file_can_be_read_nothing_is_made_and_each_is_told(program, store):
    answer = upload(
        program, new_lesion(program), ("a.txt", b"x"), ("b.pdf", b"%PDF-1.7"), headers={"Idempotency-Key": "k"}
    )
    found = _problem(answer, 422, "image", "pictures")
    assert "'a.txt'" in found["detail"]
    assert "'b.pdf'" in found["detail"]
    assert _count(store, "cases") == _count(store, "visits") == _count(store, "kept_answers") == 0


# -- hidden until the impression is in --------------------------------------------------------------------------------


def _answers_anywhere(program, case, lesion, prediction):
    """Everything that the API says where an answer could stand, as one text, and the refusals."""
    row = next(one for one in get(program, "/cases?order=suspicious")["cases"] if one["case"]["id"] == case)
    said = [
        row,
        get(program, f"/cases/{case}"),
        get(program, f"/lesions/{lesion}"),
        get(program, "/cases?declined=false"),
    ]
    refusals = [
        program.get(f"/api/v1{path}")
        for path in (f"/predictions/{prediction}", f"/predictions/{prediction}/heatmap", f"/cases/{case}/report")
    ]
    return json.dumps(said), refusals


def test_the_answer_is_hidden_everywhere_until_the_impression_is_in(program, hiding, store, lesion_jpeg):
    lesion = new_lesion(program)
    case = upload(program, lesion, ("a.jpg", lesion_jpeg)).json()["case_id"]
    with store.database.engine.connect() as connection:
        prediction, probability = connection.exec_driver_sql("SELECT id, malignant_probability FROM predictions").one()

    said, refusals = _answers_anywhere(program, case, lesion, prediction)
    assert str(probability)[:8] not in said
    assert prediction not in said
    assert '"suspicion": null' in said
    assert '"refer"' not in said
    for answer in refusals:
        assert "hidden" in _problem(answer, 409, "conflict", case)["detail"]

    impression = post(program, f"/cases/{case}/impressions", {"management": "no action", "diagnosis": "NV"})
    assert impression["timing"] == "before"
    said, answers = _answers_anywhere(program, case, lesion, prediction)
    assert str(probability)[:8] in said
    assert [answer.status_code for answer in answers] == [200] * 3


def test_what_a_program_fetched_in_somebody_s_name_that_person_has_seen(program, store, make_client, lesion_jpeg):
    """Else one could read the answer by a token and have the impression recorded as written before it."""
    case = new_case(program, ("a.jpg", lesion_jpeg))
    assert get(program, f"/cases/{case}")["predictions"]
    page = make_client(role=None)
    sign_in(page, Role.LEAD)
    page.post(f"/cases/{case}/impression", data={"diagnosis": "MEL", "management": "excision", "text": ""})
    assert get(program, f"/cases/{case}")["impressions"][0]["timing"] == "after"


def test_an_impression_by_a_program_lets_its_person_see_the_answer_and_nobody_else(
    program, hiding, store, make_client, lesion_jpeg
):
    case = new_case(program, ("a.jpg", lesion_jpeg))
    post(program, f"/cases/{case}/impressions", {"management": "no action", "diagnosis": "NV"})
    page = make_client(role=None)
    sign_in(page, Role.LEAD)
    assert "Probability of malignancy" in page.get(f"/cases/{case}").text
    program.headers.update(bearer(store, Role.CLINICIAN))
    assert get(program, f"/cases/{case}")["answer_hidden"]


# -- pages of a list --------------------------------------------------------------------------------------------------


def _all(program, path, name):
    found, cursor = [], None
    for _ in range(20):
        page = get(program, path + (f"&cursor={cursor}" if cursor else ""))
        found += page[name]
        cursor = page["next"]
        if cursor is None:
            return found
    raise AssertionError("the cursor does not lead on")


@pytest.mark.parametrize("order", list(Order))
def test_lists_come_page_by_page_whole(program, lesion_jpeg, order):
    made = [new_case(program, ("a.jpg", lesion_jpeg), pseudonym=f"P-{n}") for n in range(3)]
    rows = _all(program, f"/cases?limit=2&order={order}", "cases")
    assert sorted(row["case"]["id"] for row in rows) == sorted(made)
    assert [one["pseudonym"] for one in _all(program, "/patients?limit=2", "patients")] == ["P-2", "P-1", "P-0"]


def test_a_worklist_filters_by_state_search_and_patient(program, lesion_jpeg, blank_png):
    first = new_case(program, ("a.jpg", lesion_jpeg), pseudonym="Anna")
    declined = new_case(program, ("a.png", blank_png), pseudonym="Berta")
    post(program, f"/cases/{first}/impressions", {"management": "biopsy", "diagnosis": "MEL"})
    post(program, f"/cases/{first}/signoff")
    patient = get(program, f"/cases/{declined}")["patient"]["id"]
    for query, wanted in (
        ("state=awaiting", {first}),
        ("state=open", {declined}),
        ("declined=true", {declined}),
        ("search=ANN", {first}),
        (f"patient_id={patient}", {declined}),
        (f"patient_id={NOWHERE}", set()),
    ):
        assert {row["case"]["id"] for row in get(program, f"/cases?{query}")["cases"]} == wanted, query
    assert get(program, "/case-counts") == {"open": 1, "awaiting": 1, "done": 0, "declined": 1, "suggested": 0}


def test_a_wrong_cursor_or_filter_is_named(program):
    for query, code, field in (
        ("cursor=x", "invalid_record", "cursor"),
        ("limit=0", "bad_parameter", "limit"),
        ("limit=201", "bad_parameter", "limit"),
        ("state=lost", "bad_parameter", "state"),
        ("order=random", "bad_parameter", "order"),
    ):
        _problem(program.get(f"/api/v1/cases?{query}"), 422, code, field)
    _problem(program.get("/api/v1/patients?cursor=x"), 422, "invalid_record", "cursor")


def test_a_query_parameter_that_is_unknown_is_named_with_the_known(program):
    """`?statee=open` would give every case, and nobody would see why."""
    answer = program.get("/api/v1/cases?limit=1&statee=open&x=1")
    _problem(answer, 422, "bad_parameter", "statee")
    assert {"state", "cursor", "limit", "order"} <= set(re.findall(r"\w+", answer.json()["way_out"]))
    none = program.get("/api/v1/practice?%EF%BF%BD%00=1")
    _problem(none, 422, "bad_parameter", "\ufffd\0")
    assert none.json()["way_out"] == "Leave it out: it knows none."
    assert program.get("/healthz?from=probe").status_code == 200, "no route of the API"
    assert program.get("/api/v1/cases?statee=open", headers={"Authorization": ""}).status_code == 401


def test_the_description_says_so_at_every_address(program):
    (document,) = [program.get("/api/openapi.json").json() for _ in range(2)][1:]
    assert document["info"]["description"].count("A query parameter that an address does not know is refused") == 1
    silent = [
        path
        for path, methods in document["paths"].items()
        if path.startswith("/api/v1/")
        for operation in methods.values()
        if "422" not in operation["responses"]
    ]
    assert silent == []


# -- screening lists --------------------------------------------------------------------------------------------------


def _assessed(program, screening):
    for _ in range(3600):
        found = get(program, f"/screenings/{screening}")
        if not found["waiting"]:
            return found
        time.sleep(0.05)
    raise AssertionError("the list is not worked off")


def test_a_list_is_made_once_filled_assessed_read_and_deleted(program, store, lesion_jpeg, second_jpeg, blank_png):
    key = {"Idempotency-Key": "list"}
    made = [post(program, "/screenings", {"name": "Camera 2"}, headers=key) for _ in range(2)]
    assert made[0] == made[1]
    screening = made[0]["id"]
    files = [("a.jpg", lesion_jpeg), ("b.jpg", second_jpeg), ("c.png", blank_png), ("d.txt", b"no picture")]
    for _ in range(2):
        answer = program.post(f"/api/v1/screenings/{screening}/pictures", files=[("pictures", one) for one in files])
        assert answer.status_code == 200, answer.text
        assert answer.json()["arrived"] == 4
    found = _assessed(program, screening)
    assert (found["declined"], found["failed"], found["refer"] + found["below"]) == (1, 1, 2)

    rows = _all(program, f"/screenings/{screening}/pictures?limit=3&order=arrival", "pictures")
    assert [row["name"] for row in rows] == [name for name, _ in files]
    assert [row["result"]["status"] for row in rows] == ["assessed", "assessed", "abstained", "unreadable"]
    (failed,) = get(program, f"/screenings/{screening}/pictures?show=failed")["pictures"]
    assert (failed["name"], failed["result"]["reasons"][0]["code"]) == ("d.txt", "not_an_image")
    _problem(program.get(f"/api/v1/screenings/{screening}/pictures?cursor=-1"), 422, "invalid_record", "cursor")

    assert program.post(f"/api/v1/screenings/{screening}/stop").json()["cancelled_at"]
    refused = program.post(f"/api/v1/screenings/{screening}/pictures", files=[("pictures", ("e.jpg", lesion_jpeg))])
    _problem(refused, 409, "conflict", screening)
    assert program.post(f"/api/v1/screenings/{screening}/resume").json()["cancelled_at"] is None
    assert [one["id"] for one in get(program, "/screenings")["screenings"]] == [screening]

    program.headers.update(bearer(store, Role.CLINICIAN))
    assert program.post(f"/api/v1/screenings/{screening}/deletion").json()["code"] == "role_missing"
    program.headers.update(bearer(store, Role.LEAD))
    assert program.post(f"/api/v1/screenings/{screening}/deletion").json() == {"images_removed": 3}
    _problem(program.get(f"/api/v1/screenings/{screening}"), 404, "record_not_found", screening)
    with store.database.engine.connect() as connection:
        assert "Camera 2" not in "".join(connection.connection.driver_connection.iterdump())
    again = program.post("/api/v1/screenings", json={"name": "Camera 2"}, headers=key)
    _problem(again, 404, "record_not_found", screening)


# -- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "code", "field"),
    [
        ({}, "bad_parameter", "pseudonym"),
        ({**PATIENT, "name": "Jane Doe"}, "bad_parameter", "name"),
        ({**PATIENT, "birth_year": "1957"}, "bad_parameter", "birth_year"),
        ({**PATIENT, "birth_year": 1900}, "invalid_record", "birth_year"),
        ({**PATIENT, "skin_type": 7}, "bad_parameter", "skin_type"),
        ({**PATIENT, "sex": "f"}, "bad_parameter", "sex"),
        ({**PATIENT, "pseudonym": " "}, "invalid_record", "pseudonym"),
        ({**PATIENT, "note": "\u0000"}, "invalid_record", "note"),
        ({**PATIENT, "note": "x" * 10_001}, "bad_parameter", "note"),
        ([], "bad_parameter", "body"),
        (None, "bad_parameter", "body"),
    ],
)
def test_an_entry_that_cannot_be_kept_names_its_field(program, store, entry, code, field):
    answer = program.post("/api/v1/patients", json=entry)
    found = _problem(answer, 422, code, field)
    assert "Jane Doe" not in found["detail"] or field == "name"
    assert _count(store, "patients") == 0


@pytest.mark.parametrize(
    "body", [b"{", b"\xff", b'{"pseudonym": "x"', b"[" * 100_000, b'{"birth_year": 1' + b"0" * 5000 + b"}"]
)
def test_what_is_no_json_is_a_malformed_request(program, body):
    answer = program.post("/api/v1/patients", content=body, headers={"Content-Type": "application/json"})
    assert answer.json()["code"] == "malformed_request"
    assert answer.status_code == 400


def test_a_refusal_never_repeats_a_body(program):
    answer = program.post("/api/v1/patients", json={"note": "Jane Doe, born in Linz"})
    assert "Jane" not in answer.text
    half = program.post(
        "/api/v1/patients", content=b'{"pseudonym": "x", "\\ud800": 1}', headers={"Content-Type": "application/json"}
    )
    _problem(half, 422, "bad_parameter", "body")


@pytest.mark.parametrize(
    ("entry", "field"),
    [
        ({"view": "front"}, "body"),
        ({"view": "front", "x": 0.5, "y": 1.5}, "y"),
        ({"site": "moon"}, "site"),
        ({"view": "side", "x": 0.5, "y": 0.5}, "view"),
    ],
)
def test_a_place_on_the_body_is_whole_and_known(program, entry, field):
    patient = post(program, "/patients", PATIENT)["id"]
    answer = program.post(f"/api/v1/patients/{patient}/lesions", json=entry)
    assert answer.status_code == 422
    assert answer.json()["field"] == field


def test_a_taken_pseudonym_and_a_signed_case_are_conflicts(program, lesion_jpeg, second_jpeg):
    case = new_case(program, ("a.jpg", lesion_jpeg))
    _problem(program.post("/api/v1/patients", json=PATIENT), 409, "conflict", "pseudonym")
    _problem(program.post(f"/api/v1/cases/{case}/signoff"), 409, "conflict", case)
    post(program, f"/cases/{case}/impressions", {"management": "no action", "diagnosis": "NV"})
    post(program, f"/cases/{case}/signoff")
    lesion = get(program, f"/cases/{case}")["lesion"]["id"]
    _problem(upload(program, lesion, ("b.jpg", second_jpeg)), 409, "conflict", case)


def test_a_patient_is_deleted_only_by_the_right_pseudonym_and_with_what_was_kept(program, store, lesion_jpeg):
    lesion = new_lesion(program)
    upload(program, lesion, ("a.jpg", lesion_jpeg), headers={"Idempotency-Key": "k"})
    patient = get(program, "/patients")["patients"][0]["id"]
    wrong = program.post(f"/api/v1/patients/{patient}/deletion", json={"pseudonym": "P-01", "reason": "letter"})
    _problem(wrong, 422, "invalid_record", "pseudonym")
    right = program.post(f"/api/v1/patients/{patient}/deletion", json={"pseudonym": "p-0174", "reason": "letter"})
    assert right.json() == {"images_removed": 1}
    assert _count(store, "kept_answers") == 0
    assert get(program, "/patients")["patients"] == []
    _problem(program.get(f"/api/v1/lesions/{lesion}"), 404, "record_not_found", lesion)


def test_an_export_is_the_same_zip_as_the_page_s(program, lesion_jpeg):
    new_case(program, ("a.jpg", lesion_jpeg))
    patient = get(program, "/patients")["patients"][0]["id"]
    answer = program.get(f"/api/v1/patients/{patient}/export")
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["content-disposition"].startswith("attachment")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as packed:
        record = json.loads(packed.read("record.json"))
    assert record["patient"]["pseudonym"] == "P-0174"


def test_the_practice_is_read_by_all_and_changed_by_leads(program, store):
    wanted = {**get(program, "/practice"), "name": "Skin", "hide_answer_until_impression": True}
    assert program.put("/api/v1/practice", json=wanted).json() == wanted
    assert get(program, "/practice") == wanted
    program.headers.update(bearer(store, Role.CLINICIAN, [Scope.CASES_READ, Scope.CASES_WRITE]))
    assert get(program, "/practice") == wanted
    _problem(program.put("/api/v1/practice", json=wanted), 403, "scope_missing", "practice:write")


def test_a_token_tells_what_it_is_and_a_browser_has_none(make_client, store):
    client = make_client(role=None)
    client.headers.update(bearer(store, Role.VIEWER, [Scope.CLASSIFY]))
    found = get(client, "/token")
    assert found["scopes"] == ["classify"]
    assert found["role"] == found["account"] == "viewer"
    assert "dermaloop_" not in json.dumps(found)
    assert make_client().get("/api/v1/token").json()["code"] == "not_found"
