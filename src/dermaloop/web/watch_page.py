"""The watch as a page: what was found, what it means, what to do, and what a lead found behind it.

Owns its routes. Refuses to compute: `web.watch_run` starts the command that does, and the findings are in the records.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from dermaloop.cases import watch_looks
from dermaloop.cases.database import Transaction
from dermaloop.cases.errors import ConflictError, InvalidRecordError
from dermaloop.cases.findings import alarms, latest_run, review_alarm
from dermaloop.cases.roles import Role
from dermaloop.cases.watch_tables import Outcome
from dermaloop.monitoring.measures import MEASURES, Group, Limits
from dermaloop.web import watch_words
from dermaloop.web.access import allow
from dermaloop.web.desk import desk_of
from dermaloop.web.forms import read_form
from dermaloop.web.identity import identity_of
from dermaloop.web.pages import failed_form, render
from dermaloop.web.translation import number
from dermaloop.web.watch_chart import chart_of
from dermaloop.web.watch_run import installed
from dermaloop.web.wording import percent

router = APIRouter(include_in_schema=False)

_LEADS = allow(Role.LEAD)
_SHOWN_CLOSED = 20


@router.get("/watch", dependencies=[_LEADS])
async def watch_page(request: Request, done: str = "") -> HTMLResponse:
    """What the latest look found, and the alarms."""
    values = await desk_of(request).read(_values)
    return HTMLResponse(render("watch.html", request, failure=None, done=done, **_more(request), **values))


def _values(session: Transaction) -> dict[str, Any]:
    run = latest_run(session)
    every = alarms(session)
    report = run.report if run is not None else {}
    found = {one["name"]: one for one in report.get("findings", ())}
    groups = {
        group: [(found[name], chart_of(found[name])) for name, one in MEASURES.items() if one.group == group]
        for group in Group
        if found
    }
    return {
        "run": run,
        "look": watch_looks.latest(session),
        "report": report,
        "groups": groups,
        # Those that were certain first come first: what caused several shows most plainly in them.
        "open_alarms": sorted((one for one in every if one.review is None), key=lambda one: one.found_at),
        "closed_alarms": [alarm for alarm in every if alarm.review is not None][:_SHOWN_CLOSED],
    }


def _more(request: Request) -> dict[str, Any]:
    desk = desk_of(request)
    return {
        "words": watch_words,
        "installed": installed(),
        "outcomes": list(Outcome),
        "hours": desk.settings.watch_hours,
        "false_alarms": desk.settings.watch_false_alarms_a_year,
        "serves": desk.classifier.bundle.identity,
        "evidence": _evidence,
        "signed": _signed,
        "needed": lambda one: _needed(desk.settings.watch_limits, one),
        "typed": {"alarms": None, "outcome": "", "note": ""},
    }


def _evidence(value: float) -> str:
    """How near an alarm is; what has long been certain says no more than that it is."""
    return percent(min(value, 1.0))


def _signed(value: float) -> str:
    """A difference of shares with its sign, in percentage points."""
    points = round(100 * value, 1)
    sign = "+" if points > 0 else "−" if points < 0 else ""  # noqa: RUF001 - the sign, not a hyphen
    return f"{sign}{number(abs(points), 1)}"


def _needed(limits: Limits, one: dict[str, Any]) -> int:
    outcome = MEASURES[one["name"]].group is Group.OUTCOME
    return limits.learning_confirmed if outcome else limits.learning


@router.post("/watch/run", dependencies=[_LEADS])
async def run_now(request: Request) -> Response:
    """Asks for a look, and goes back to the page, which shows how far it is."""
    if installed():
        await desk_of(request).watch_runs.ask(identity_of(request).actor)
    return RedirectResponse("/watch", HTTPStatus.SEE_OTHER)


@router.get("/watch/progress/part", dependencies=[_LEADS])
async def progress(request: Request) -> HTMLResponse:
    """How far the look is that was asked for."""
    look = await desk_of(request).read(watch_looks.latest)
    return HTMLResponse(render("_watch_progress.html", request, look=look))


@router.post("/watch/alarms", dependencies=[_LEADS])
async def review(request: Request) -> Response:
    """Closes alarms with what was found behind them: one fault often raises several."""
    form, actor, desk = await read_form(request), identity_of(request).actor, desk_of(request)
    chosen, outcome, note = form.all("alarm"), form.get("outcome"), form.get("note")

    def write(session: Transaction) -> None:
        if not chosen:
            raise InvalidRecordError("no alarm is chosen", where="alarm", way_out="Choose at least one.")
        for alarm_id in chosen:
            review_alarm(session, actor, alarm_id, outcome=outcome, note=note)

    try:
        await desk.write(write)
    except (InvalidRecordError, ConflictError) as error:
        values = {**_more(request), **await desk.read(_values)}
        values["typed"] = {"alarms": chosen, "outcome": outcome, "note": note}
        return failed_form(request, "watch.html", error, done="", **values)
    return RedirectResponse("/watch?done=review", HTTPStatus.SEE_OTHER)
