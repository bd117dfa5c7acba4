"""The pages of patients: the list, making one, the record at a glance, changing the facts, a new lesion.

Owns their routes. Refuses to decide: what may be kept is `cases.patients`'s. Export and deletion are
`web.patient_record_pages`.
"""

from __future__ import annotations

from http import HTTPStatus
from types import SimpleNamespace
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from dermaloop.cases import patient_list, patients, worklist
from dermaloop.cases.database import Transaction
from dermaloop.cases.errors import ConflictError, InvalidRecordError
from dermaloop.cases.patients import PatientFile
from dermaloop.cases.records import Lesion
from dermaloop.cases.roles import Role
from dermaloop.cases.words import Consent
from dermaloop.cases.worklist import Filter, Row
from dermaloop.web.access import allow
from dermaloop.web.body_place import place_of, read_consistent
from dermaloop.web.bodymap import Place
from dermaloop.web.case_words import lesion_name
from dermaloop.web.clinical import SEX, SKIN_TYPES
from dermaloop.web.desk import desk_of
from dermaloop.web.entries import whole
from dermaloop.web.errors import WebError
from dermaloop.web.forms import Form, read_form
from dermaloop.web.identity import identity_of
from dermaloop.web.pages import failed_form, render

router = APIRouter(include_in_schema=False)

_READERS, _WRITERS = allow(Role.VIEWER), allow(Role.CLINICIAN)
_ON_A_PAGE = 25
REFUSALS = (InvalidRecordError, ConflictError, WebError)
"""What a form shows above itself; anything else is a page of its own."""
_LISTS = {"sexes": SEX, "skin_types": SKIN_TYPES, "consents": tuple(Consent)}
_FACTS = ("pseudonym", "birth_year", "sex", "skin_type", "training_consent", "note")


@router.get("/patients", dependencies=[_READERS])
async def patients_page(request: Request, search: str = "", cursor: str = "") -> HTMLResponse:
    """The practice's patients, newest first: where one is looked for who has no open case."""
    actor = identity_of(request).actor

    def look(session: Transaction) -> dict[str, Any]:
        found = patient_list.list_patients(session, actor, search=search, cursor=cursor or None, limit=_ON_A_PAGE)
        return {"found": found, "glances": patient_list.glances(session, found.patients)}

    asked = {"search": search, "cursor": cursor}
    try:
        values = await desk_of(request).write(look)
    except InvalidRecordError as error:
        return failed_form(request, "patients.html", error, found=None, **asked)
    return HTMLResponse(render("patients.html", request, failure=None, **values, **asked))


@router.get("/patients/new", dependencies=[_WRITERS])
async def new_patient(request: Request) -> HTMLResponse:
    """The form for a patient's facts, empty."""
    empty = {**dict.fromkeys(_FACTS, ""), "training_consent": str(Consent.NOT_GIVEN)}
    return HTMLResponse(render("patient_form.html", request, failure=None, entered=empty, patient=None, **_LISTS))


@router.post("/patients/new", dependencies=[_WRITERS])
async def make_patient(request: Request) -> Response:
    """Makes a patient and goes to their page."""
    form, actor = await read_form(request), identity_of(request).actor
    try:
        facts = _facts(form)
        made = await desk_of(request).write(lambda session: patients.make_patient(session, actor, **facts))
    except REFUSALS as error:
        return failed_form(request, "patient_form.html", error, entered=_entered(form), patient=None, **_LISTS)
    return RedirectResponse(f"/patients/{made.id}", HTTPStatus.SEE_OTHER)


@router.get("/patients/{patient_id}", dependencies=[_READERS])
async def patient_page(request: Request, patient_id: str) -> HTMLResponse:
    """A patient's record at a glance."""
    actor = identity_of(request).actor

    def look(session: Transaction) -> tuple[PatientFile, tuple[Row, ...]]:
        found = patients.show_patient(session, actor, patient_id)
        listed = worklist.worklist(session, actor, Filter(patient_id=patient_id), limit=worklist.LARGEST_PAGE)
        by_case = {row.case.id: row for row in listed.rows}
        return found, tuple(by_case[case.id] for case in found.cases if case.id in by_case)

    found, rows = await desk_of(request).write(look)
    counted = {lesion.id: sum(case.lesion_id == lesion.id for case in found.cases) for lesion in found.lesions}
    page = render("patient.html", request, file=found, rows=rows, marks=marks(found.lesions), counted=counted)
    return HTMLResponse(page)


