"""Every route, as every role, by token of each scope, and as nobody; and what a request by cookie must bring."""

import re

import pytest
from fastapi import APIRouter, FastAPI
from starlette.routing import Route

from dermaloop.cases import accounts
from dermaloop.cases.actor import system
from dermaloop.cases.roles import NEEDS, Role, Scope
from dermaloop.web.access import Access, allow, public, require_stated, stated
from dermaloop.web.app import MOUNTS
from dermaloop.web.errors import STATUS
from support.people import add_account, make_token, sign_in

NOWHERE = "00000000-0000-4000-8000-000000000000"
REFUSED = {"not_signed_in", "bad_token", "role_missing", "scope_missing", "stale_form"}


@pytest.fixture
def app(make_client):
    return make_client(role=None).app


@pytest.fixture
def routes(app):
    return list(stated(app.routes, MOUNTS))


def _address(path):
    """An address that the route answers to, with nothing behind it."""
    return (
        re.sub(r"\{\w*id\}", NOWHERE, path).replace("{name}", "even").replace("{code}", "en").replace("{secret}", "x")
    )


def _send(client, method, path, **more):
    """The code of the refusal, or the status of the answer: whether a request got past the door."""
    answer = client.request(method, _address(path), follow_redirects=False, **more)
    if answer.headers.get("content-type") == "application/problem+json":
        code = answer.json()["code"]
    else:
        code = (re.findall(r'· (\w+)</p>|data-code="(\w+)"', answer.text) or [("", "")])[0]
        code = "".join(code)
    if answer.status_code == 303 and answer.headers["location"].startswith("/signin?next="):
        code = "not_signed_in"
    if answer.status_code == 303 and answer.headers["location"] == "/signin" and path == "/":
        code = "not_signed_in"
    assert answer.status_code < 500, (method, path, answer.text[:300])
    return code if code in REFUSED else answer.status_code


def test_every_route_states_who_may_use_it(routes):
    assert len(routes) >= 25
    silent = [one.path for one in routes if one.access is None]
    assert silent == []
    for one in routes:
        assert one.access.role is not None or one.access.reason


def test_what_is_public_is_known_here_by_name(routes):
    """A new public route has to be added here too: nobody makes one by accident."""
    assert {one.path for one in routes if one.access.role is None} == {
        "/api/openapi.json",
        "/enter/{secret}",
        "/healthz",
        "/invitation/{secret}",
        "/language/{code}",
        "/phone/{secret}",
        "/phone/{secret}/part",
        "/readyz",
        "/signin",
        "/static",
    }


def test_an_application_with_a_silent_route_is_not_served():
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)

    @app.get("/stated", dependencies=[public("a test")])
    def fine():
        return "fine"

    require_stated(app.routes, {})
    router = APIRouter(prefix="/inner")

    @router.get("/silent")
    def silent():
        return "silent"

    app.include_router(router)
    with pytest.raises(AssertionError, match="/inner/silent"):
        require_stated(app.routes, {})


def test_a_plain_route_or_a_mount_that_nobody_gave_a_reason_for_is_silent_too():
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, routes=[Route("/plain", lambda request: None)])
    app.mount("/files", lambda scope, receive, send: None)
    assert [(one.path, one.access) for one in stated(app.routes, {})] == [("/plain", None), ("/files", None)]
    assert [one.access for one in stated(app.routes, {"/files": "a test"})][1] == Access(reason="a test")


def test_nobody_gets_past_the_door(app, routes, make_client):
    client = make_client(role=None)
    for one in routes:
        for method in one.methods:
            got = _send(client, method, one.path)
            if one.access.role is not None:
                assert got == "not_signed_in", (method, one.path)
            else:
                assert got not in REFUSED or (got == "stale_form" and one.access.form), (method, one.path)


@pytest.mark.parametrize("role", list(Role))
def test_each_role_gets_as_far_as_the_route_says(routes, make_client, role):
    client = make_client(role=None)
    for one in routes:
        for method in one.methods:
            sign_in(client, role)  # anew each time: some routes sign out
            got = _send(client, method, one.path)
            allowed = one.access.role is None or role.covers(one.access.role)
            if allowed:
                assert got not in REFUSED, (role, method, one.path, got)
            else:
                assert got == "role_missing", (role, method, one.path, got)


