"""Patients over the API: listed, made, shown, changed, exported, deleted; and their lesions made.

Owns routes. Refuses to decide: what may be kept is `cases.patients`'s, what goes and what stays `cases.deletion`'s.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from dermaloop.cases import patient_list, patients
from dermaloop.cases.database import Transaction
from dermaloop.cases.deletion import delete_patient
from dermaloop.cases.roles import Role, Scope
from dermaloop.web import patient_record_pages
from dermaloop.web.access import allow
from dermaloop.web.api_common import PREFIX, Cursor, Key, Limit, RecordId, changing, reading
from dermaloop.web.api_shapes import patient_file, shape
from dermaloop.web.desk import desk_of
from dermaloop.web.identity import identity_of
from dermaloop.wire import documents
from dermaloop.wire import records as wire
from dermaloop.wire.base import Answer
from dermaloop.wire.entries import DeletionEntry, LesionEntry, PatientEntry

router = APIRouter(prefix=PREFIX, tags=["patients"])

_READERS = allow(Role.VIEWER, scope=Scope.CASES_READ)
_WRITERS = allow(Role.CLINICIAN, scope=Scope.CASES_WRITE)
_ZIP: dict[int | str, dict[str, Any]] = {
    200: {"description": "The zip.", "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}}}
}


@router.get(
    "/patients",
    summary="Patients, newest first",
    dependencies=[_READERS],
    response_description="One page, and the cursor of the next.",
    responses=reading("invalid_record"),
)
async def list_patients(
    request: Request,
    search: Annotated[str, Query(description="Part of the pseudonym, in any case.", max_length=100)] = "",
    cursor: Cursor = None,
    limit: Limit = 50,
) -> documents.PatientPage:
    """Those who are not deleted. That they were looked at is noted, what was searched for is not."""
    actor = identity_of(request).actor
    page = await desk_of(request).write(
        lambda session: patient_list.list_patients(session, actor, search=search, cursor=cursor, limit=limit)
    )
    return documents.PatientPage(patients=[shape(wire.Patient, one) for one in page.patients], next=page.cursor)


@router.post(
    "/patients",
    summary="Make a patient",
    status_code=201,
    dependencies=[_WRITERS],
    response_model=wire.Patient,
    response_description="The patient.",
    responses=changing(),
)
async def make_patient(request: Request, once: Key, entry: PatientEntry) -> Response:
    """By the clinic's own pseudonym; a pseudonym that another patient has is a conflict."""
    actor = identity_of(request).actor

    def make(session: Transaction) -> tuple[Answer, str | None]:
        made = patients.make_patient(session, actor, **_facts(entry))
        return shape(wire.Patient, made), made.id

    return await once.make(entry, make)


@router.get(
    "/patients/{patient_id}",
    summary="A patient with lesions and visits",
    dependencies=[_READERS],
    response_description="The patient.",
    responses=reading("record_not_found"),
)
async def show_patient(request: Request, patient_id: RecordId) -> documents.PatientFile:
    """The record at a glance; its cases are listed by `/api/v1/cases?patient_id=…`."""
    actor = identity_of(request).actor
    return patient_file(await desk_of(request).write(lambda session: patients.show_patient(session, actor, patient_id)))


@router.put(
    "/patients/{patient_id}",
    summary="Change a patient's facts",
    dependencies=[_WRITERS],
    response_description="The patient as it is now.",
    responses=changing("record_not_found"),
)
async def change_patient(request: Request, patient_id: RecordId, entry: PatientEntry) -> wire.Patient:
    """All facts are put in place of what they were; one that is left out becomes empty, but consent stays as it is."""
    actor = identity_of(request).actor
    changed = await desk_of(request).write(
        lambda session: patients.change_patient(session, actor, patient_id, **_facts(entry))
    )
    return shape(wire.Patient, changed)


@router.post(
    "/patients/{patient_id}/lesions",
    summary="Make a lesion of a patient",
    status_code=201,
    dependencies=[_WRITERS],
    response_model=wire.Lesion,
    response_description="The lesion.",
    responses=changing("record_not_found"),
)
async def make_lesion(request: Request, patient_id: RecordId, once: Key, entry: LesionEntry) -> Response:
    """It gets the patient's next number."""
    actor = identity_of(request).actor

    def make(session: Transaction) -> tuple[Answer, str | None]:
        made = patients.make_lesion(session, actor, patient_id, **entry.model_dump())
        return shape(wire.Lesion, made), made.patient_id

    return await once.make(entry, make)


@router.get(
    "/patients/{patient_id}/export",
    summary="A patient's whole record as a zip",
    dependencies=[allow(Role.LEAD, scope=Scope.CASES_EXPORT)],
    response_class=Response,
    responses={**reading("record_not_found"), **_ZIP},
)
async def export_patient(request: Request, patient_id: RecordId) -> Response:
    """JSON, tables and pictures, readable without this program. That it was exported is noted."""
    return await patient_record_pages.export(request, patient_id)


@router.post(
    "/patients/{patient_id}/deletion",
    summary="Delete a patient at their request",
    dependencies=[allow(Role.LEAD, scope=Scope.CASES_DELETE)],
    response_description="It is done.",
    responses=changing("record_not_found"),
)
async def delete(request: Request, patient_id: RecordId, entry: DeletionEntry) -> documents.DeletionAnswer:
    """Pictures and all that identifies them go, a tombstone stays. Cannot be undone."""
    desk, actor = desk_of(request), identity_of(request).actor
    found = await desk.write(lambda session: patients.show_patient(session, actor, patient_id))
    patient_record_pages.require_same(entry.pseudonym, found.patient.pseudonym or "")
    removed = await run_in_threadpool(lambda: delete_patient(desk.store, actor, patient_id, reason=entry.reason))
    return documents.DeletionAnswer(images_removed=removed)


def _facts(entry: PatientEntry) -> dict[str, Any]:
    """As `make_patient` and `change_patient` take them."""
    given = entry.model_dump()
    return {name: value for name, value in given.items() if name != "training_consent" or value is not None}
