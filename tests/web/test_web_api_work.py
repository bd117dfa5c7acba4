"""What programs do beyond records over the API: consent, follow-up, phones, doubts, models, the watch, accounts."""

import json
import re

import pytest
from starlette.testclient import TestClient

from dermaloop.cases import accounts, findings, flags, registry, suggestions
from dermaloop.cases.actor import Actor, system
from dermaloop.cases.audit_list import entries
from dermaloop.cases.flags import Suspicion
from dermaloop.cases.idempotency import AnswerRow
from dermaloop.cases.provisioning import PersonNeededError
from dermaloop.cases.roles import Role, Scope, scopes_for
from dermaloop.cases.words import FlagKind
from dermaloop.core.synthetic import draw_lesion
from dermaloop.web import serving, watch_run
from dermaloop.web.app import create_app
from dermaloop.web.settings import Settings
from support.api import FINDING, PATIENT, bearer, get, new_case, new_lesion, post, upload
from support.hostile import save
from support.models import first_champion, gate, proposal
from support.moved import moved
from support.people import PASSWORD, add_account, make_token

WHY = "It misses fewer melanomas."


@pytest.fixture
def program(make_client, store):
    """A program in a lead's name, of a server that phones can reach."""
    client = make_client(role=None, host="0.0.0.0", names="clinic.example.org")
    client.headers.update(bearer(store, Role.LEAD))
    return client


def _refused(answer, code, field=None):
    found = answer.json()
    assert found["code"] == code, found
    assert found["way_out"]
    assert field in (None, found["field"])
    return found


def _log(store, action):
    with store.database.read() as session:
        return [one for one in entries(session, limit=200)[0] if one.action == action]


# -- patients and lesions ---------------------------------------------------------------------------------------------


def test_a_program_that_does_not_know_of_consent_neither_gives_nor_withdraws_it(program):
    patient = post(program, "/patients", PATIENT)
    assert patient["training_consent"] == "not given"
    address = f"/api/v1/patients/{patient['id']}"
    given = program.put(address, json={**PATIENT, "training_consent": "given"}).json()
    assert given["training_consent"] == "given"
    kept = program.put(address, json={**PATIENT, "note": "moved"}).json()
    assert (kept["training_consent"], kept["note"]) == ("given", "moved")
    assert program.put(address, json={**PATIENT, "training_consent": "withdrawn"}).json()["training_consent"] == (
        "withdrawn"
    )
    _refused(program.put(address, json={**PATIENT, "training_consent": "yes"}), "bad_parameter", "training_consent")


def test_two_pictures_are_laid_over_each_other_and_every_answer_names_its_ruler(program):
    first = draw_lesion(4, size_px=300, malignant=True)
    again, back = moved(first, degrees=20, scale=1.15, shift=(6, -4), gain=0.9)
    lesion = new_lesion(program)
    assert get(program, f"/lesions/{lesion}/follow-up")["compared"] is None
    for day, picture in (("2025-03-01", first), ("2026-03-01", again)):
        content = save(picture, "JPEG", quality=92)
        assert upload(program, lesion, ("a.jpg", content), data={"visited_on": day}).status_code == 201
    found = get(program, f"/lesions/{lesion}/follow-up")
    laid = found["compared"]["registration"]
    assert laid["degrees"] == pytest.approx(-20, abs=0.3)
    for row, expected in zip(laid["matrix"], back, strict=True):
        assert row[:2] == pytest.approx(expected[:2], abs=0.01)
        assert row[2] == pytest.approx(expected[2], abs=1.5)
    assert laid["true_scale"] is False
    assert "Not to scale" in found["compared"]["advice"]
    pair = found["compared"]
    assert (pair["first"]["visit"]["visited_on"], pair["second"]["visit"]["visited_on"]) == ("2025-03-01", "2026-03-01")
    points = found["probabilities"]
    assert [one["visited_on"] for one in points] == ["2025-03-01", "2026-03-01"]
    for one in points:
        stored = get(program, f"/predictions/{one['prediction_id']}")["result"]
        assert one["malignant_probability"] == stored["malignant_probability"]
        assert (one["bundle"], one["threshold"]) == (stored["bundle"], stored["threshold"])
    image = points[0]["image_id"]
    twice = program.get(f"/api/v1/lesions/{lesion}/follow-up?first={image}&second={image}")
    _refused(twice, "bad_parameter", "second")
    other = get(program, f"/cases/{new_case(program, ('b.jpg', content), pseudonym='other')}")["images"][0]["id"]
    _refused(program.get(f"/api/v1/lesions/{lesion}/follow-up?first={other}"), "bad_parameter", "first")


