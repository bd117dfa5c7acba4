"""The pages of a lesion: its pictures over time, changing its place, a new visit with pictures.

Owns their routes. Refuses to classify and to decide: pictures go through `web.intake`, what may be shown is
`cases.timeline`'s.
"""

from __future__ import annotations

import datetime as dt
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from dermaloop.cases import patients
from dermaloop.cases.database import Transaction
from dermaloop.cases.patients import PatientFile
from dermaloop.cases.records import Lesion
from dermaloop.cases.roles import Role
from dermaloop.cases.timeline import Answer, timeline
from dermaloop.cases.words import PictureType
from dermaloop.web import intake
from dermaloop.web.access import allow
from dermaloop.web.case_words import lesion_name
from dermaloop.web.chart import chart_of
from dermaloop.web.clinical import PICTURE_TYPES
from dermaloop.web.desk import desk_of
from dermaloop.web.errors import WebError
from dermaloop.web.forms import Form, read_form
from dermaloop.web.identity import identity_of
from dermaloop.web.pages import failed_form, render
from dermaloop.web.patient_pages import REFUSALS, lesion_values, read_lesion
from dermaloop.web.views import shows_figures

router = APIRouter(include_in_schema=False)

_READERS, _WRITERS = allow(Role.VIEWER), allow(Role.CLINICIAN)
_PASSED_ON = frozenset({"stale_form", "cross_site", "busy", "record_not_found"})
"""Refusals that the form could not show any better."""


@router.get("/lesions/{lesion_id}", dependencies=[_READERS])
async def lesion_page(request: Request, lesion_id: str) -> HTMLResponse:
    """A lesion's pictures over time, and what the model said of them where that may be shown."""
    actor = identity_of(request).actor

    def look(session: Transaction) -> tuple[PatientFile, Lesion, tuple[Answer, ...]]:
        lesion, _ = patients.show_lesion(session, actor, lesion_id)
        found = patients.show_patient(session, actor, lesion.patient_id)
        return found, lesion, timeline(session, actor, lesion_id)

    found, lesion, answers = await desk_of(request).write(look)
    visits: dict[str, list[Answer]] = {}
    for answer in answers:
        visits.setdefault(answer.visit.id, []).append(answer)
    page = render(
        "lesion.html",
        request,
        patient=found.patient,
        lesion=lesion,
        name=lesion_name(lesion),
        visits=list(visits.values()),
        chart=chart_of(answers),
        hidden=any(answer.hidden for answer in answers),
        shows_figures=shows_figures,
    )
    return HTMLResponse(page)


@router.get("/lesions/{lesion_id}/edit", dependencies=[_WRITERS])
async def edit_lesion(request: Request, lesion_id: str) -> HTMLResponse:
    """The form for a lesion, filled."""
    found, lesion = await _find(request, lesion_id)
    return HTMLResponse(render("lesion_form.html", request, failure=None, **lesion_values(found, lesion)))


@router.post("/lesions/{lesion_id}/edit", dependencies=[_WRITERS])
async def change_lesion(request: Request, lesion_id: str) -> Response:
    """Changes a lesion's place, label and note."""
    form, actor = await read_form(request), identity_of(request).actor
    try:
        given = read_lesion(form)
        await desk_of(request).write(lambda session: patients.change_lesion(session, actor, lesion_id, **given))
    except REFUSALS as error:
        found, lesion = await _find(request, lesion_id)
        return failed_form(request, "lesion_form.html", error, **lesion_values(found, lesion, form))
    return RedirectResponse(f"/lesions/{lesion_id}", HTTPStatus.SEE_OTHER)


@router.get("/lesions/{lesion_id}/visits/new", dependencies=[_WRITERS])
async def new_visit(request: Request, lesion_id: str, day: str = "") -> HTMLResponse:
    """The form for a visit's pictures."""
    values = await _visit_values(request, lesion_id)
    values["entered"]["visited_on"] = day or values["entered"]["visited_on"]
    return HTMLResponse(render("visit_form.html", request, failure=None, **values))


@router.post("/lesions/{lesion_id}/visits/new", dependencies=[allow(Role.CLINICIAN, upload=True)])
async def make_visit(request: Request, lesion_id: str) -> Response:
    """Takes a visit's pictures in and goes to the case; says which files it could not take, where there are any."""
    actor = identity_of(request).actor
    try:
        taken = await intake.receive_visit(request, actor, lesion_id)
    except REFUSALS as error:
        if error.code in _PASSED_ON or not hasattr(request.state, "form"):
            raise
        values = await _visit_values(request, lesion_id, await read_form(request))
        return failed_form(request, "visit_form.html", error, **values)
    if taken.case is not None and not taken.refused:
        return RedirectResponse(f"/cases/{taken.case.id}", HTTPStatus.SEE_OTHER)
    if taken.case is None:
        nothing = WebError("image", "no file could be read", field="pictures", way_out="Choose others.")
        values = await _visit_values(request, lesion_id, await read_form(request))
        return failed_form(request, "visit_form.html", nothing, **{**values, "refused": taken.refused})
    found, lesion = await _find(request, lesion_id)
    values = {"patient": found.patient, "lesion": lesion, "name": lesion_name(lesion), "taken": taken}
    return HTMLResponse(render("visit_taken.html", request, **values))


async def _find(request: Request, lesion_id: str) -> tuple[PatientFile, Lesion]:
    actor = identity_of(request).actor

    def look(session: Transaction) -> tuple[PatientFile, Lesion]:
        lesion, _ = patients.show_lesion(session, actor, lesion_id)
        return patients.show_patient(session, actor, lesion.patient_id), lesion

    return await desk_of(request).write(look)


async def _visit_values(request: Request, lesion_id: str, form: Form | None = None) -> dict[str, Any]:
    found, lesion = await _find(request, lesion_id)
    today = dt.datetime.now().astimezone().date().isoformat()
    entered = {"visited_on": today, "image_type": str(PictureType.DERMOSCOPIC), "pixel_size_mm": ""}
    if form is not None:
        entered = {name: form.get(name, value) for name, value in entered.items()}
    return {
        "patient": found.patient,
        "lesion": lesion,
        "name": lesion_name(lesion),
        "picture_types": list(PICTURE_TYPES),
        "entered": entered,
        "today": today,
        "refused": (),
    }
