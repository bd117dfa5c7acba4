"""The watch on its page, over the API and for Prometheus; and the process that the server starts."""

import asyncio
import contextlib
import html
import re
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest

from dermaloop.cases import findings, watch_looks
from dermaloop.cases.actor import system
from dermaloop.cases.findings import Raised
from dermaloop.cases.roles import Role, Scope
from dermaloop.monitoring.measures import MEASURES
from dermaloop.web import watch_page, watch_run, watch_words
from dermaloop.web.settings import Settings
from dermaloop.web.translation import speaking
from dermaloop.web.watch_chart import chart_of
from dermaloop.web.watch_run import WatchRuns
from support.people import add_account, make_token

MOMENT = datetime(2026, 3, 4, 12, tzinfo=UTC)


def finding(name, **changes):
    """A finding as a report keeps it."""
    values = {
        "name": name, "state": "steady", "count": 300, "learning": 200, "evidence": 0.01, "most_evidence": 0.2,
        "change": 0.05, "before": 0.3, "after": 0.31, "limit": None, "began": None, "found": None, "delay": None,
    }  # fmt: skip
    point = {"count": 100, "value": 0.3, "low": 0.2, "high": 0.4, "evidence": 0.01}
    series = [{**point, "at": MOMENT.timestamp() + day * 86_400} for day in (0, 30, 60)]
    return {**values, "series": series, **changes}


def report(**changed):
    """A report on every measure; some of them changed."""
    interval = {"value": 0.9, "low": 0.8, "high": 0.97, "count": 40, "stated": 0.95}
    return {
        "schema": 1,
        "limits": {"false_alarms_a_year": 0.05},
        "confirmed_by_decision": {"refer": [30, 40], "no_referral": [5, 90], "declined": [0, 0]},
        "outcome": {
            "sensitivity": interval, "specificity": interval, "calibration": {**interval, "value": -0.02},
            "declined": 2,
        },
        "findings": [finding(name, **changed.get(name, {})) for name in MEASURES],
    }  # fmt: skip


def keep(store, *measures, identity="toy@000000000000", **changed):
    """A run of the watch as the command keeps one, with open alarms."""
    alarms = [Raised(name, MOMENT, MOMENT + timedelta(days=9), finding(name)) for name in measures]
    with store.database.begin() as session:
        return findings.keep_run(
            session, system("watch"), bundle=identity, bundle_sha256="0" * 64, visits=300, confirmed=80,
            report=report(**changed), raised=alarms,
        )  # fmt: skip


def text_of(page):
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.text)))


def test_before_the_first_look_the_page_says_how_to_look(client):
    page = client.get("/watch")
    assert page.status_code == 200
    assert "Nobody has looked yet" in text_of(page)


def test_it_is_for_leads_only(make_client):
    assert make_client(role=Role.CLINICIAN).get("/watch").status_code == 403
    assert make_client(role=Role.LEAD).get("/watch").status_code == 200


def test_every_measure_is_shown_in_words_with_a_plot(client, store):
    began = MOMENT.timestamp() + 40 * 86_400
    keep(
        store, blur={"state": "alarm", "began": began}, missed={"limit": 0.1}, device={"state": "learning", "count": 9}
    )
    page = client.get("/watch")
    text = text_of(page)
    for words in watch_words.WORDS.values():
        assert words.title in text
    assert set(watch_words.WORDS) == set(MEASURES)
    assert page.text.count("<polyline") == len(MEASURES)
    assert page.text.count('class="began"') == 1
    assert "9 of the 200 cases" in text
    assert "5 of 90 confirmed" in text, "who was confirmed is said"
    assert "another model than the one that answers now" in text
    assert "No open alarm" in text


