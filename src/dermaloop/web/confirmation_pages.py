"""Confirmed diagnoses: taken down, corrected, taken back; each a new entry, nothing is overwritten.

Owns their routes. Refuses to decide which entry counts: that is `cases.opinions`'s.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from dermaloop.cases import opinions
from dermaloop.cases.errors import InvalidRecordError
from dermaloop.cases.roles import Role
from dermaloop.web.access import allow
from dermaloop.web.case_pages import CONFIRMATION, refused
from dermaloop.web.desk import desk_of
from dermaloop.web.entries import day
from dermaloop.web.forms import read_form
from dermaloop.web.identity import identity_of
from dermaloop.web.patient_pages import REFUSALS

router = APIRouter(include_in_schema=False)

_WRITERS = allow(Role.CLINICIAN)


@router.post("/cases/{case_id}/confirmation", dependencies=[_WRITERS])
async def add_confirmation(request: Request, case_id: str) -> Response:
    """Takes down what the lesion was, anew or as a correction."""
    form, actor = await read_form(request), identity_of(request).actor
    try:
        given: dict[str, Any] = {name: form.get(name) for name in CONFIRMATION if name != "confirmed_on"}
        given["corrects_id"] = given["corrects_id"] or None
        given["confirmed_on"] = day(form, "confirmed_on")
        await desk_of(request).write(lambda session: opinions.add_confirmation(session, actor, case_id, **given))
    except REFUSALS as error:
        return await refused(request, case_id, error, form, "confirmation")
    return RedirectResponse(f"/cases/{case_id}#confirmed-title", HTTPStatus.SEE_OTHER)


@router.post("/cases/{case_id}/confirmations/{confirmation_id}/retract", dependencies=[_WRITERS])
async def retract(request: Request, case_id: str, confirmation_id: str) -> Response:
    """Takes an entry back; the reason is kept."""
    form, actor = await read_form(request), identity_of(request).actor
    try:
        _require_reason(form.get("reason"))
        await desk_of(request).write(
            lambda session: opinions.retract_confirmation(session, actor, confirmation_id, note=form.get("reason"))
        )
    except REFUSALS as error:
        return await refused(request, case_id, error, form)
    return RedirectResponse(f"/cases/{case_id}#confirmed-title", HTTPStatus.SEE_OTHER)


def _require_reason(text: str) -> None:
    """As the records require, but by the name that the form gives it."""
    if not text.strip():
        raise InvalidRecordError("the reason is missing", where="reason", way_out="Say why the entry is taken back.")