def test_a_hidden_answer_is_no_point_of_the_follow_up(program, make_client, store, lesion_jpeg):
    case = new_case(program, ("a.jpg", lesion_jpeg))
    lesion = get(program, f"/cases/{case}")["lesion"]["id"]
    settings = {"name": "", "hide_answer_until_impression": True}
    assert program.put("/api/v1/practice", json=settings).status_code == 200
    reader = make_client(role=None)
    reader.headers.update(bearer(store, Role.CLINICIAN, name="reader"))
    found = get(reader, f"/lesions/{lesion}/follow-up")
    assert (found["probabilities"], found["answers_hidden"]) == ([], True)


def test_the_cases_that_teach_most_are_listed_until_they_are_confirmed(program, store, lesion_jpeg):
    case = new_case(program, ("a.jpg", lesion_jpeg))
    new_case(program, ("a.jpg", lesion_jpeg), pseudonym="another")
    with store.database.begin() as session:
        suggestions.replace_suggestions(session, system("test"), [case], bundle="toy@1")
    assert [row["case"]["id"] for row in get(program, "/cases?suggested=true")["cases"]] == [case]
    assert get(program, "/case-counts")["suggested"] == 1
    post(program, f"/cases/{case}/confirmations", FINDING)
    assert get(program, "/cases?suggested=true")["cases"] == []
    assert get(program, "/case-counts")["suggested"] == 0


# -- phones -----------------------------------------------------------------------------------------------------------


def test_a_program_shows_a_code_follows_what_comes_in_and_ends_it(program, store, lesion_jpeg):
    case = new_case(program, ("a.jpg", lesion_jpeg))
    made = post(program, f"/cases/{case}/phone-links", {})
    place = re.fullmatch(r"http://clinic\.example\.org:8000(/phone/[\w-]{40,})", made["address"])[1]
    path = f"/cases/{case}/phone-links/{made['link']['id']}"
    assert get(program, path)["came"] == []
    header = program.headers.pop("Authorization")
    sent = program.post(f"{place}/part", files=[("pictures", ("x.jpg", save(draw_lesion(8, size_px=200), "JPEG")))])
    assert "Added to the case" in sent.text
    program.headers["Authorization"] = header
    state = get(program, path)
    assert (state["link"]["pictures"], state["link"]["works"], len(state["came"])) == (1, True, 1)
    assert program.post(f"/api/v1/cases/{case}/phone-links/end").json() == {"ended": 1}
    assert get(program, path)["link"]["works"] is False
    assert program.get(place).status_code == 410
    with store.database.engine.connect() as connection:
        dump = "\n".join(connection.connection.driver_connection.iterdump())
    assert place.rsplit("/", 1)[1] not in dump, "the key is kept by nobody"
    other = new_case(program, ("a.jpg", lesion_jpeg), pseudonym="other")
    _refused(program.get(f"/api/v1/cases/{other}/phone-links/{made['link']['id']}"), "link")


def test_where_no_phone_can_reach_the_server_it_says_what_to_do(make_client, store, lesion_jpeg):
    client = make_client(role=None)
    client.headers.update(bearer(store, Role.CLINICIAN))
    case = new_case(client, ("a.jpg", lesion_jpeg))
    _refused(client.post(f"/api/v1/cases/{case}/phone-links", json={}), "conflict", "address")


# -- doubted confirmations ---------------------------------------------------------------------------------------------