def test_alarms_say_what_to_do_and_are_closed_together(client, store):
    keep(store, "blur", "texture", "missed")
    text = text_of(client.get("/watch"))
    for name in ("blur", "missed"):
        assert watch_words.WORDS[name].alarm in text
        assert text.count(watch_words.WORDS[name].advice) == 1
    with store.database.read() as session:
        chosen = [one.id for one in findings.alarms(session) if one.measure != "missed"]
    refused = client.post("/watch/alarms", data={"alarm": chosen, "outcome": "passed", "note": " "})
    assert refused.status_code == 422
    assert refused.text.count('name="alarm"') == 3
    assert refused.text.count(" checked") == 3, "two alarms and the outcome are still chosen"
    done = client.post("/watch/alarms", data={"alarm": chosen, "outcome": "passed", "note": "Greasy <b>lens</b>"})
    assert "Greasy <b>lens</b>" in html.unescape(done.text)
    assert "<b>lens" not in done.text
    assert "1 open alarm" in text_of(done)
    again = client.post("/watch/alarms", data={"alarm": chosen, "outcome": "passed", "note": "again"})
    assert again.status_code == 409
    assert client.post("/watch/alarms", data={"outcome": "passed", "note": "x"}).status_code == 422


def test_a_german_reader_reads_german(client, store):
    keep(store, "blur")
    page = client.get("/watch", headers={"Accept-Language": "de"})
    assert "Überwachung" in page.text
    with speaking("de"):
        for name in MEASURES:
            assert watch_words.title(name) != watch_words.WORDS[name].title
            assert watch_words.alarm_said(name) != watch_words.WORDS[name].alarm


def test_programs_read_the_same(client, store):
    keep(store, "blur", blur={"state": "alarm", "began": MOMENT.timestamp(), "found": MOMENT.timestamp(), "delay": 5})
    token = make_token(store, add_account(store, Role.LEAD), [Scope.METRICS])
    headers = {"Authorization": f"Bearer {token}"}
    answer = client.get("/api/v1/watch", headers=headers).json()
    assert {one["name"] for one in answer["look"]["measures"]} == set(MEASURES)
    blur = next(one for one in answer["look"]["measures"] if one["name"] == "blur")
    assert (blur["state"], blur["group"], blur["began_at"]) == ("alarm", "pictures", "2026-03-04T12:00:00Z")
    assert [one["measure"] for one in answer["alarms"]] == ["blur"]
    assert answer["alarms"][0]["review"] is None
    figures = client.get("/metrics", headers=headers).text
    assert 'dermaloop_watch_alarm{measure="blur"} 1.0' in figures
    assert 'dermaloop_watch_alarm{measure="colour"} 0.0' in figures
    assert 'dermaloop_watch_confirmed_sensitivity{bound="low"} 0.8' in figures


def test_before_the_first_look_programs_read_nothing(client):
    assert client.get("/api/v1/watch").json() == {"look": None, "alarms": [], "asked": None}
    assert "dermaloop_watch" not in client.get("/metrics").text


def test_a_chart_holds_its_values_and_needs_two():
    chart = chart_of(finding("missed", limit=0.5, began=MOMENT.timestamp() + 86_400 * 30))
    heights = [y for _, y in chart.points]
    assert all(chart.top <= y <= chart.bottom for y in [*heights, chart.limit])
    assert chart.limit < min(heights), "0.5 lies above 0.3"
    assert chart.left < chart.began < chart.right
    assert chart_of(finding("blur", series=finding("blur")["series"][:1])) is None
    flat = chart_of(
        finding(
            "probability", series=[{**one, "low": None, "high": None, "value": 0.0} for one in finding("x")["series"]]
        )
    )
    assert flat.band == ""


@contextlib.contextmanager
def working(store, monkeypatch, code, **settings):
    """The server's worker, with a process that does as it is told in place of the command."""
    monkeypatch.setattr(WatchRuns, "_command", lambda _: [sys.executable, "-S", "-c", code])
    monkeypatch.setattr(watch_run, "_TELL_S", 0)
    runs = WatchRuns(Settings(**settings), store)

    def run(script):
        async def play():
            runs.start()
            try:
                return await asyncio.wait_for(script(runs), 180)
            finally:
                await runs.stop()

        return asyncio.run(play())

    yield run


def latest(store):
    with store.database.read() as session:
        return watch_looks.latest(session)


