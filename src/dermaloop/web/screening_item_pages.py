"""One picture of a screening list: its answer, its bytes, and the way into a patient's record.

Owns their routes. Refuses to assess: what is shown is what was said when the picture was assessed.
"""

from __future__ import annotations

import datetime as dt
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from dermaloop.cases import job_filing, job_results, patient_list, patients
from dermaloop.cases.actor import Actor
from dermaloop.cases.database import Transaction
from dermaloop.cases.errors import RecordNotFoundError
from dermaloop.cases.job_results import Item
from dermaloop.cases.patients import PatientFile
from dermaloop.cases.roles import Role
from dermaloop.cases.words import PictureType
from dermaloop.web.access import allow
from dermaloop.web.case_view import point_of
from dermaloop.web.clinical import PICTURE_TYPES
from dermaloop.web.desk import desk_of
from dermaloop.web.entries import day
from dermaloop.web.errors import WebError
from dermaloop.web.forms import Form, read_form
from dermaloop.web.identity import identity_of
from dermaloop.web.image_routes import MEDIA_TYPES, SMALL_SIDE_PX, is_known, picture_answer, small
from dermaloop.web.intake import ASSESSED
from dermaloop.web.pages import failed_form, render
from dermaloop.web.patient_pages import REFUSALS
from dermaloop.web.render import heatmap_png
from dermaloop.web.views import shows_figures, view_of

router = APIRouter(include_in_schema=False)

_READERS, _WRITERS = allow(Role.VIEWER), allow(Role.CLINICIAN)
_TEMPLATE = "screening_picture.html"


@router.get("/screening-pictures/{item_id}", dependencies=[_READERS])
async def picture_page(request: Request, item_id: str, pseudonym: str = "") -> HTMLResponse:
    """A picture with its answer; with a pseudonym, that patient's lesions to choose from."""
    return HTMLResponse(render(_TEMPLATE, request, failure=None, **await _values(request, item_id, pseudonym)))


async def _values(request: Request, item_id: str, pseudonym: str, form: Form | None = None) -> dict[str, Any]:
    actor, desk = identity_of(request).actor, desk_of(request)

    def look(session: Transaction) -> tuple[Item, PatientFile | None]:
        item = job_results.show_item(session, actor, item_id)
        return item, _patient(session, actor, pseudonym) if pseudonym.strip() else None

    item, file = await desk.write(look)
    address, made = f"/screening-pictures/{item.id}", item.prediction
    view = None
    if made is not None:
        heatmap = f"{address}/heatmap.png" if made.heatmap is not None and shows_figures(made) else ""
        size = (item.width_px, item.height_px)
        shown = f"{address}/picture" if item.sha256 else ""
        view = view_of(made, point_of(desk.classifier, made), item.name, picture=shown, size=size, heatmap=heatmap)
    today = dt.datetime.now().astimezone().date().isoformat()
    entered = {"visited_on": today, "image_type": str(PictureType.DERMOSCOPIC), "lesion_id": ""}
    if form is not None:
        entered = {name: form.get(name, value) for name, value in entered.items()}
    return {
        "item": item,
        "address": address,
        "view": view,
        "pseudonym": pseudonym,
        "found": file,
        "entered": entered,
        "today": today,
        "picture_types": [kind for kind in PICTURE_TYPES if kind in ASSESSED],
    }


def _patient(session: Transaction, actor: Actor, pseudonym: str) -> PatientFile | None:
    """The patient of exactly this pseudonym, in any case; None where there is none."""
    patient_id = patient_list.find_patient(session, pseudonym)
    return patients.show_patient(session, actor, patient_id) if patient_id is not None else None


@router.post("/screening-pictures/{item_id}/file", dependencies=[_WRITERS])
async def file_picture(request: Request, item_id: str) -> Response:
    """Makes a case of the picture and goes there."""
    form, actor, desk = await read_form(request), identity_of(request).actor, desk_of(request)
    try:
        visited_on = day(form, "visited_on")
        item = await desk.read(lambda session: job_results.find_item(session, item_id))
        content = b"" if item.sha256 is None else await desk.draw(desk.store.images.read, item.sha256)
        case = await desk.write(
            lambda session: job_filing.file_item(
                session,
                actor,
                item_id,
                form.get("lesion_id"),
                visited_on=visited_on,
                image_type=form.get("image_type"),
                images=desk.store.images,
                content=content,
            )
        )
    except (*REFUSALS, RecordNotFoundError) as error:
        if isinstance(error, RecordNotFoundError) and form.get("lesion_id"):
            raise
        values = await _values(request, item_id, form.get("pseudonym"), form)
        return failed_form(request, _TEMPLATE, error, **values)
    return RedirectResponse(f"/cases/{case.id}", HTTPStatus.SEE_OTHER)


@router.get("/screening-pictures/{item_id}/picture", dependencies=[_READERS])
async def picture(request: Request, item_id: str) -> Response:
    """The picture as it is stored."""
    item, sha256 = await _seen(request, item_id)
    if is_known(request, sha256):
        return picture_answer(b"", sha256, MEDIA_TYPES[item.format], HTTPStatus.NOT_MODIFIED)
    content = await desk_of(request).draw(desk_of(request).store.images.read, sha256)
    return picture_answer(content, sha256, MEDIA_TYPES[item.format])


@router.get("/screening-pictures/{item_id}/small.jpg", dependencies=[_READERS])
async def small_picture(request: Request, item_id: str) -> Response:
    """The picture made small, for the list."""
    _, sha256 = await _seen(request, item_id)
    tag = f"{sha256}-{SMALL_SIDE_PX}"
    if is_known(request, tag):
        return picture_answer(b"", tag, "image/jpeg", HTTPStatus.NOT_MODIFIED)
    content = await desk_of(request).draw(small, desk_of(request).store.images, sha256)
    return picture_answer(content, tag, "image/jpeg")


@router.get("/screening-pictures/{item_id}/heatmap.png", dependencies=[_READERS])
async def heatmap(request: Request, item_id: str) -> Response:
    """Where in the picture the evidence lies."""
    item, sha256 = await _seen(request, item_id)
    made = item.prediction
    if made is None or made.heatmap is None or not shows_figures(made):
        raise WebError("not_found", "the answer has no heatmap", way_out="Look at the picture without it.")
    drawn = await desk_of(request).draw(heatmap_png, made.heatmap)
    return picture_answer(drawn, f"{sha256}-heatmap", "image/png")


async def _seen(request: Request, item_id: str) -> tuple[Item, str]:
    actor = identity_of(request).actor
    item = await desk_of(request).write(lambda session: job_results.show_item(session, actor, item_id))
    if item.sha256 is None:
        raise WebError("not_found", "the file was not kept", way_out="Go back to the list.")
    return item, item.sha256