def test_doubted_confirmations_are_listed_by_pages_and_decided_once(program, store, lesion_jpeg):
    case = new_case(program, ("a.jpg", lesion_jpeg))
    image = get(program, f"/cases/{case}")["images"][0]["id"]
    evidence = {"given": "MEL", "likelier": "NV", "probability_given": 0.04, "probability_likelier": 0.93}
    entry = post(program, f"/cases/{case}/confirmations", FINDING)["id"]
    found = [Suspicion(entry, FlagKind.LABEL, f"{image}{number}", "for the log", evidence) for number in range(3)]
    with store.database.begin() as session:
        flags.raise_flags(session, system("test"), found)
    page = get(program, "/flags?limit=2")
    assert (len(page["flags"]), page["waiting"]) == (2, 3)
    rest = get(program, f"/flags?limit=2&cursor={page['next']}")
    assert (len(rest["flags"]), rest["next"]) == (1, None)
    flag = page["flags"][0]
    assert flag["sentence"].startswith("Confirmed as Melanoma, but to the model the picture looks like")
    assert flag["review"] is None
    decision, key = {"verdict": "rejected", "reason": "slides mixed up"}, {"Idempotency-Key": "flag-1"}
    said = [post(program, f"/flags/{flag['id']}/reviews", decision, headers=key) for _ in range(2)]
    assert said[0] == said[1]
    assert said[0]["review"]["verdict"] == "rejected"
    assert len(_log(store, "feedback.reviewed")) == 1
    assert get(program, "/flags")["waiting"] == 2
    assert len(get(program, "/flags?waiting=false")["flags"]) == 3
    _refused(program.post(f"/api/v1/flags/{flag['id']}/reviews", json={"verdict": "perhaps", "reason": "x"}),
             "bad_parameter", "verdict")  # fmt: skip


# -- models -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def lead(store, tmp_path, monkeypatch):
    """A program of a lead who has a password, at a server that follows the registry: (client, champion)."""
    monkeypatch.setattr(serving, "_register_shipped", lambda *_: None)
    champion = first_champion(store, tmp_path)
    settings = Settings(champion_poll_s=60, threads=1)
    classifier, served = serving.start(store, settings)
    with TestClient(create_app(settings, classifier, store, served=served), base_url="http://127.0.0.1:8000") as client:
        token = make_token(store, add_account(store, Role.LEAD, "Ada", PASSWORD), scopes_for(Role.LEAD))
        client.headers["Authorization"] = f"Bearer {token}"
        yield client, champion


def test_a_token_alone_decides_nothing_and_with_the_password_it_is_the_persons_act(lead, store, tmp_path):
    client, champion = lead
    made = proposal(store, tmp_path)
    address = f"/api/v1/models/{made.id}/promote"
    _refused(client.post(address, json={"reason": WHY}), "wrong_password", "password")
    _refused(client.post(address, json={"reason": WHY, "password": "guess"}), "wrong_password", "password")
    assert get(client, "/model")["identity"] == champion.identity
    signed, key = {"reason": WHY, "password": PASSWORD}, {"Idempotency-Key": "promote-1"}
    promoted = client.post(address, json=signed, headers=key)
    assert promoted.status_code == 201, promoted.text
    assert promoted.json()["standing"] == ["champion"]
    assert get(client, "/model")["identity"] == made.identity, "when it answers, this server answers by it"
    again = client.post(address, json=signed, headers=key)
    assert (again.json(), again.headers["idempotent-replayed"]) == (promoted.json(), "true")
    with store.database.read() as session:
        last = registry.history(session)[-1]
        act = next(one for one in reversed(registry.history(session)) if one.model_id == made.id)
        kept = session.query(AnswerRow).one()
    assert (act.actor_kind, act.actor_name, act.reason) == ("account", "Ada", WHY)
    assert last.at >= act.at
    assert PASSWORD not in kept.body
    (by_token,) = _log(store, "model.signed")
    assert by_token.actor_kind == "token"
    assert PASSWORD not in json.dumps([one.detail for one in _log(store, "model.signed")])
    back = {"Idempotency-Key": "back-1"}
    for _ in range(2):  # the answer was lost: it must not go back two steps
        done = client.post("/api/v1/models/rollback", json={"reason": "too many", "password": PASSWORD}, headers=back)
        assert done.json()["identity"] == champion.identity
    assert get(client, "/model")["identity"] == champion.identity