@pytest.mark.parametrize("role", [Role.VIEWER, Role.ADMIN])
def test_a_token_gets_as_far_as_scope_and_role_say(routes, make_client, store, role):
    """Each route by a token of just its scope, and by one of every scope but that: no other opens it either."""
    client = make_client(role=None)
    account = add_account(store, Role.ADMIN, "programmer")
    secrets = {}
    for scope in Scope:
        secrets[scope, True] = make_token(store, account, [scope])
        secrets[scope, False] = make_token(store, account, [one for one in Scope if one is not scope])
    secrets[None, False] = make_token(store, account, list(Scope))
    with store.database.begin() as transaction:
        accounts.create(transaction, system("test"), "another", Role.ADMIN)
        accounts.set_role(transaction, system("test"), account.id, role)
    assert set(NEEDS) == set(Scope)
    for one in routes:
        if one.access.role is None:
            continue
        for method in one.methods:
            if one.access.any_scope:
                spare = make_token(store, account, [Scope.CLASSIFY])  # it may end itself
                got = _send(client, method, one.path, headers={"Authorization": f"Bearer {spare}"})
                assert got not in REFUSED, (method, one.path, got)
                continue
            others = {"Authorization": f"Bearer {secrets[one.access.scope, False]}"}
            assert _send(client, method, one.path, headers=others) == "scope_missing", (method, one.path)
            if one.access.scope is None:
                continue
            own = {"Authorization": f"Bearer {secrets[one.access.scope, True]}"}
            got = _send(client, method, one.path, headers=own)
            if role.covers(one.access.role):
                assert got not in REFUSED, (one.access.scope, method, one.path, got)
            else:
                assert got == "role_missing", (one.access.scope, method, one.path, got)


def test_no_route_needs_a_scope_that_its_role_could_not_give(routes):
    for one in routes:
        if one.access.scope is not None:
            assert one.access.role.covers(NEEDS[one.access.scope]), one.path


@pytest.mark.parametrize("token", ["", "0" * 64, "x", "ä", "none"])
def test_what_changes_anything_needs_the_form_s_token(routes, make_client, token):
    client = make_client(role=None)
    sign_in(client, Role.ADMIN)
    del client.headers["X-Form-Token"]
    for one in routes:
        if one.access.role is None or "POST" not in one.methods:
            continue
        body = {} if token == "none" else {"form_token": token}
        if one.access.upload:
            files = [("pictures", ("a.jpg", b"x"))]
            got = _send(client, "POST", one.path, data=body, files=files)
        else:
            got = _send(client, "POST", one.path, data=body)
        assert got == "stale_form", one.path
    assert client.get("/account").status_code == 200, "and it has signed nobody out"


def test_the_token_of_another_browser_will_not_do(make_client):
    first, second = make_client(), make_client()
    token = second.headers["X-Form-Token"]
    assert token != first.headers["X-Form-Token"]
    refused = first.post("/account/signout-everywhere", headers={"X-Form-Token": token})
    assert refused.status_code == 403
    assert "stale_form" in refused.text


def test_a_multipart_body_stands_in_for_a_form_only_where_pictures_are_taken(make_client):
    client = make_client()
    token = client.headers.pop("X-Form-Token")
    answer = client.post("/signout", data={"form_token": token}, files=[("pictures", ("a.jpg", b"x"))])
    assert answer.status_code == 403


def test_pictures_are_not_read_before_the_form_s_token_was_right(make_client, lesion_jpeg, monkeypatch):
    client = make_client()
    token = client.headers.pop("X-Form-Token")
    files = [("pictures", ("a.jpg", lesion_jpeg))]
    assert client.post("/assess", data={"form_token": token}, files=files).status_code == 200
    assert client.post("/assess", data={"form_token": "wrong"}, files=files).status_code == 403
    assert client.post("/assess", files=files).status_code == 403
    after = [("pictures", ("a.jpg", lesion_jpeg)), ("form_token", ("", token.encode()))]
    assert client.post("/assess", files=after).status_code == 403, "the token stands before the pictures"


def test_a_refusal_names_the_role_or_the_scope_and_asks_for_a_token(make_client, store):
    client = make_client(role=None)
    nobody = client.post("/api/v1/classify")
    assert nobody.status_code == 401
    assert nobody.headers["www-authenticate"] == 'Bearer realm="dermaloop"'
    assert nobody.json()["code"] == "not_signed_in"

    account = add_account(store, Role.CLINICIAN)
    headers = {"Authorization": f"Bearer {make_token(store, account, [Scope.CASES_READ])}"}
    scope = client.post("/api/v1/classify", headers=headers)
    assert scope.status_code == 403
    assert scope.json()["field"] == "classify"
    assert "'classify'" in scope.json()["detail"]
    assert 'error="insufficient_scope", scope="classify"' in scope.headers["www-authenticate"]

    wrong = client.post("/api/v1/classify", headers={"Authorization": "Bearer dermaloop_wrong"})
    assert wrong.status_code == 401
    assert 'error="invalid_token"' in wrong.headers["www-authenticate"]

    sign_in(client, Role.CLINICIAN)
    role = client.get("/people")
    assert role.status_code == 403
    assert "&#39;admin&#39;" in role.text


def test_the_codes_of_refusals_are_in_the_one_table():
    assert set(STATUS) >= REFUSED
    with pytest.raises(AssertionError):
        public("")
    assert allow(Role.VIEWER).dependency == Access(role=Role.VIEWER)
