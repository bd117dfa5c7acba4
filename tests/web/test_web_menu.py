"""The menu tells a lead how much waits, on every page, for next to nothing."""

import datetime as dt
import html
import re

import pytest

from dermaloop.cases import findings, flags, opinions, waiting
from dermaloop.cases.actor import system
from dermaloop.cases.errors import StoreError
from dermaloop.cases.findings import Raised
from dermaloop.cases.flags import Suspicion
from dermaloop.cases.roles import Role
from dermaloop.cases.words import FlagKind
from support.clinic import new_case

PAGE = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
ACTOR = system("a test")
MOMENT = dt.datetime(2026, 3, 4, 12, tzinfo=dt.UTC)


def menu(client, path="/worklist", **headers):
    """What the menu says, as one hears it."""
    page = client.get(path, headers={**PAGE, **headers}).text
    shown = re.search(r'<details class="menu">.*?</details>', page, re.DOTALL)[0]
    heard = re.sub(r'<span class="waits" aria-hidden="true">.*?</span>', "", shown)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", heard))).replace(" ,", ",")


@pytest.fixture
def waits(store):
    """Two alarms and a doubted confirmation; gives the alarms' and the flag's ids."""
    with store.database.begin() as session:
        raised = [Raised(name, MOMENT, MOMENT, {}) for name in ("blur", "colour")]
        findings.keep_run(
            session, ACTOR, bundle="toy@0", bundle_sha256="0" * 64, visits=1, confirmed=1, report={}, raised=raised
        )
        case = new_case(session, ACTOR)
        entry = opinions.add_confirmation(
            session, ACTOR, case.id, confirmation="histopathology", confirmed_on=dt.date(2026, 3, 2), diagnosis="MEL"
        )
        flags.raise_flags(session, ACTOR, [Suspicion(entry.id, FlagKind.LABEL, "x", "for the log", {})])
        (flag,) = flags.list_flags(session, ACTOR)
        return [one.id for one in findings.alarms(session)], flag.id


def test_a_lead_is_told_and_nobody_else(make_client, waits):
    lead = make_client(role=Role.LEAD)
    for path in ("/worklist", "/account", "/watch"):
        said = menu(lead, path)
        assert "More, 3 matters wait for you" in said, path
        assert "Doubted confirmations, 1 waits for you" in said
        assert "Watch, 2 open alarms" in said
    assert ">3</span>" in lead.get("/worklist", headers=PAGE).text, "it is seen too"
    german = menu(lead, **{"Accept-Language": "de"})
    assert "Mehr, 3 Sachen warten auf Sie" in german
    assert "2 offene Alarme" in german
    clinician = make_client(role=Role.CLINICIAN)
    assert 'class="waits"' not in clinician.get("/worklist", headers=PAGE).text


def test_it_follows_what_is_done_and_says_nothing_of_nothing(make_client, store, waits):
    lead = make_client(role=Role.LEAD)
    alarms, flag = waits
    with store.database.begin() as session:
        findings.review_alarm(session, ACTOR, alarms[0], outcome="passed", note="a lamp")
    assert "Watch, 1 open alarm " in menu(lead)
    with store.database.begin() as session:
        findings.review_alarm(session, ACTOR, alarms[1], outcome="passed", note="a lamp")
        flags.review_flag(session, ACTOR, flag, verdict="rejected", reason="slides mixed up")
    assert 'class="waits"' not in lead.get("/worklist", headers=PAGE).text


def test_it_is_counted_once_for_a_page_and_a_page_does_without(make_client, waits, monkeypatch):
    lead = make_client(role=Role.LEAD)
    asked, count = [], waiting.count
    monkeypatch.setattr(waiting, "count", lambda session: asked.append(1) or count(session))
    for path, accepted in (("/patients", {"Accept": "image/*"}), ("/api/v1/patients", PAGE)):
        assert lead.get(path, headers=accepted).status_code == 200
    assert asked == [], "neither for a picture of a page nor for a program"
    for _ in range(2):
        assert "3 matters" in menu(lead, "/")
    assert asked == [1], "nothing was written down in between"

    def gone(_):
        raise StoreError("no room")

    monkeypatch.setattr(waiting, "count", gone)
    with lead.app.state.desk.database.begin() as session:
        new_case(session, ACTOR)
    assert 'class="waits"' not in lead.get("/", headers=PAGE).text
