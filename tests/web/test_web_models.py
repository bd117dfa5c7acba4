"""The pages of models as leads use them: read, compare, let answer silently, promote with a signature, go back."""

import json
import re
import time

import pytest
from starlette.testclient import TestClient

from dermaloop.cases import promotion, registry
from dermaloop.cases.actor import Actor, system
from dermaloop.cases.comparison import compare
from dermaloop.cases.model_tables import Alias, SilentPredictionRow
from dermaloop.cases.roles import Role
from dermaloop.core import bundle as bundles
from dermaloop.core.errors import BundleError
from dermaloop.web import serving
from dermaloop.web.app import create_app
from dermaloop.web.settings import Settings
from support.models import first_champion, gate, proposal, second_version
from support.people import PASSWORD, add_account, begin, carry, sign_in
from support.visits import new_case

BASE = "http://127.0.0.1:8000"
WHY = "It misses fewer melanomas."


@pytest.fixture(autouse=True)
def none_ships(monkeypatch):
    def none():
        raise BundleError("none ships")

    monkeypatch.setattr(serving, "default_bundle_path", none)


@pytest.fixture
def champion(store, tmp_path):
    return first_champion(store, tmp_path)


@pytest.fixture
def client(store, champion):
    settings = Settings(champion_poll_s=60, threads=1)
    classifier, served = serving.start(store, settings)
    with TestClient(create_app(settings, classifier, store, served=served), base_url=BASE) as opened:
        sign_in(opened, Role.LEAD)
        yield opened


def words(answer):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.text))


def answering(client):
    return client.get("/api/v1/model").json()["identity"]


def until(condition, *, seconds=180):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_the_list_shows_what_serves_what_waits_and_what_happened(client, store, champion, tmp_path):
    made = proposal(store, tmp_path)
    said = words(client.get("/models"))
    assert champion.identity in said
    assert made.identity in said
    assert "All required gates passed" in said
    assert "Proposed" in said
    assert "Roll back to" not in said, "there is nothing to go back to"


def test_an_empty_registry_is_said_to_be_one(make_client):
    said = words(make_client().get("/models"))
    assert "There is none yet." in said
    assert "Nothing waits." in said
    assert "No model is registered yet." in said


def test_a_promotion_answers_at_once_and_is_rolled_back_at_once(client, store, champion, tmp_path, lesion_jpeg):
    made = proposal(store, tmp_path)
    page = words(client.get(f"/models/{made.id}"))
    assert "The sensitivity is not lower than the champion&#39;s." in page
    assert "passed" in page
    done = client.post(f"/models/{made.id}/promote", data={"reason": WHY})
    assert done.status_code == 200
    assert "This server answers with it from now on" in words(done)
    assert answering(client) == made.identity, "without waiting for the next look into the registry"
    case = client.get(new_case(client, ("a.jpg", lesion_jpeg)))
    assert case.status_code == 200
    with store.database.read() as session:
        assert registry.champion(session) == made
    listed = words(client.get("/models"))
    assert f"Roll back to {champion.identity}" in listed
    assert WHY in listed
    back = client.post("/models/rollback", data={"reason": "too many referrals"})
    assert "Rolled back. This model answers again." in words(back)
    assert answering(client) == champion.identity
    nothing = client.post("/models/rollback", data={"reason": "once more"})
    assert nothing.status_code == 409
    assert "no promotion to take back" in words(nothing)


def test_a_promotion_is_signed_with_the_password_where_there_is_one(client, store, champion, tmp_path):
    made = proposal(store, tmp_path)
    account = add_account(store, Role.LEAD, "signs", PASSWORD)
    carry(client, begin(client.app, account))
    assert "Your password, as your signature" in words(client.get(f"/models/{made.id}"))
    for typed in ({}, {"present": "wrong"}):
        refused = client.post(f"/models/{made.id}/promote", data={"reason": WHY, **typed})
        assert refused.status_code == 401
        assert WHY in refused.text, "what was typed is not lost"
    assert answering(client) == champion.identity
    assert client.post(f"/models/{made.id}/promote", data={"reason": WHY, "present": PASSWORD}).status_code == 200
    assert answering(client) == made.identity


def test_a_gate_tells_how_many_pictures_it_rests_on_where_it_rests_on_any(client, store, champion, tmp_path):
    gates = [gate("sensitivity", n=371), gate("frozen_set", n=1), gate("latency", n=1)]
    said = words(client.get(f"/models/{proposal(store, tmp_path, gates=gates).id}"))
    assert "; 371 pictures" in said
    assert "; 1 picture" not in said


