"""The screen beside the patient: a code to scan, what came in by it, and how to end it.

Owns its routes. Refuses to take pictures: that is `phone_pages`. The link stands in the code on this page only, in the
answer to the form that made it, and never in an address of this page.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import segno
from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from dermaloop.cases import casework, phone
from dermaloop.cases.casework import CaseFile
from dermaloop.cases.database import Transaction
from dermaloop.cases.phone import PhoneLink
from dermaloop.cases.records import Image
from dermaloop.cases.roles import Role
from dermaloop.cases.words import PictureType
from dermaloop.web.access import allow
from dermaloop.web.case_words import lesion_name
from dermaloop.web.clinical import PICTURE_TYPES
from dermaloop.web.desk import desk_of
from dermaloop.web.forms import read_form
from dermaloop.web.identity import identity_of
from dermaloop.web.pages import failed_form, render
from dermaloop.web.patient_pages import REFUSALS
from dermaloop.web.phone_address import phone_address

router = APIRouter(include_in_schema=False)

_WRITERS = allow(Role.CLINICIAN)


@router.get("/cases/{case_id}/phone", dependencies=[_WRITERS])
async def choose(request: Request, case_id: str) -> HTMLResponse:
    """What the pictures will be, before the code is shown; or what to do where no phone can reach the server."""
    return HTMLResponse(render("phone_code.html", request, failure=None, **await _values(request, case_id)))


async def _values(request: Request, case_id: str) -> dict[str, Any]:
    actor, desk = identity_of(request).actor, desk_of(request)
    file = await desk.write(lambda session: casework.open_case(session, actor, case_id, show_answer=False))
    return {
        "file": file,
        "name": lesion_name(file.lesion),
        "picture_types": list(PICTURE_TYPES),
        "entered": str(PictureType.CLOSE_UP),
        "address": phone_address(request, desk.settings),
        "code": None,
        "link": None,
        "came": (),
        "minutes": int(phone.LIFETIME.total_seconds() // 60),
    }


@router.post("/cases/{case_id}/phone", dependencies=[_WRITERS])
async def show_code(request: Request, case_id: str) -> Response:
    """Makes a link and shows it as a code. Earlier links of the case end."""
    form, actor, desk = await read_form(request), identity_of(request).actor, desk_of(request)
    kind = form.get("image_type")
    values = await _values(request, case_id)
    if values["address"] is None:
        return HTMLResponse(render("phone_code.html", request, failure=None, **values))
    try:
        secret, link = await desk.write(lambda session: phone.make(session, actor, case_id, image_type=kind))
    except REFUSALS as error:
        return failed_form(request, "phone_code.html", error, **values)
    where = f"{values['address']}/phone/{secret}"
    code = segno.make(where, error="m", micro=False).svg_data_uri(border=4, dark="#000", light="#fff", scale=8)
    shown = {**values, "code": code, "link": link, "entered": kind, "where": where}
    return HTMLResponse(render("phone_code.html", request, failure=None, **shown))


@router.get("/cases/{case_id}/phone/{link_id}/part", dependencies=[_WRITERS])
async def news(request: Request, case_id: str, link_id: str) -> HTMLResponse:
    """What has come in by a link, for the page's script, which asks again and again."""
    actor, desk = identity_of(request).actor, desk_of(request)
    seen = request.query_params.get("seen", "")
    link = await desk.read(lambda session: phone.state(session, case_id, link_id))
    if seen == str(link.pictures):  # nothing new: the case is not opened for it, and nobody has looked at anything
        return HTMLResponse(render("_phone_news.html", request, link=link, came=None))

    def look(session: Transaction) -> CaseFile:
        return casework.open_case(session, actor, case_id, show_answer=False)

    return HTMLResponse(render("_phone_news.html", request, link=link, came=came_by(link, await desk.write(look))))


def came_by(link: PhoneLink, file: CaseFile) -> tuple[Image, ...]:
    """The case's pictures since a link was made, the newest first."""
    return tuple(one for one in reversed(file.images) if one.made_at >= link.made_at and one.deleted_at is None)


@router.post("/cases/{case_id}/phone/end", dependencies=[_WRITERS])
async def end(request: Request, case_id: str) -> Response:
    """Ends the case's link and goes to the case."""
    actor = identity_of(request).actor
    await desk_of(request).write(lambda session: phone.revoke(session, actor, case_id))
    return RedirectResponse(f"/cases/{case_id}", HTTPStatus.SEE_OTHER)
