"""A patient's whole record: exported, or deleted at their request, each after a page that says what it means.

Owns their routes. Refuses to decide what goes and what stays: that is `cases.export` and `cases.deletion`.
"""

from __future__ import annotations

import shutil
import tempfile
from http import HTTPStatus
from pathlib import Path

from fastapi import APIRouter, Request
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response

from dermaloop.cases import patients
from dermaloop.cases.deletion import delete_patient
from dermaloop.cases.errors import InvalidRecordError
from dermaloop.cases.export import export_patient
from dermaloop.cases.fields import fold
from dermaloop.cases.patients import PatientFile
from dermaloop.cases.roles import Role
from dermaloop.web.access import allow
from dermaloop.web.desk import desk_of
from dermaloop.web.forms import read_form
from dermaloop.web.identity import identity_of
from dermaloop.web.pages import failed_form, render

router = APIRouter(include_in_schema=False)

_LEADS = allow(Role.LEAD)
_TEMPLATE = "patient_record.html"


@router.get("/patients/{patient_id}/export", dependencies=[_LEADS])
async def confirm_export(request: Request, patient_id: str) -> HTMLResponse:
    """What an export holds, and the button."""
    found = await _patient(request, patient_id)
    return HTMLResponse(render(_TEMPLATE, request, failure=None, file=found, wanted="export"))


@router.post("/patients/{patient_id}/export", dependencies=[_LEADS])
async def export(request: Request, patient_id: str) -> Response:
    """The whole record as a zip."""
    actor, store = identity_of(request).actor, desk_of(request).store
    folder = Path(await run_in_threadpool(tempfile.mkdtemp, prefix="dermaloop-export-"))
    out = folder / "record.zip"
    try:
        await run_in_threadpool(export_patient, store, actor, patient_id, out)
    except BaseException:
        await run_in_threadpool(shutil.rmtree, folder, ignore_errors=True)
        raise
    gone = BackgroundTask(shutil.rmtree, folder, ignore_errors=True)
    name = f"patient-{patient_id[:8]}.zip"
    return FileResponse(out, media_type="application/zip", filename=name, background=gone)


@router.get("/patients/{patient_id}/delete", dependencies=[_LEADS])
async def confirm_deletion(request: Request, patient_id: str) -> HTMLResponse:
    """What a deletion means, and the form that asks for the reason and for the pseudonym once more."""
    found = await _patient(request, patient_id)
    return HTMLResponse(render(_TEMPLATE, request, failure=None, file=found, wanted="delete"))


@router.post("/patients/{patient_id}/delete", dependencies=[_LEADS])
async def delete(request: Request, patient_id: str) -> Response:
    """Deletes the patient. Cannot be undone."""
    form, actor, store = await read_form(request), identity_of(request).actor, desk_of(request).store
    found = await _patient(request, patient_id)
    try:
        require_same(form.get("pseudonym"), found.patient.pseudonym or "")
        await run_in_threadpool(lambda: delete_patient(store, actor, patient_id, reason=form.get("reason")))
    except InvalidRecordError as error:
        return failed_form(request, _TEMPLATE, error, file=found, wanted="delete")
    return RedirectResponse("/worklist", HTTPStatus.SEE_OTHER)


def require_same(typed: str, pseudonym: str) -> None:
    """Refuses a deletion where the pseudonym was not typed: a slip of the hand must not delete the wrong patient.

    Raises:
        InvalidRecordError: It is another.
    """
    if fold(typed.strip()) != fold(pseudonym):
        raise InvalidRecordError(
            "this is not the patient's pseudonym", where="pseudonym", way_out="Type it as it stands above."
        )


async def _patient(request: Request, patient_id: str) -> PatientFile:
    actor = identity_of(request).actor
    return await desk_of(request).write(lambda session: patients.show_patient(session, actor, patient_id))
