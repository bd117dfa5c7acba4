"""The audit log on its page, as a file and over the API: filtered, paged, and itself noted."""

import ast
import csv
import html
import io
import json
import re
from pathlib import Path

import pytest

from dermaloop.cases import audit, audit_list
from dermaloop.cases.actor import Actor
from dermaloop.cases.audit_list import Filter
from dermaloop.cases.model_tables import Act
from dermaloop.cases.roles import Role, Scope
from dermaloop.web import audit_pages, audit_words
from dermaloop.web.translation import speaking
from support.people import add_account, make_token

ADA = Actor("account", "11111111-1111-4111-8111-111111111111", "Ada", "192.0.2.7")
EVE = Actor("account", "22222222-2222-4222-8222-222222222222", "<script>alert('Eve')</script>", None)


@pytest.fixture
def lead(make_client):
    return make_client(role=Role.LEAD)


@pytest.fixture
def filled(store):
    """Three entries on patients, by two people."""
    with store.database.begin() as transaction:
        audit.append(transaction, ADA, "patient.made", "patient", "p-1", {"field": "=cmd()"})
        audit.append(transaction, ADA, "image.seen", "image", "i-1", {"patient": "p-1"})
        audit.append(transaction, EVE, "patient.made", "patient", "p-2", {"note": "<b>bold</b>"})


def _rows(page):
    body = re.search(r"<tbody[^>]*>(.*?)</tbody>", page.text, re.DOTALL)
    if not body:
        return []
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", body[1], re.DOTALL)
    return [
        [html.unescape(re.sub(r"<[^>]+>", " ", cell)).strip() for cell in re.findall(r"<td.*?</td>", row, re.DOTALL)]
        for row in rows
    ]


def _actions(page):
    return [row[3].split()[-1] for row in _rows(page)]


def test_it_shows_who_did_what_newest_first_and_notes_that_it_was_seen(lead, filled, store):
    page = lead.get("/audit", params={"subject": "p-1"})
    assert _actions(page) == ["image.seen", "patient.made"], "also where the detail names the record"
    assert _rows(page)[1][2].split() == ["Ada", "192.0.2.7"]
    assert "field: =cmd()" in _rows(page)[1][5]
    with store.database.read() as transaction:
        (seen, *_), _ = audit_list.entries(transaction, Filter(action="audit.seen"))
    assert seen.actor_name == "lead"
    assert seen.detail == {"filters": "subject_id", "entries": 2}


def test_texts_of_entries_are_shown_as_text(lead, filled):
    page = lead.get("/audit")
    assert "<script>alert" not in page.text
    assert "<b>bold" not in page.text
    assert "<script>alert('Eve')</script>" in html.unescape(page.text)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"person": ADA.id}, ["image.seen", "patient.made"]),
        ({"action": "patient.made", "person": EVE.id}, ["patient.made"]),
        ({"action": "patient."}, ["patient.made", "patient.made"]),
        ({"subject": "p-2"}, ["patient.made"]),
        ({"subject": "nothing"}, []),
        ({"subject": "%"}, []),
        ({"subject": "' OR 1=1 --"}, []),
        ({"person": ADA.id, "since": "2020-01-01", "until": "9999-12-31"}, ["image.seen", "patient.made"]),
        ({"person": ADA.id, "until": "2020-01-01"}, []),
        ({"person": ADA.id, "since": "9999-01-01"}, []),
    ],
)
def test_it_is_filtered(lead, filled, asked, expected):
    page = lead.get("/audit", params=asked)
    assert page.status_code == 200
    assert _actions(page) == expected
    if not expected:
        assert "No entry fits." in page.text


@pytest.mark.parametrize(
    "asked",
    [
        {"since": "yesterday"},
        {"until": "2026-13-40"},
        {"before": "0"},
        {"before": "x"},
        {"subject": "a\x00"},
        {"since": "0"},
    ],
)
def test_a_filter_that_cannot_be_read_is_refused(lead, asked):
    assert lead.get("/audit", params=asked).status_code == 422


