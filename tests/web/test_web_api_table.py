"""The table "Page and API" of docs/api.md against the routes: nothing a page does is without its way, or its reason."""

import inspect
import re

import pytest

from dermaloop.client import Client
from dermaloop.web.access import stated
from dermaloop.web.app import MOUNTS
from support.pages import ROOT

TABLE = (ROOT / "docs/api.md").read_text().split("## Page and API", 1)[1]
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in TABLE.splitlines()
    if line.startswith("| ") and not line.startswith(("| Page", "| ---"))
]
ADDRESS = re.compile(r"`(GET|POST|PUT) (/[^` ]*)`")
NO_PAGES = {"/healthz", "/readyz", "/metrics", "/api/openapi.json", *MOUNTS}
"""What is made for programs in any case."""
WIDER = {
    ("GET", "/api/v1/practice"): "a program must know whether the answer is hidden before an impression",
}
"""Ways that are open to more roles than their page, and why."""


@pytest.fixture
def routes(make_client):
    """Role by method and address, None for a public route."""
    served = stated(make_client(role=None).app.routes, MOUNTS)
    return {(method, one.path): one.access.role for one in served for method in one.methods}


def test_every_page_is_in_the_table_once_and_no_page_is_in_it_that_is_not_served(routes):
    named = [found for row in ROWS for found in ADDRESS.findall(row[0])]
    pages = {key for key in routes if not key[1].startswith("/api/v1/") and key[1] not in NO_PAGES}
    assert pages - set(named) == set(), "say in docs/api.md how a program does the same, or why none may"
    assert set(named) - pages == set(), "no such page"
    assert len(named) == len(set(named))


def test_every_row_names_a_way_that_is_there_or_a_reason(routes):
    for row in ROWS:
        assert len(row) == 3, row
        ways = ADDRESS.findall(row[1])
        if row[1].startswith("None: "):
            assert not ways
            assert len(row[1]) > 40, f"this is no reason: {row}"
            assert row[2] == ""
            continue
        assert ways, row
        assert not [way for way in ways if way not in routes or not way[1].startswith("/api/v1/")], row


def test_no_program_s_way_lets_in_whom_its_page_keeps_out(routes):
    for row in ROWS:
        roles = [routes[page] for page in ADDRESS.findall(row[0])]
        for way in ADDRESS.findall(row[1]):
            if way in WIDER:
                continue
            least = min((role for role in roles if role is not None), key=lambda role: role.rank)
            assert routes[way].covers(least), (row[0], way)


def test_every_way_stands_in_the_table_and_has_a_method_of_the_client(routes):
    named = {way for row in ROWS for way in ADDRESS.findall(row[1])}
    assert {key for key in routes if key[1].startswith("/api/v1/")} - named == set()
    methods = {
        name
        for name, _ in inspect.getmembers(Client, inspect.isfunction)
        if not name.startswith("_") and name != "close"
    }
    told = {name for row in ROWS for name in re.findall(r"`(\w+)`", row[2])}
    assert told == methods
    assert all(row[2] for row in ROWS if ADDRESS.findall(row[1]))
