"""Insights: the page and the JSON answer say what the records say, and nothing of too few cases."""

import datetime as dt
import html
import re

import pytest

from dermaloop.cases import answers, casework, opinions
from dermaloop.cases.actor import Actor
from dermaloop.cases.comparison import Share
from dermaloop.cases.insight_records import (
    Agreement,
    Changes,
    DayVolume,
    Declines,
    Duration,
    Insights,
    Outcomes,
    Rates,
    Wanted,
)
from dermaloop.cases.roles import Role, Scope
from dermaloop.core import quality
from dermaloop.core.prediction import Decision
from dermaloop.web.insight_view import REASON_NAMES, columns_of, figure_of
from support.clinic import BUNDLE_SHA256, new_case, new_image, picture, prediction
from support.people import add_account, make_token

ADA = Actor("account", "11111111-1111-4111-8111-111111111111", "Dr. Ada Example", "127.0.0.1")
ASKED = "/insights?since=2026-01-01&until=2026-12-31"


def _text(answer):
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.text)))


def _fill(store, count, *, malignant):
    """Cases on which model and clinician agree, confirmed; all malignant and found, or all benign and not."""
    stripped = picture(1)
    with store.database.begin() as session:
        for _ in range(count):
            case = new_case(session, ADA, visited_on=dt.date(2026, 3, 2))
            diagnosis, management = ("MEL", "excision") if malignant else ("NV", "follow-up")
            opinions.add_impression(session, ADA, case.id, management=management, diagnosis=diagnosis)
            image = new_image(session, ADA, case, store.images, stripped)
            decision = Decision.REFER if malignant else Decision.NO_REFERRAL
            made = prediction(stripped, 0.3, decision=decision)
            answers.add_prediction(session, ADA, image.id, made, bundle_sha256=BUNDLE_SHA256)
            casework.open_case(session, ADA, case.id)
            finding = {"confirmation": "histopathology", "confirmed_on": dt.date(2026, 3, 9)}
            opinions.add_confirmation(session, ADA, case.id, diagnosis=diagnosis, **finding)


def test_an_empty_practice_is_told_so(client):
    text = _text(client.get("/insights"))
    assert "No case has its visit in this period." in text
    assert "Sensitivity" not in text


def test_ten_cases_give_a_share_and_nine_do_not(client, store):
    _fill(store, 10, malignant=True)
    _fill(store, 9, malignant=False)
    page = client.get(ASKED)
    text = _text(page)
    assert "19 cases; answers of reference@0123456789ab." in text
    assert "10 of 10: 100% (95% interval 72% to 100%)" in text
    assert "9 of 9: too few for a share, which needs 10" in text
    assert "Who gets a biopsy is not random." in text
    assert "Agreed in 19 of 19 cases: 100% (95% interval 83% to 100%)" in text
    assert "19 lesions with a confirmed diagnosis: 10 malignant, 9 benign, 0 indeterminate." in text
    whiskers = re.findall(r'class="range" x1="([\d.]+)%" x2="([\d.]+)%"', page.text)
    assert whiskers == [("72.25", "100.0")] * 3, "one for each judge's sensitivity, none of nine"
    assert "<script>" not in page.text
    assert " style=" not in page.text


def test_the_answer_over_the_api_has_the_same_figures(client, store):
    _fill(store, 10, malignant=True)
    _fill(store, 9, malignant=False)
    said = client.get("/api/v1" + ASKED).json()
    assert (said["least_cases"], said["bundle"]) == (10, "reference@0123456789ab")
    found = said["outcomes"]["model"]["sensitivity"]
    assert (found["count"], found["n"], found["share"]) == (10, 10, 1.0)
    assert (round(found["low"], 3), found["high"]) == (0.722, 1.0)
    few = said["outcomes"]["model"]["specificity"]
    assert few == {"count": 9, "n": 9, "share": None, "low": None, "high": None}
    assert said["volume"] == [{"day": "2026-03-02", "referred": 10, "below": 9, "declined": 0, "without": 0}]
    assert said["agreement_before"]["both"] == 10
    assert said["to_sign_off"] == {"n": 0, "median_s": None, "nine_in_ten_s": None}
    assert said["outcomes"]["confirmed_by"] == {"histopathology": 19}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("since=yesterday", "From day"),
        ("since=2026-02-02&until=2026-01-01", "To day"),
        ("bundle=nobody@000000000000", "Answers of"),
    ],
)
def test_a_period_that_cannot_be_is_refused_on_the_page_and_as_a_problem(client, query, field):
    answer = client.get(f"/insights?{query}")
    assert answer.status_code == 422
    assert 'role="alert"' in answer.text
    assert f"{field}:" in _text(answer)
    assert client.get(f"/api/v1/insights?{query}").status_code == 422


