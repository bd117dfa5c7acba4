"""What is counted, whether the server is alive and ready, and what is remembered of who carries which token."""

import re
import time

import pytest
from prometheus_client.parser import text_string_to_metric_families

from dermaloop.cases import accounts, tokens
from dermaloop.cases.actor import system
from dermaloop.cases.changes import Changes
from dermaloop.cases.errors import StoreError
from dermaloop.cases.roles import Role, Scope
from dermaloop.cases.store import open_store
from dermaloop.web import watch
from support.people import add_account, make_token
from support.visits import new_case


@pytest.fixture
def figures(client):
    """Reads /metrics: value by (name, labels)."""

    def read():
        answer = client.get("/metrics")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        families = text_string_to_metric_families(answer.text)
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in families
            for sample in family.samples
        }

    return read


def _value(found, name, **labels):
    return found.get((f"dermaloop_{name}", tuple(sorted(labels.items()))), 0)


def test_requests_predictions_refusals_and_sizes_are_counted(client, figures, lesion_jpeg, blank_png, toy_classifier):
    bundle = toy_classifier.bundle.identity
    before = figures()
    files = [("pictures", ("a.jpg", lesion_jpeg)), ("pictures", ("b.png", blank_png)), ("pictures", ("c", b"no"))]
    client.post("/api/v1/classify", files=files)
    case = new_case(client, ("a.jpg", lesion_jpeg))
    client.get(case)
    client.get("/nowhere")
    client.app.state.desk.watch._sized_at = -float("inf")  # a minute has passed
    after = figures()

    def grown(name, **labels):
        return _value(after, name, **labels) - _value(before, name, **labels)

    assert grown("http_requests_total", method="POST", route="/api/v1/classify", status="200") == 1
    assert grown("http_request_duration_seconds_count", method="GET", route="/cases/{case_id}") >= 1
    assert grown("http_requests_total", method="GET", route="(none)", status="404") == 1
    assert grown("refusals_total", code="not_found") == 1
    answered = [value for (name, labels), value in after.items() if name == "dermaloop_predictions_total"]
    assert sum(answered) == 4
    assert grown("predictions_total", bundle=bundle, status="unreadable", decision="none") == 1
    assert grown("predictions_total", bundle=bundle, status="abstained", decision="none") == 1
    assert grown("declined_total", bundle=bundle, reason="blurred") == 1
    assert grown("assessment_duration_seconds_count") == 4
    assert grown("store_patients") == grown("store_pictures") == grown("store_cases_open") == 1
    assert grown("store_audit_entries") > 3
    assert _value(after, "store_pictures_bytes") > 1000
    assert _value(after, "store_database_bytes") > 10_000
    assert _value(after, "store_free_bytes") > 0
    assert _value(after, "queue_places", pool="assess") >= 2
    assert _value(after, "queue_waiting", pool="assess") == _value(after, "queue_running", pool="assess") == 0
    assert _value(after, "http_requests_in_flight") == 1, "the one that asks"
    assert after[("process_resident_memory_bytes", ())] > 1e6
    assert any(name == "dermaloop_build_info" and dict(labels)["bundle"] == bundle for name, labels in after)


def test_no_figure_names_a_record_or_a_person(client, figures, lesion_jpeg):
    case = new_case(client, ("Zebulon.jpg", lesion_jpeg), pseudonym="Zebulon")
    client.get(case)
    text = client.get("/metrics").text
    assert "Zebulon" not in text
    assert re.search(r"[0-9a-f]{8}-[0-9a-f]{4}-", text) is None, "no id"
    assert 'route="/cases/{case_id}"' in text
    assert figures()


def test_metrics_are_read_by_a_token_of_their_scope_and_by_no_other(make_client, store):
    client = make_client(role=None)
    account = add_account(store, Role.LEAD)
    for scope, status in ((Scope.METRICS, 200), (Scope.CASES_READ, 403)):
        headers = {"Authorization": f"Bearer {make_token(store, account, [scope])}"}
        assert client.get("/metrics", headers=headers).status_code == status
    assert client.get("/metrics").status_code == 401