def test_it_is_paged_without_a_gap(lead, filled, monkeypatch):
    monkeypatch.setattr(audit_pages, "_ON_A_PAGE", 2)
    numbers, address = [], f"/audit?person={ADA.id}&since=2020-01-01"
    page = lead.get(address)
    for _ in range(5):
        numbers += [int(row[0]) for row in _rows(page)]
        older = re.search(r'href="(/audit\?[^"]*before=\d+)"', page.text)
        if not older:
            break
        assert "since=2020-01-01" in older[1], "the filter goes along"
        page = lead.get(html.unescape(older[1]))
    with_all = [int(row[0]) for row in _rows(lead.get(address))]
    assert numbers == with_all == sorted(numbers, reverse=True)
    everything, address = [], "/audit?action=patient."
    monkeypatch.setattr(audit_pages, "_ON_A_PAGE", 1)
    for _ in range(5):
        page = lead.get(address)
        everything += [int(row[0]) for row in _rows(page)]
        older = re.search(r'href="(/audit\?[^"]*before=\d+)"', page.text)
        if not older:
            break
        address = html.unescape(older[1])
    assert len(everything) == 2


def test_it_is_saved_as_a_file_and_that_is_noted(lead, filled, store):
    saved = lead.get("/audit/export.csv", params={"subject": "p-1"})
    assert saved.headers["content-disposition"] == 'attachment; filename="audit.csv"'
    rows = list(csv.DictReader(io.StringIO(saved.text)))
    assert [row["action"] for row in rows] == ["patient.made", "image.seen"]
    lines = [json.loads(line) for line in lead.get("/audit/export.jsonl").text.splitlines()]
    assert [line["sequence"] for line in lines] == list(range(1, len(lines) + 1))
    assert lines[1]["previous"] == lines[0]["hash"]
    with store.database.read() as transaction:
        noted, _ = audit_list.entries(transaction, Filter(action="audit.exported"))
    assert [entry.detail["kind"] for entry in noted] == ["jsonl", "csv"]
    assert lead.get("/audit/export.xlsx").status_code == 422


@pytest.mark.parametrize("role", [Role.VIEWER, Role.CLINICIAN])
def test_others_do_not_see_it(make_client, role):
    client = make_client(role=role)
    assert client.get("/audit").status_code == 403
    assert client.get("/audit/export.csv").status_code == 403
    assert "/audit" not in client.get("/").text


def test_a_program_reads_it_page_by_page(make_client, filled, store):
    client = make_client(role=None)
    headers = {"Authorization": f"Bearer {make_token(store, add_account(store, Role.LEAD), [Scope.AUDIT_READ])}"}
    found, before = [], None
    for _ in range(10):
        parameters = {"action": "patient.", "limit": 1, **({"before": before} if before else {})}
        page = client.get("/api/v1/audit", params=parameters, headers=headers)
        assert page.status_code == 200
        found += page.json()["entries"]
        before = page.json()["next"]
        if before is None:
            break
    assert [entry["subject_id"] for entry in found] == ["p-2", "p-1"]
    assert found[1]["detail"] == {"field": "=cmd()"}
    refused = client.get("/api/v1/audit", params={"since": "2026-03-04"}, headers=headers)
    assert refused.status_code == 422
    assert refused.json()["field"] == "since"


def test_every_action_of_the_program_has_words():
    source = Path(audit_words.__file__).parents[1]
    found = set()
    for path in source.rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call) and ast.unparse(call.func) == "audit.append":
                found |= {one.value for one in ast.walk(call.args[2]) if isinstance(one, ast.Constant)}
    actions = {one for one in found if not one.startswith(".") and not one.endswith(".")}
    assert len(actions) > 50, "the search still finds them"
    actions |= {f"model.{act}" for act in Act} | {f"{about}.changed" for about in ("patient", "lesion", "visit")}
    assert sorted(one for one in actions if audit_words.action_said(one) == one) == []
    with speaking("de"):
        assert audit_words.action_said("model.promoted") == "Modell: eingesetzt"
    assert audit_words.action_said("another.program's") == "another.program's"
    assert (audit_words.subject_said("model"), audit_words.subject_said("thing")) == ("Model", "thing")