def test_it_is_for_clinicians_and_programs_that_may_read_cases(make_client, store):
    assert make_client(role=Role.CLINICIAN).get("/insights").status_code == 200
    viewer = make_client(role=Role.VIEWER)
    assert viewer.get("/insights").status_code == 403
    assert 'href="/insights"' not in viewer.get("/worklist").text
    program = make_client(role=None)
    account = add_account(store, Role.CLINICIAN)
    for scope, status in ((Scope.CASES_READ, 200), (Scope.CLASSIFY, 403)):
        headers = {"Authorization": f"Bearer {make_token(store, account, [scope])}"}
        assert program.get("/api/v1/insights", headers=headers).status_code == status


def test_the_page_speaks_german(client, store):
    _fill(store, 10, malignant=True)
    text = _text(client.get(ASKED, headers={"Accept-Language": "de"}))
    assert "10 Läsionen mit gesicherter Diagnose" in text
    assert "10 von 10: 100 %" in text.replace("\N{NO-BREAK SPACE}", " ")
    assert "(95-%-Intervall 72 % bis 100 %)" in text.replace("\N{NO-BREAK SPACE}", " ")


def _insights(*volume):
    none, rates = Agreement(0, 0, 0, 0, Share(0, 0)), Rates(Share(0, 0), Share(0, 0), 0, 0)
    return Insights(
        Wanted(dt.date(2026, 1, 1), dt.date(2026, 12, 31)), (), tuple(volume), False, none, none, Changes(0, 0, 0),
        Outcomes(0, 0, 0, (), rates, rates, rates), Declines(Share(0, 0), ()),
        Duration(0, None, None), Duration(0, None, None), Duration(0, None, None),
    )  # fmt: skip


def _day(month, day, *counts):
    return DayVolume(dt.date(2026, month, day), *counts)


def test_columns_are_weeks_from_monday_with_the_empty_ones_and_stand_as_high_as_their_share():
    columns = columns_of(_insights(_day(3, 4, 1, 2, 0, 1), _day(3, 8, 0, 0, 0, 4), _day(3, 23, 0, 1, 1, 0)))
    assert [one.day for one in columns] == [dt.date(2026, 3, day) for day in (2, 9, 16, 23)]
    assert [one.cases for one in columns] == [8, 0, 0, 2]
    assert [part.width for part in columns[0].parts] == [12.5, 25, 0, 62.5]
    assert [part.x for part in columns[0].parts] == [0, 12.5, 37.5, 37.5]
    assert [one.x for one in columns] == [0, 25, 50, 75]
    assert sum(part.width for part in columns[3].parts) == 25


def test_a_long_period_is_shown_by_months_over_the_turn_of_the_year():
    first = DayVolume(dt.date(2025, 11, 30), 1, 0, 0, 0)
    columns = columns_of(_insights(first, _day(6, 30, 0, 0, 0, 2)))
    assert [one.day for one in columns][:3] == [dt.date(2025, 11, 1), dt.date(2025, 12, 1), dt.date(2026, 1, 1)]
    assert len(columns) == 8
    assert [one.cases for one in columns] == [1, 0, 0, 0, 0, 0, 0, 2]
    assert columns_of(_insights()) == ()


def test_a_figure_has_no_share_of_few():
    few, enough = figure_of(Share(9, 9)), figure_of(Share(9, 10))
    assert (few.counts, few.share, few.at) == ("9 of 9", "", None)
    assert "10" in few.few
    assert (enough.share, enough.interval, enough.at) == ("90%", "60% to 98%", 90.0)
    assert enough.low < enough.at < enough.high


def test_every_reason_to_decline_has_a_name():
    measures = dict.fromkeys(quality.MEASURES, 2.0)
    found = quality.problems(measures, dict.fromkeys(measures, (None, 1.0)))
    found += quality.problems({"blur": -1.0, "brightness": -1.0}, {"blur": (0.0, None), "brightness": (0.0, None)})
    assert {one.code for one in found} | {"out_of_distribution", "ambiguous"} == set(REASON_NAMES)