@pytest.mark.parametrize("passed", [False, None])
def test_what_the_gates_do_not_allow_is_neither_offered_nor_done(client, store, champion, tmp_path, passed):
    made = proposal(store, tmp_path, gates=[gate("sensitivity"), gate("auc", passed=passed)])
    page = client.get(f"/models/{made.id}")
    assert f"/models/{made.id}/promote" not in page.text
    assert "cannot be promoted" in words(page)
    refused = client.post(f"/models/{made.id}/promote", data={"reason": WHY, "without_gates": "yes"})
    assert refused.status_code == 409
    assert answering(client) == champion.identity


def test_a_model_that_cannot_run_is_not_promoted(client, store, champion, tmp_path):
    broken = second_version(tmp_path / "broken", parts={bundles.MODEL: b"no graph"})
    made = proposal(store, tmp_path, bundle=broken)
    refused = client.post(f"/models/{made.id}/promote", data={"reason": WHY})
    assert refused.status_code == 503
    assert "cannot be loaded" in words(refused)
    with store.database.read() as session:
        assert registry.champion(session) == champion


def test_a_challenger_is_declined(client, store, champion, tmp_path):
    made = proposal(store, tmp_path)
    assert client.post(f"/models/{made.id}/decline", data={"reason": ""}).status_code == 422
    assert "Declined. The champion stays." in words(
        client.post(f"/models/{made.id}/decline", data={"reason": "too little gained"})
    )
    assert "Nothing waits." in words(client.get("/models"))


def test_no_other_role_reads_or_decides(client, store, champion, tmp_path):
    made = proposal(store, tmp_path)
    for role in (Role.VIEWER, Role.CLINICIAN):
        sign_in(client, role)
        for path in ("/models", f"/models/{made.id}"):
            assert client.get(path).status_code == 403
        for path in (f"{made.id}/promote", f"{made.id}/decline", f"{made.id}/shadow", "rollback", "shadow/stop"):
            assert client.post(f"/models/{path}", data={"reason": WHY}).status_code == 403
    assert answering(client) == champion.identity


def test_the_figures_of_two_evaluations_stand_side_by_side(client, store, tmp_path):
    def evaluation(auc, manifest="m"):
        figure = {"value": auc, "low": auc - 0.02, "high": auc + 0.02, "n": 100}
        point = {"sensitivity": figure, "specificity": figure}
        part = {
            "split": "test", "source": None, "figures": {"all": {"malignant_auc": figure}},
            "operating_points": {"sensitivity-95": {"all": point}}, "abstention": {"share_all": figure},
        }  # fmt: skip
        head = {"kind": "dermaloop evaluation", "schema": 1, "manifest": {"sha256": manifest}}
        return {bundles.EVALUATION: json.dumps({**head, "sections": [part]}).encode()}

    account = add_account(store, Role.LEAD)
    lead = Actor("account", account.id, account.name)
    with store.database.begin() as session:
        first = registry.add(session, system("test"), second_version(tmp_path / "a", name="a", parts=evaluation(0.90)))
        promotion.promote(session, lead, first.id, reason="a test", without_gates=True)
        same = registry.add(session, system("test"), second_version(tmp_path / "b", name="b", parts=evaluation(0.93)))
        other = registry.add(
            session, system("test"), second_version(tmp_path / "c", name="c", parts=evaluation(0.85, "other"))
        )
    said = words(client.get(f"/models/{same.id}"))
    assert "0.900 0.880 to 0.920 0.930 0.910 to 0.950 +0.030 better" in said
    assert "Measured on: test split." in said
    assert "not measured on the same pictures" not in said
    said = words(client.get(f"/models/{other.id}"))
    assert "worse" in said
    assert "not measured on the same pictures" in said


def test_the_shadow_answers_silently_and_is_compared_with_what_was_shown(
    client, store, champion, tmp_path, lesion_jpeg
):
    made = proposal(store, tmp_path)
    assert "It answers silently from now on" in words(client.post(f"/models/{made.id}/shadow", data={"go": "yes"}))
    case = new_case(client, ("a.jpg", lesion_jpeg))

    def said():
        with store.database.read() as session:
            return session.query(SilentPredictionRow).count()

    until(lambda: said() == 1)
    page = client.get(case)
    assert champion.identity in page.text
    assert made.identity not in page.text, "no case page shows what the shadow said"
    with store.database.read() as session:
        found = compare(session, made.id)
    assert (found.pictures, found.cases, found.agreement.n) == (1, 1, 1)
    assert found.to_none == 1, "the second version refers nobody"
    told = client.get(f"/models/{made.id}")
    assert "people were shown: cases 1, pictures 1." in words(told)
    assert case in told.text, "the case whose decision changes, with its picture"
    assert "/small.jpg" in told.text
    assert "The shadow has ended" in words(client.post("/models/shadow/stop", data={"go": "yes"}))
    with store.database.read() as session:
        assert registry.current(session, Alias.SHADOW) is None
    assert client.app.state.desk.shadow.model is None