def test_the_file_of_a_model_holds_what_a_decision_rests_on(lead, store, tmp_path):
    client, champion = lead
    made = proposal(store, tmp_path)
    found = get(client, f"/models/{made.id}")
    assert (found["compared_with"], found["may_be_promoted"]) == (champion.id, True)
    assert {line["title"] for line in found["figures"]} >= {"Sensitivity", "Specificity"}
    assert get(client, f"/models/{champion.id}")["children"] == [made.id]
    assert get(client, "/model/card")["markdown"]
    evidence = client.get(f"/api/v1/models/{made.id}/evidence")
    assert evidence.content.startswith(b"PK")
    signature = {"password": PASSWORD}
    shadow = client.post(f"/api/v1/models/{made.id}/shadow", json=signature)
    assert "shadow" in shadow.json()["standing"]
    assert client.post("/api/v1/models/shadow/stop", json=signature).json()["id"] == made.id
    declined = client.post(f"/api/v1/models/{made.id}/decline", json={**signature, "reason": "too few cases"})
    assert declined.json()["standing"] == ["retired"]


def test_a_failed_gate_is_not_signed_away(lead, store, tmp_path):
    client, _ = lead
    made = proposal(store, tmp_path, gates=[gate("sensitivity", passed=False), gate("auc")])
    order = {"reason": WHY, "password": PASSWORD, "without_gates": True}
    _refused(client.post(f"/api/v1/models/{made.id}/promote", json=order), "conflict", "gates")


def test_an_account_without_a_password_signs_nothing(make_client, store):
    client = make_client(role=None)
    client.headers.update(bearer(store, Role.LEAD))
    order = {"reason": WHY, "password": "anything"}
    _refused(client.post("/api/v1/models/rollback", json=order), "conflict", "password")


# -- the watch and the log --------------------------------------------------------------------------------------------


def test_a_look_is_asked_for_and_an_alarm_closed(program, store, monkeypatch):
    monkeypatch.setattr("dermaloop.web.api_watch.installed", lambda: False)
    _refused(program.post("/api/v1/watch/looks"), "conflict", "watch")
    monkeypatch.setattr("dermaloop.web.api_watch.installed", lambda: True)
    monkeypatch.setattr(watch_run.WatchRuns, "_claim", lambda self: _nothing())
    asked = program.post("/api/v1/watch/looks")
    assert asked.status_code == 202
    assert program.post("/api/v1/watch/looks").json() == asked.json(), "asking again does no harm"
    assert get(program, "/watch")["asked"]["id"] == asked.json()["id"]
    with store.database.begin() as session:
        moment = _log(store, "watch.asked")[0].at
        findings.keep_run(
            session, system("test"), bundle="toy@1", bundle_sha256="0" * 64, visits=1, confirmed=1, report={},
            raised=[findings.Raised("blur", moment, moment, {})],
        )  # fmt: skip
    (alarm,) = get(program, "/watch")["alarms"]
    review, path = {"outcome": "passed", "note": "the lens was cleaned"}, f"/watch/alarms/{alarm['id']}/review"
    assert post(program, path, review)["review"]["note"] == "the lens was cleaned"
    _refused(program.post(f"/api/v1{path}", json=review), "conflict")


async def _nothing():
    return ""


def test_the_log_is_exported_whole_and_that_is_noted(program, store):
    post(program, "/patients", PATIENT)
    whole = program.get("/api/v1/audit/export?action=patient.")
    assert whole.headers["content-type"] == "application/jsonl"
    assert [json.loads(line)["action"] for line in whole.text.splitlines()] == ["patient.made"]
    table = program.get("/api/v1/audit/export?kind=csv")
    assert table.headers["content-type"].startswith("text/csv")
    assert len(_log(store, "audit.exported")) == 2


