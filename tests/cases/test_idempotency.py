"""Answers kept by key: given again, refused to another request, gone with time and with the patient."""

import base64
import threading
from datetime import timedelta

import pytest
import sqlalchemy as sa

from dermaloop.cases import audit_list, idempotency, patient_list, patients
from dermaloop.cases.actor import Actor
from dermaloop.cases.deletion import delete_patient
from dermaloop.cases.errors import InvalidRecordError
from dermaloop.cases.idempotency import AnswerRow, KeptAnswer, KeyReusedError

ASKED = "a" * 64
OTHER = Actor("account", "22222222-2222-4222-8222-222222222222", "Dr. Eve Example")


def _make(session, actor, key="k", asked=ASKED, pseudonym="P-1"):
    """What a route does: the answer that is there, or a patient and the answer about them."""
    known = idempotency.repeat_answer(session, actor, key, asked)
    if known is not None:
        return known
    made = patients.make_patient(session, actor, pseudonym=pseudonym)
    idempotency.keep_answer(session, actor, key, asked, status=201, body=made.id, patient_id=made.id)
    return KeptAnswer(201, made.id)


def _count(database, table):
    with database.read() as session:
        return session.scalar(sa.select(sa.func.count()).select_from(table))


def test_the_same_request_gets_the_same_answer_and_that_is_noted(database, actor):
    answers = []
    for _ in range(3):
        with database.begin() as session:
            answers.append(_make(session, actor))
    assert len(set(answers)) == 1
    with database.read() as session:
        done = [entry.action for entry in audit_list.entries(session)[0]]
    assert done == ["request.repeated", "request.repeated", "patient.made"]


def test_another_request_with_the_key_is_refused(database, actor):
    with database.begin() as session:
        _make(session, actor)
    with database.begin() as session, pytest.raises(KeyReusedError, match="something else") as refused:
        _make(session, actor, asked="b" * 64)
    assert refused.value.where == "Idempotency-Key"
    assert refused.value.way_out


def test_two_people_may_use_one_key_and_two_tokens_of_one_person_are_one(database, actor):
    tokens = [Actor("token", f"{n}" * 36, "Ada / program", None, actor.id) for n in (3, 4)]
    with database.begin() as session:
        first = _make(session, actor)
        assert _make(session, OTHER, pseudonym="P-2") != first
        assert [_make(session, token) for token in tokens] == [first, first]


def test_an_answer_expires_and_is_then_forgotten(database, actor, monkeypatch):
    with database.begin() as session:
        _make(session, actor)
    later = idempotency.now() + idempotency.LIFETIME + timedelta(seconds=1)
    monkeypatch.setattr(idempotency, "now", lambda: later)
    with database.begin() as session:
        assert idempotency.find_answer(session, actor, "k", "b" * 64) is None
        idempotency.keep_answer(session, actor, "k", "b" * 64, status=201, body="new", patient_id=None)
        assert idempotency.find_answer(session, actor, "k", "b" * 64) == KeptAnswer(201, "new")
    assert _count(database, AnswerRow) == 1


def test_what_is_rolled_back_keeps_no_answer(database, actor):
    def fail():
        with database.begin() as session:
            _make(session, actor)
            raise RuntimeError("after it")

    with pytest.raises(RuntimeError, match="after it"):
        fail()
    assert _count(database, AnswerRow) == 0
    with database.begin() as session:
        assert _make(session, actor).status == 201


def test_retries_at_the_same_moment_make_one(database, actor):
    start, answers = threading.Barrier(6), []

    def retry():
        start.wait()
        with database.begin() as session:
            answers.append(_make(session, actor))

    threads = [threading.Thread(target=retry) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 6
    assert len(set(answers)) == 1
    assert _count(database, AnswerRow) == _count(database, patients.PatientRow) == 1


def test_an_answer_goes_with_its_patient(embedded, actor):
    with embedded.database.begin() as session:
        made = _make(session, actor, pseudonym="Jane Secret")
    delete_patient(embedded, actor, made.body, reason="request")
    assert _count(embedded.database, AnswerRow) == 0


# -- the list of patients ---------------------------------------------------------------------------------------------


def _listed(session, actor, limit, **wanted):
    found, cursor = [], None
    for _ in range(50):
        page = patient_list.list_patients(session, actor, cursor=cursor, limit=limit, **wanted)
        found += [one.pseudonym for one in page.patients]
        cursor = page.cursor
        if cursor is None:
            return found
    raise AssertionError("the cursor does not lead on")


@pytest.mark.parametrize("limit", [1, 2, 5, 200])
def test_pages_of_patients_neither_repeat_nor_skip(database, actor, limit):
    with database.begin() as session:
        names = [f"P-{number}" for number in range(5)]
        for name in names:
            patients.make_patient(session, actor, pseudonym=name)
        assert _listed(session, actor, limit) == names[::-1]
        assert _listed(session, actor, limit, search="p-3") == ["P-3"]
        assert _listed(session, actor, limit, search="%") == []


def test_a_deleted_patient_is_not_listed(embedded, actor):
    with embedded.database.begin() as session:
        gone = patients.make_patient(session, actor, pseudonym="gone")
        patients.make_patient(session, actor, pseudonym="there")
    delete_patient(embedded, actor, gone.id, reason="request")
    with embedded.database.begin() as session:
        assert _listed(session, actor, 10) == ["there"]


@pytest.mark.parametrize("cursor", ["", "x", "é", "bnVsbA==", "WzEsMl0=", "WyJ4IiwieSJd", "WyIyMDI2LTAxLTAxIiwieSJd"])
def test_a_cursor_that_was_not_given_is_refused(database, actor, cursor):
    with database.begin() as session, pytest.raises(InvalidRecordError, match="cursor") as refused:
        patient_list.list_patients(session, actor, cursor=cursor)
    assert refused.value.where == "cursor"


def test_a_cursor_says_nothing_of_anybody(database, actor):
    with database.begin() as session:
        for name in ("Jane", "Joan"):
            patients.make_patient(session, actor, pseudonym=name)
        page = patient_list.list_patients(session, actor, limit=1)
    assert b"J" not in base64.urlsafe_b64decode(page.cursor)
