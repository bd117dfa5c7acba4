"""What the server writes about its work: a line per request, and in none of them a word of a patient's."""

import asyncio
import io
import json
import logging
import re
import warnings
from contextlib import contextmanager

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from dermaloop.cases import patients
from dermaloop.cases.roles import Role, Scope
from dermaloop.web import logs
from dermaloop.web.access import stated
from dermaloop.web.app import MOUNTS, create_app
from dermaloop.web.observe import HEADER, NO_ROUTE
from dermaloop.web.settings import Settings
from support.people import add_account, begin, carry, make_token
from support.visits import FINDING, new_case, new_lesion, new_patient, send_pictures

SECRET = "Zebulon-Quetzal"
ADDRESS = "203.0.113.77"
KEYS = {"at", "level", "logger", "message", "request_id", *logs.FIELDS}
OPTIONAL = {"exc_info", "taskName"}


@contextmanager
def _written(kind):
    """What is logged meanwhile; the process's loggers are as before afterwards."""
    root = logging.getLogger()
    ours = logging.getLogger("dermaloop")
    kept = root.handlers[:], root.level, ours.level
    stream = io.StringIO()
    logs.set_up(kind, stream)
    try:
        yield stream
    finally:
        logging.captureWarnings(capture=False)
        root.handlers[:] = kept[0]
        root.setLevel(kept[1])
        ours.setLevel(kept[2])


@pytest.fixture
def app(toy_classifier, store):
    return create_app(Settings(), toy_classifier, store)


@pytest.fixture
def client(app):
    with TestClient(
        app, base_url="http://127.0.0.1:8000", client=(ADDRESS, 50000), raise_server_exceptions=False
    ) as it:
        yield it


def _person(app, client, store):
    account = add_account(store, Role.ADMIN, SECRET)
    carry(client, begin(app, account))
    client.headers["User-Agent"] = SECRET
    return account


def _lines(stream):
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def _leaks(text):
    """Whatever of the marks stands in a text, in any case and also as browsers encode it."""
    marks = (SECRET, "zebulon", "quetzal", ADDRESS, "dermaloop_")
    return [mark for mark in marks if mark.lower() in re.sub(r"dermaloop_(?!\w{20})", "", text.lower())]


def _everything(client, routes):
    """Sends something to every route by every method, with the mark wherever a text can stand; gives how many."""
    count = 0
    texts = {"pseudonym": SECRET, "note": SECRET, "name": SECRET}
    for one in routes:
        path = re.sub(r"\{\w+\}", SECRET, one.path)
        body = {"json": texts} if path.startswith("/api/") else {"data": texts}
        if one.access.upload:
            body = {"data": texts, "files": [("pictures", (f"{SECRET}.jpg", SECRET.encode()))]}
        for method in one.methods:
            # The API refuses what it does not know before it does anything.
            query = "" if path.startswith("/api/") else f"?search={SECRET}&next={SECRET}"
            client.request(method, path + query, follow_redirects=False, **body)
            count += 1
    return count