# -- accounts ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def directory(make_client, store):
    """A hospital's directory: a program in an administrator's name."""
    client = make_client(role=None)
    client.headers.update(bearer(store, Role.ADMIN, [Scope.PEOPLE_READ, Scope.PEOPLE_WRITE]))
    return client


def test_a_directory_makes_invites_changes_and_ends_a_clinician(directory, store):
    key = {"Idempotency-Key": "hire-1"}
    made = [post(directory, "/people", {"name": "Bo", "role": "clinician"}, headers=key) for _ in range(2)]
    assert made[0] == made[1]
    _refused(directory.post("/api/v1/people", json={"name": "bo", "role": "viewer"}), "account", "name")
    person = made[0]["id"]
    invited = post(directory, f"/people/{person}/invitation")
    place = invited["address"].removeprefix("http://127.0.0.1:8000")
    assert "Bo" in directory.get(place, headers={"Authorization": ""}).text or place.startswith("/invitation/")
    with store.database.read() as session:
        assert session.query(AnswerRow).count() == 1, "no answer with a secret is kept"
    assert directory.put(f"/api/v1/people/{person}/role", json={"role": "viewer"}).json()["role"] == "viewer"
    token = make_token(store, add_account(store, Role.VIEWER, "Bo"), [Scope.CLASSIFY])
    assert directory.post(f"/api/v1/people/{person}/disable").json()["disabled_at"] is not None
    mine = {"Authorization": f"Bearer {token}"}
    assert directory.get("/api/v1/model", headers=mine).status_code == 401, "what the account could do ends at once"
    assert directory.post(f"/api/v1/people/{person}/enable").json()["disabled_at"] is None
    assert [one["name"] for one in get(directory, "/people")["people"]] == ["admin", "Bo"]


@pytest.mark.parametrize("role", [Role.LEAD, Role.ADMIN])
def test_a_program_makes_nobody_who_could_sign(directory, store, role):
    above, below = add_account(store, role, "above"), add_account(store, Role.VIEWER, "below")
    for method, path, body in (
        ("POST", "/people", {"name": "x", "role": role.value}),
        ("PUT", f"/people/{below.id}/role", {"role": role.value}),
        ("PUT", f"/people/{above.id}/role", {"role": "viewer"}),
        ("POST", f"/people/{above.id}/invitation", None),
        ("POST", f"/people/{above.id}/enable", None),
    ):
        _refused(directory.request(method, f"/api/v1{path}", json=body), "role_missing", "role")
    ended = directory.post(f"/api/v1/people/{above.id}/disable")
    assert ended.status_code == (200 if role is Role.LEAD else 403)
    with store.database.begin() as session:
        assert accounts.find(session, below.id).role is Role.VIEWER
        with pytest.raises(PersonNeededError):  # the rule is in the function, not at the door
            accounts.create(session, _by_token(above.id), "y", role)


def _by_token(account_id):
    return Actor("token", "t", "a token", None, account_id)


def test_an_administrator_at_a_browser_is_not_bound_by_that(make_client):
    client = make_client()
    made = client.post("/api/v1/people", json={"name": "New lead", "role": "lead"})
    assert made.status_code == 201, made.text
    assert client.post(f"/api/v1/people/{made.json()['id']}/invitation").status_code == 201


def test_a_program_ends_its_own_token_and_no_other(make_client, store):
    client = make_client(role=None)
    account = add_account(store, Role.CLINICIAN)
    mine, other = (make_token(store, account, [Scope.CASES_READ]) for _ in range(2))
    assert client.post("/api/v1/token/revocation", headers={"Authorization": f"Bearer {mine}"}).status_code == 200
    assert client.get("/api/v1/token", headers={"Authorization": f"Bearer {mine}"}).status_code == 401
    assert client.get("/api/v1/token", headers={"Authorization": f"Bearer {other}"}).status_code == 200