@router.get("/patients/{patient_id}/edit", dependencies=[_WRITERS])
async def edit_patient(request: Request, patient_id: str) -> HTMLResponse:
    """The form for a patient's facts, filled."""
    actor = identity_of(request).actor
    found = await desk_of(request).write(lambda session: patients.show_patient(session, actor, patient_id))
    entered = {name: getattr(found.patient, name) for name in _FACTS}
    return HTMLResponse(
        render(
            "patient_form.html",
            request,
            failure=None,
            entered={name: "" if value is None else str(value) for name, value in entered.items()},
            patient=found.patient,
            **_LISTS,
        )
    )


@router.post("/patients/{patient_id}/edit", dependencies=[_WRITERS])
async def change_patient(request: Request, patient_id: str) -> Response:
    """Changes a patient's facts."""
    form, actor = await read_form(request), identity_of(request).actor
    try:
        facts = _facts(form)
        await desk_of(request).write(lambda session: patients.change_patient(session, actor, patient_id, **facts))
    except REFUSALS as error:
        found = await desk_of(request).write(lambda session: patients.show_patient(session, actor, patient_id))
        return failed_form(request, "patient_form.html", error, entered=_entered(form), patient=found.patient, **_LISTS)
    return RedirectResponse(f"/patients/{patient_id}", HTTPStatus.SEE_OTHER)


@router.get("/patients/{patient_id}/lesions/new", dependencies=[_WRITERS])
async def new_lesion(request: Request, patient_id: str) -> HTMLResponse:
    """The form for a lesion, with the patient's others on the body map."""
    actor = identity_of(request).actor
    found = await desk_of(request).write(lambda session: patients.show_patient(session, actor, patient_id))
    return HTMLResponse(render("lesion_form.html", request, failure=None, **lesion_values(found)))


@router.post("/patients/{patient_id}/lesions/new", dependencies=[_WRITERS])
async def make_lesion(request: Request, patient_id: str) -> Response:
    """Makes a lesion and goes to its page."""
    form, actor = await read_form(request), identity_of(request).actor
    try:
        given = read_lesion(form)
        made = await desk_of(request).write(lambda session: patients.make_lesion(session, actor, patient_id, **given))
    except REFUSALS as error:
        found = await desk_of(request).write(lambda session: patients.show_patient(session, actor, patient_id))
        return failed_form(request, "lesion_form.html", error, **lesion_values(found, form=form))
    return RedirectResponse(f"/lesions/{made.id}", HTTPStatus.SEE_OTHER)


def marks(lesions: tuple[Lesion, ...], *, but: str = "") -> list[SimpleNamespace]:
    """Lesions as the body map takes them, but for one; those without a place are left out."""
    return [
        SimpleNamespace(view=one.view, x=one.x, y=one.y, label=one.number)
        for one in lesions
        if one.view is not None and one.id != but
    ]


def read_lesion(form: Form) -> dict[str, Any]:
    """What the form says of a lesion, as `make_lesion` and `change_lesion` take it.

    Raises:
        WebError: `bad_parameter`.
    """
    place = read_consistent({name: form.get(name) for name in ("region", "x", "y")})
    where: dict[str, Any] = {"site": "", "view": None, "x": None, "y": None}
    if place is not None:
        where = {"site": place.site, "view": str(place.view), "x": place.x, "y": place.y}
    return {**where, "label": form.get("label"), "note": form.get("note")}


def lesion_values(found: PatientFile, lesion: Lesion | None = None, form: Form | None = None) -> dict[str, Any]:
    """What the form for a lesion shows: what was entered, else what is recorded.

    Args:
        found: The patient.
        lesion: The lesion to change; None for a new one.
        form: As it was sent, to be shown again.
    """
    entered = {"label": lesion.label if lesion else "", "note": lesion.note if lesion else ""}
    if form is not None:
        entered = {name: form.get(name) for name in entered}
    return {
        "patient": found.patient,
        "lesion": lesion,
        "name": lesion_name(lesion) if lesion else "",
        "entered": entered,
        "marks": marks(found.lesions, but=lesion.id if lesion else ""),
        "chosen": _place(lesion, form),
    }


def _place(lesion: Lesion | None, form: Form | None) -> Place | None:
    if form is not None:
        try:
            return read_consistent({name: form.get(name) for name in ("region", "x", "y")})
        except WebError:
            return None
    return place_of(lesion) if lesion else None


def _facts(form: Form) -> dict[str, Any]:
    return {
        "pseudonym": form.get("pseudonym"),
        "birth_year": whole(form, "birth_year"),
        "sex": form.get("sex"),
        "skin_type": whole(form, "skin_type"),
        "note": form.get("note"),
        # A form without the question leaves the answer as it was.
        **({"training_consent": form.get("training_consent")} if form.get("training_consent") else {}),
    }


def _entered(form: Form) -> dict[str, str]:
    return {name: form.get(name) for name in _FACTS}
