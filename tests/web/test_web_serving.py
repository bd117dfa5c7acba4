"""Which model answers: the champion is followed without a restart, and a request keeps the model that it began with."""

import gc
import threading
import time
import weakref

import pytest
from starlette.testclient import TestClient

from dermaloop.cases import audit_list, promotion, registry
from dermaloop.cases.actor import Actor, system
from dermaloop.cases.model_tables import Alias, Origin
from dermaloop.cases.roles import Role
from dermaloop.core.bundle import open_bundle
from dermaloop.core.errors import BundleError
from dermaloop.inference.classifier import Classifier
from dermaloop.web import serving
from dermaloop.web.app import create_app
from dermaloop.web.settings import Settings
from support.models import first_champion, proposal, second_version
from support.people import add_account, sign_in
from support.toy import toy_bundle

BASE = "http://127.0.0.1:8000"


@pytest.fixture
def lead(store):
    account = add_account(store, Role.LEAD)
    return Actor("account", account.id, account.name, "testclient")


@pytest.fixture(autouse=True)
def none_ships(monkeypatch):
    """What ships is not what these tests are about."""

    def none():
        raise BundleError("none ships")

    monkeypatch.setattr(serving, "default_bundle_path", none)


def begin(store, settings=None):
    settings = settings or Settings(champion_poll_s=0.1, threads=1)
    classifier, served = serving.start(store, settings)
    return create_app(settings, classifier, store, served=served)


@pytest.fixture
def champion(store, tmp_path):
    return first_champion(store, tmp_path)


@pytest.fixture
def client(store, champion):
    with TestClient(begin(store), base_url=BASE) as opened:
        sign_in(opened, Role.LEAD)
        yield opened


def says(client):
    return client.get("/api/v1/model").json()["identity"]


def until(condition, *, seconds=180):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_another_process_s_promotion_is_noticed_within_seconds_and_rolled_back(client, store, champion, lead, tmp_path):
    """The promotion is written by another hand than the server's: it only looks into the registry."""
    made = proposal(store, tmp_path)
    assert says(client) == champion.identity, "a challenger serves nobody"
    with store.database.begin() as session:
        promotion.promote(session, lead, made.id, reason="all gates were passed")
    until(lambda: says(client) == made.identity)
    assert client.app.state.desk.follower.served.model == made
    assert made.identity in client.app.state.desk.metrics.text().decode()
    with store.database.begin() as session:
        promotion.roll_back(session, lead, reason="too many referrals")
    until(lambda: says(client) == champion.identity)


def test_no_request_is_lost_while_the_model_changes(client, store, lead, tmp_path, lesion_jpeg):
    """Requests run on several threads while champions change; each names one of the two, and the old one is freed."""
    made = proposal(store, tmp_path)
    first = client.app.state.desk.follower.served.model.identity
    answers, ending = [], threading.Event()

    def ask():
        while not ending.is_set():
            files = [("pictures", ("a.jpg", lesion_jpeg)), ("pictures", ("b.jpg", lesion_jpeg))]
            answers.append(client.post("/api/v1/classify", files=files))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    old = weakref.ref(client.app.state.desk.classifier)
    for thread in threads:
        thread.start()
    for turn in range(3):
        with store.database.begin() as session:
            if turn % 2:
                promotion.roll_back(session, lead, reason="a test")
            else:
                promotion.promote(session, lead, made.id, reason="a test")
        wanted = first if turn % 2 else made.identity
        until(lambda wanted=wanted: client.app.state.desk.classifier.bundle.identity == wanted)
        count = len(answers)
        until(lambda count=count: len(answers) > count + 2)
    ending.set()
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in answers} == {200}
    named = [[result["bundle"] for result in answer.json()["results"]] for answer in answers]
    assert all(one == two for one, two in named), "one request, one model"
    assert {one for one, _ in named} == {first, made.identity}
    gc.collect()
    assert old() is None, "the first classifier went after its last request"


def test_a_champion_that_cannot_be_loaded_changes_nothing_and_is_told(client, store, champion, lead, tmp_path):
    made = proposal(store, tmp_path)
    with store.database.begin() as session:
        promotion.promote(session, lead, made.id, reason="a test")
        path = registry.path_of(session, made)
        content = bytearray(path.read_bytes())
        content[100] ^= 1
        path.write_bytes(content)  # rots between the decision and the loading
    follower = client.app.state.desk.follower
    until(lambda: follower.problem)
    assert "changed since it was stored" in follower.problem
    assert says(client) == champion.identity
    assert client.get("/readyz").status_code == 200
    content[100] ^= 1
    path.write_bytes(content)
    client.portal.call(_retry, follower)
    assert says(client) == made.identity
    assert follower.problem == ""


async def _retry(follower):
    await follower.refresh(await follower.try_model(follower._look()[0]))


def test_the_shipped_bundle_is_the_first_champion_and_a_newer_one_only_waits(store, tmp_path, monkeypatch):
    shipped = toy_bundle(tmp_path / "shipped", packed=True)
    monkeypatch.setattr(serving, "default_bundle_path", lambda: shipped)
    _, served = serving.start(store, Settings())
    assert (served.follows, served.model.origin) == (True, Origin.SHIPPED)
    again = serving.start(store, Settings())[1]
    assert again == served
    monkeypatch.setattr(serving, "default_bundle_path", lambda: second_version(tmp_path / "newer"))
    assert serving.start(store, Settings())[1] == served, "installing a newer version changes no answer"
    with store.database.read() as session:
        newer = registry.listing(session)[0]
        assert (newer.name, newer.origin) == ("toy-next", Origin.SHIPPED)
        assert registry.current(session, Alias.CHAMPION) == served.model


def test_a_damaged_champion_is_not_replaced_by_anything(store, champion, monkeypatch):
    with store.database.read() as session:
        registry.path_of(session, champion).unlink()
    monkeypatch.setattr(serving, "_first_champion", lambda *_: pytest.fail("nobody decided on that"))
    with pytest.raises(BundleError, match="cannot be served") as caught:
        serving.start(store, Settings())
    assert "rollback" in str(caught.value)


def test_a_named_bundle_is_served_whatever_the_champion_is_and_that_is_noted(store, champion, lead, tmp_path):
    path = second_version(tmp_path / "named", packed=False)
    classifier, served = serving.start(store, Settings(bundle=path))
    assert classifier.bundle.identity == open_bundle(path).identity == served.model.identity
    assert not served.follows
    with store.database.read() as session:
        assert registry.champion(session) == champion
        noted = audit_list.entries(session, audit_list.Filter(action="model.served_by_name"))[0]
        assert noted[0].detail["bundle"] == served.model.bundle_sha256
    with TestClient(begin(store, Settings(bundle=path, champion_poll_s=0.1)), base_url=BASE) as opened:
        sign_in(opened, Role.LEAD)
        with store.database.begin() as session:
            made = registry.add(session, system("test"), second_version(tmp_path / "third", version="3"))
            promotion.promote(session, lead, made.id, reason="a test", without_gates=True)
        opened.portal.call(opened.app.state.desk.follower.refresh)
        assert says(opened) == served.model.identity


def test_what_cannot_run_is_found_before_it_is_served(tmp_path):
    bundle = open_bundle(toy_bundle(tmp_path, parts={"model.onnx": b"no graph"}))
    with pytest.raises(BundleError):
        serving.load(bundle, threads=1)
    assert isinstance(serving.load(open_bundle(toy_bundle(tmp_path / "b")), threads=1), Classifier)
