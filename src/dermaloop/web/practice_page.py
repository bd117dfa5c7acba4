"""The practice's own settings, for leads and administrators.

Owns its routes. Refuses to know the server's settings: those are `web.settings`'s.
"""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from dermaloop.cases.errors import InvalidRecordError
from dermaloop.cases.practice import Practice, change_practice, read_practice
from dermaloop.cases.roles import Role
from dermaloop.web.access import allow
from dermaloop.web.desk import desk_of
from dermaloop.web.forms import read_form
from dermaloop.web.identity import identity_of
from dermaloop.web.pages import failed_form, render

router = APIRouter(include_in_schema=False)

_LEADS = allow(Role.LEAD)


@router.get("/practice", dependencies=[_LEADS])
async def practice(request: Request, saved: bool = False) -> HTMLResponse:  # noqa: FBT001, FBT002 - in the address
    """The settings as they are."""
    found = await desk_of(request).read(read_practice)
    return HTMLResponse(render("practice.html", request, failure=None, practice=found, saved=saved))


@router.post("/practice", dependencies=[_LEADS])
async def change(request: Request) -> Response:
    """Changes them."""
    form, actor = await read_form(request), identity_of(request).actor
    wanted = Practice(
        form.get("name"),
        form.get("hide_answer_until_impression") == "yes",
        form.get("show_answer_on_phone") == "yes",
    )
    try:
        await desk_of(request).write(lambda session: change_practice(session, actor, wanted))
    except InvalidRecordError as error:
        return failed_form(request, "practice.html", error, practice=wanted, saved=False)
    return RedirectResponse("/practice?saved=true", HTTPStatus.SEE_OTHER)