def test_no_request_writes_a_name_a_note_a_file_name_or_an_address(app, client, store, lesion_jpeg, monkeypatch):
    routes = list(stated(app.routes, MOUNTS))
    sign_outs = [one for one in routes if "signout" in one.path]
    routes = [one for one in routes if one not in sign_outs]
    with _written("json") as stream:
        for path in (f"/cases/{SECRET}", f"/enter/{SECRET}", f"/signin?next=/{SECRET}"):
            client.get(path)
        client.post("/signin", data={"name": SECRET, "password": SECRET})
        account = _person(app, client, store)
        sent = _everything(client, routes)
        token = make_token(store, account, [Scope.CASES_READ, Scope.CASES_WRITE, Scope.CLASSIFY])
        carry(client, begin(app, account))
        told = len(_lines(stream))
        case = new_case(client, (f"{SECRET}.jpg", lesion_jpeg), pseudonym=f"{SECRET} 1", note=SECRET)
        client.post(f"{case}/impression", data={"management": "excision", "diagnosis": "MEL", "text": SECRET})
        client.post(f"{case}/confirmation", data={**FINDING, "note": SECRET, "confirmed_by": SECRET})
        lesion = new_lesion(client, new_patient(client, pseudonym=f"{SECRET} 2"), label=SECRET)
        send_pictures(client, lesion, (f"{SECRET}.png", b"no picture"))
        client.get(case)
        client.get("/worklist", params={"search": SECRET})
        client.get("/api/v1/cases", params={SECRET: SECRET})
        client.get(f"/{SECRET}")
        client.request(SECRET.replace("-", "").upper(), "/")
        client.post("/assess", files=[("pictures", (f"{SECRET}.jpg", lesion_jpeg))])
        for path in ("/api/v1/patients", "/metrics", "/api/v1/cases"):
            client.get(path, headers={"Authorization": f"Bearer {token}", "Cookie": ""}, params={"search": SECRET})
        assert len(_lines(stream)) > told + 15

        def broken(session, *_):
            raise ValueError(f"could not convert {SECRET!r}")

        monkeypatch.setattr(patients, "show_patient", broken)
        assert client.get(case.replace("cases", "patients")).status_code == 500

        def refused(session, *_):
            session.execute(sa.text("INSERT INTO patients (id) VALUES (:note)"), {"note": SECRET})

        monkeypatch.setattr(patients, "show_patient", refused)
        assert client.get(f"/patients/{SECRET}").status_code == 500
    text, lines = stream.getvalue(), _lines(stream)
    assert _leaks(text) == []
    assert len([one for one in lines if one["logger"] == logs.REQUESTS.name]) > sent
    assert all(set(one) >= KEYS or one["logger"] != logs.REQUESTS.name for one in lines)
    assert {key for one in lines for key in one} <= KEYS | OPTIONAL
    defects = [one["exc_info"] for one in lines if "exc_info" in one]
    assert any("builtins.ValueError, raised in" in one and "test_web_logs.py" in one for one in defects)
    assert any("IntegrityError" in one for one in defects), "what broke and where is told; with what, is not"
    known = {one.path for one in stated(app.routes, MOUNTS)} | {NO_ROUTE}
    assert {one["route"] for one in lines if one["logger"] == logs.REQUESTS.name} <= known
    assert {one["method"] for one in lines if one["logger"] == logs.REQUESTS.name} >= {"GET", "POST", "other"}


def test_a_line_says_who_where_how_long_and_why_not(app, client, store):
    with _written("json") as stream:
        answer = client.get("/cases/00000000-0000-4000-8000-000000000000", follow_redirects=False)
        account = _person(app, client, store)
        client.get("/cases/00000000-0000-4000-8000-000000000000")
    nobody, person = (one for one in _lines(stream) if one["logger"] == logs.REQUESTS.name)
    assert nobody["request_id"] == answer.headers[HEADER]
    assert (nobody["actor"], nobody["problem"], nobody["status"]) == (None, "not_signed_in", 303)
    assert person["message"] == "GET /cases/{case_id} 404"
    assert (person["actor_kind"], person["actor"]) == ("account", account.id)
    assert person["problem"] == "record_not_found"
    assert person["duration_ms"] > 0
    assert person["level"] == "INFO"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+\+00:00", person["at"])


def test_as_text_it_is_one_line_and_as_warnings_none(client):
    with _written("text") as stream:
        client.get("/healthz")
    (line,) = stream.getvalue().splitlines()
    assert re.match(r"\S+Z INFO dermaloop\.requests request_id=\S+ method=GET route=/healthz status=200 dur", line)
    with _written("warnings") as stream:
        client.get("/healthz")
        logging.getLogger("dermaloop.web").warning("the disk is %s", "full")
    assert re.search(r"WARNING dermaloop\.web the disk is full$", stream.getvalue().strip())
    assert len(stream.getvalue().splitlines()) == 1


def test_of_a_library_s_line_only_the_fixed_text_is_written():
    async def forgotten():
        asyncio.get_running_loop().call_exception_handler({"message": "a task failed", "exception": ValueError(SECRET)})

    with _written("json") as stream:
        logging.getLogger("some.library").warning("cannot read %r", SECRET)
        asyncio.run(forgotten())
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn(SECRET, stacklevel=1)
    first, second, third = _lines(stream)
    assert first["message"] == "cannot read %r"
    assert second["message"] == "a task failed"
    assert "ValueError" in second["exc_info"]
    assert third["logger"] == "py.warnings"
    assert re.fullmatch(r".*test_web_logs\.py:\d+: UserWarning", third["message"])
    assert SECRET not in stream.getvalue()


def test_the_causes_of_an_error_are_followed_and_none_is_quoted():
    def fails():
        raise KeyError(SECRET)

    try:
        try:
            fails()
        except KeyError as error:
            raise ValueError(SECRET) from error
    except ValueError as error:
        told = logs.where_raised(error)
    assert [line.partition(",")[0] for line in told.splitlines() if "raised in" in line] == [
        "builtins.ValueError",
        "builtins.KeyError",
    ]
    assert SECRET not in told
    assert logs.where_raised(None) == ""