async def until(condition):
    """Waits for what stands in the database, which tells nobody."""
    while not condition():  # noqa: ASYNC110 - no event tells it
        await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("code", "failure"),
    [
        ("", ""),
        ("print('progress 3 17'); raise SystemExit(1)", ""),
        ("raise SystemExit('Error: the bundle is gone')", "Error: the bundle is gone"),
        ("raise SystemExit(3)", "status 3"),
    ],
)
def test_the_command_is_run_and_its_failure_told(store, make_client, monkeypatch, code, failure):
    async def ask(runs):
        await runs.ask(system("test"))
        await until(lambda: latest(store).ended_at)

    with working(store, monkeypatch, code) as run:
        run(ask)
    assert failure in latest(store).failure
    assert bool(latest(store).failure) == bool(failure)
    page = make_client().get("/watch")
    assert ("failed: nothing was found out" in text_of(page)) == bool(failure)
    assert failure in text_of(page)
    assert 'action="/watch/run"' in page.text, "and it can be asked for again"


def test_asking_returns_at_once_and_the_page_says_how_far_it_is(make_client, store, monkeypatch):
    code = "import time; print('progress 5 17', flush=True); time.sleep(600)"
    monkeypatch.setattr(WatchRuns, "_command", lambda _: [sys.executable, "-S", "-c", code])
    client = make_client()
    page = client.post("/watch/run")
    assert 'action="/watch/run"' not in page.text, "one look at a time"
    assert 'data-open="yes"' in page.text
    while latest(store).done < 5:
        time.sleep(0.01)
    part = client.get("/watch/progress/part")
    assert "5 of 17 measures are done" in text_of(part)
    assert '<progress aria-labelledby="progress-text" max="17" value="5">' in part.text
    client.post("/watch/run")
    assert latest(store).done == 5, "asking again begins nothing anew"


def test_a_look_whose_server_stopped_is_begun_again_by_the_next(store, monkeypatch):
    async def begin(runs):
        await runs.ask(system("test"))
        await until(lambda: latest(store).begun)

    async def go_on(_):
        await until(lambda: latest(store).ended_at)

    with working(store, monkeypatch, "import time; time.sleep(600)") as run:
        run(begin)
    assert (latest(store).begun, latest(store).ended_at) == (False, None), "given back, not lost"
    with store.database.begin() as session:
        assert watch_looks.claim(session, system("a server that is killed"))
    with working(store, monkeypatch, "") as run:
        run(go_on)
    assert latest(store).failure == ""


def test_the_server_looks_when_it_is_due_and_only_then(store, monkeypatch):
    monkeypatch.setattr(watch_run, "_FIRST_S", 0)
    monkeypatch.setattr(watch_run, "_IDLE_S", 0)
    asked, due = [], WatchRuns._due

    def is_due(runs, session):
        asked.append(due(runs, session))
        return asked[-1]

    async def three_times(_):
        await until(lambda: len(asked) >= 3)

    monkeypatch.setattr(WatchRuns, "_due", is_due)
    with working(store, monkeypatch, "", watch_hours=0) as run:
        run(three_times)
    assert not any(asked)
    asked.clear()
    with working(store, monkeypatch, "", watch_hours=24) as run:
        run(three_times)
    assert asked[0] is True
    assert not any(asked[1:]), "one that found nothing out is not begun again at once"
    keep(store)
    monkeypatch.setattr(watch_run, "_RETRY_S", 0)
    asked.clear()
    with working(store, monkeypatch, "", watch_hours=24) as run:
        run(three_times)
    assert not any(asked), "the latest look is of today"


def test_without_the_library_nothing_is_started_and_the_page_says_so(make_client, store, monkeypatch):
    monkeypatch.setattr(watch_run, "find_spec", lambda _: None)
    monkeypatch.setattr(watch_page, "installed", lambda: False)
    client = make_client()
    page = client.get("/watch")
    assert "dermaloop[watch]" in page.text
    assert 'action="/watch/run"' not in page.text
    assert client.post("/watch/run").status_code == 200
    assert latest(store) is None