def test_the_sizes_are_counted_once_a_minute_and_missing_where_the_database_is(client, figures, monkeypatch):
    desk = client.app.state.desk
    figures()
    asked = []
    monkeypatch.setattr(watch.condition, "sizes", lambda store: asked.append(store) or {"patients": 7.0})
    assert _value(figures(), "store_patients") == 0
    desk.watch._sized_at = time.monotonic() - 61
    assert _value(figures(), "store_patients") == 7
    assert len(asked) == 1

    def gone(store):
        raise StoreError("the database cannot be used")

    monkeypatch.setattr(watch.condition, "sizes", gone)
    desk.watch._sized_at = time.monotonic() - 61
    assert not [name for name, _ in figures() if name.startswith("dermaloop_store_")]


@pytest.mark.parametrize("broken", ["database", "images"])
def test_a_server_whose_store_does_not_work_is_alive_and_not_ready(client, store, broken, monkeypatch, caplog):
    assert client.get("/readyz").status_code == 200

    def gone(_):
        raise StoreError("no room", where="/srv/secret-place")

    monkeypatch.setitem(watch._CHECKS, broken, gone)
    monkeypatch.setattr(watch, "_PROBE_S", 3600.0)
    assert client.get("/readyz").status_code == 200, "asked a moment ago"
    client.app.state.desk.watch._probed_at = -float("inf")
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (503, "not_ready", broken)
    assert "secret-place" not in answer.text
    assert "secret-place" in caplog.text, "who runs it is told where"
    assert client.get("/healthz").status_code == 200


def test_an_image_store_that_cannot_be_written_is_found_out(client, store):
    folder = store.folder / "images"
    folder.rename(store.folder / "elsewhere")
    folder.touch()
    client.app.state.desk.watch._probed_at = -float("inf")
    assert client.get("/readyz").json()["field"] == "images"
    folder.unlink()
    (store.folder / "elsewhere").rename(folder)
    client.app.state.desk.watch._probed_at = -float("inf")
    assert client.get("/readyz").status_code == 200
    assert list(folder.iterdir()) == [], "a probe leaves nothing behind"


def test_who_carries_a_token_is_read_once_until_anything_changes(make_client, store, monkeypatch):
    client = make_client(role=None)
    account = add_account(store, Role.LEAD)
    headers = {"Authorization": f"Bearer {make_token(store, account, [Scope.METRICS, Scope.CLASSIFY])}"}
    looked = []
    resolve = tokens.resolve
    monkeypatch.setattr(tokens, "resolve", lambda session, raw: looked.append(raw) or resolve(session, raw))
    for _ in range(5):
        assert client.get("/api/v1/model", headers=headers).status_code == 200
    assert len(looked) == 2, "its first use is written down, which is a change"
    assert headers["Authorization"].removeprefix("Bearer ") not in repr(client.app.state.desk.known.__dict__)
    elsewhere = open_store(store.folder)  # another process, as far as the database can tell
    try:
        with elsewhere.database.begin() as session:
            (token,) = tokens.listing(session, account.id)
            tokens.revoke(session, system("test"), account.id, token.id)
    finally:
        elsewhere.close()
    assert client.get("/api/v1/model", headers=headers).status_code == 401


def test_a_remembered_sign_in_ends_by_time_and_a_smaller_role_counts_at_once(make_client, store, monkeypatch):
    client = make_client(role=Role.LEAD)
    assert [client.get("/audit").status_code for _ in range(2)] == [200, 200]
    assert [client.get("/").status_code for _ in range(2)] == [200, 200]
    with store.database.begin() as session:
        accounts.set_role(session, system("test"), accounts.find_by_name(session, "lead").id, Role.VIEWER)
    assert client.get("/audit").status_code == 403
    assert client.get("/").status_code == 200
    later = accounts.now() + client.app.state.desk.settings.lifetime.absolute
    monkeypatch.setattr("dermaloop.cases.sign_ins.now", lambda: later)
    assert client.get("/", follow_redirects=False).status_code == 303


def test_changes_are_seen_from_every_connection_and_none_is_claimed_where_it_cannot_be_told(store):
    changes = Changes(store.database)
    first = changes.version()
    assert changes.version() == first
    add_account(store, Role.VIEWER)
    second = changes.version()
    assert second != first
    changes.close()
    assert changes.version() is None
