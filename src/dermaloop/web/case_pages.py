"""The page of a case: pictures, the model's answer, the clinician's impression, sign-off, and the report to print.

Owns its routes. Refuses to decide: whether the answer may be shown yet, and whether an impression came before or after
it, is `cases`'s. Confirmed diagnoses are taken down by `web.confirmation_pages`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from dermaloop.cases import casework, opinions
from dermaloop.cases.actor import Actor
from dermaloop.cases.casework import CaseFile
from dermaloop.cases.database import Transaction
from dermaloop.cases.errors import ConflictError
from dermaloop.cases.practice import read_practice
from dermaloop.cases.records import Image
from dermaloop.cases.roles import Role
from dermaloop.cases.timeline import has_earlier
from dermaloop.core.errors import DermaloopError
from dermaloop.core.manifest import Confirmation
from dermaloop.core.taxonomy import Diagnosis
from dermaloop.web.access import allow
from dermaloop.web.case_view import Picture, facts_of, pictures_of
from dermaloop.web.case_words import MALIGNANCY, confirmed_name, lesion_name
from dermaloop.web.clinical import MANAGEMENT
from dermaloop.web.desk import desk_of
from dermaloop.web.forms import Form, read_form
from dermaloop.web.identity import identity_of
from dermaloop.web.pages import failed_form, render
from dermaloop.web.patient_pages import REFUSALS
from dermaloop.web.report import Report, limits, report_of

router = APIRouter(include_in_schema=False)

_READERS, _WRITERS = allow(Role.VIEWER), allow(Role.CLINICIAN)
_IMPRESSION = ("diagnosis", "management", "text")
CONFIRMATION = (
    "diagnosis", "term", "malignancy", "confirmation", "confirmed_on", "confirmed_by", "note", "document", "corrects_id"
)  # fmt: skip
"""The entries of the form for a confirmed diagnosis."""


@router.get("/cases/{case_id}", dependencies=[_READERS])
async def case_page(request: Request, case_id: str, correct: str = "") -> HTMLResponse:
    """The case; with `correct`, the form to correct that confirmation."""
    return HTMLResponse(render("case.html", request, failure=None, **await case_values(request, case_id, correct)))


async def case_values(
    request: Request, case_id: str, correct: str = "", form: Form | None = None, about: str = ""
) -> dict[str, Any]:
    """What the page shows. Looking at it is noted.

    Args:
        request: Who looks.
        case_id: At which case.
        correct: The confirmation that is to be corrected.
        form: A form that could not be kept, to be shown again.
        about: Which one that is: `impression`, `confirmation`, or empty for those without entries worth keeping.

    Raises:
        RecordNotFoundError: There is no such case.
    """
    actor, desk = identity_of(request).actor, desk_of(request)

    def look(session: Transaction) -> tuple[CaseFile, bool]:
        return casework.open_case(session, actor, case_id), has_earlier(session, case_id)

    file, before = await desk.write(look)
    standing = opinions.standing(file.confirmations)
    return {
        "file": file,
        "before": before,
        "name": lesion_name(file.lesion),
        "pictures": pictures_of(file, desk.classifier),
        "standing": {entry.id for entry in standing},
        "confirmed_name": confirmed_name,
        "limits": limits(),
        "diagnoses": list(Diagnosis),
        "managements": list(MANAGEMENT),
        "malignancies": list(MALIGNANCY),
        "confirmation_kinds": [kind for kind in Confirmation if kind is not Confirmation.UNKNOWN],
        "today": dt.datetime.now().astimezone().date().isoformat(),
        "about": about,
        "impression_entered": _entered(form if about == "impression" else None, _IMPRESSION),
        "entered": _confirmation_entered(file, correct, form if about == "confirmation" else None),
    }


def _entered(form: Form | None, names: tuple[str, ...]) -> dict[str, str]:
    return {name: form.get(name) if form else "" for name in names}


def _confirmation_entered(file: CaseFile, correct: str, form: Form | None) -> dict[str, str]:
    entered = _entered(form, CONFIRMATION)
    former = next((entry for entry in opinions.standing(file.confirmations) if entry.id == correct), None)
    if form is None and former is not None:
        values = {name: getattr(former, name, "") for name in CONFIRMATION}
        entered = {name: "" if value is None else str(value) for name, value in values.items()}
        entered["corrects_id"] = former.id
    return entered


@router.post("/cases/{case_id}/impression", dependencies=[_WRITERS])
async def add_impression(request: Request, case_id: str) -> Response:
    """Takes down what the clinician thinks and does; with `then=sign`, signs the case off on it as well."""
    form = await read_form(request)
    given = {name: form.get(name) for name in _IMPRESSION}

    def add(session: Transaction, actor: Actor) -> None:
        opinions.add_impression(session, actor, case_id, **given)
        if form.get("then") == "sign":
            opinions.sign_off(session, actor, case_id)

    return await _change(request, case_id, add, "impression")


@router.post("/cases/{case_id}/signoff", dependencies=[_WRITERS])
async def sign_off(request: Request, case_id: str) -> Response:
    """Signs the case off on its latest impression."""
    return await _change(request, case_id, lambda session, actor: opinions.sign_off(session, actor, case_id))


@router.post("/cases/{case_id}/reopen", dependencies=[_WRITERS])
async def reopen(request: Request, case_id: str) -> Response:
    """Opens a signed case again."""
    reason = (await read_form(request)).get("reason")
    return await _change(
        request, case_id, lambda session, actor: opinions.reopen(session, actor, case_id, reason=reason)
    )


async def _change(
    request: Request, case_id: str, change: Callable[[Transaction, Actor], object], about: str = ""
) -> Response:
    actor, form = identity_of(request).actor, await read_form(request)
    try:
        await desk_of(request).write(lambda session: change(session, actor))
    except REFUSALS as error:
        return await refused(request, case_id, error, form, about)
    return RedirectResponse(f"/cases/{case_id}#impression-title", HTTPStatus.SEE_OTHER)


async def refused(request: Request, case_id: str, error: DermaloopError, form: Form, about: str = "") -> HTMLResponse:
    """The case's page again with what was entered, and above it why it was not kept."""
    return failed_form(request, "case.html", error, **await case_values(request, case_id, form=form, about=about))


@router.get("/cases/{case_id}/report", dependencies=[_READERS])
async def report(request: Request, case_id: str, picture: str = "") -> HTMLResponse:
    """The one-page report on a picture of the case; without one named, on its most suspicious."""
    _, made = await report_on(request, case_id, picture)
    return HTMLResponse(render("report.html", request, report=made, back=f"/cases/{case_id}"))


async def report_on(request: Request, case_id: str, image_id: str) -> tuple[Image, Report]:
    """A picture of the case and the report on it. Looking at it is noted.

    Args:
        request: Who looks.
        case_id: At which case.
        image_id: At which of its pictures; empty for the most suspicious.

    Raises:
        RecordNotFoundError: There is no such case.
        ConflictError: The answer is hidden from who asks, or there is none.
    """
    actor, desk = identity_of(request).actor, desk_of(request)

    def look(session: Transaction) -> tuple[CaseFile, str]:
        return casework.open_case(session, actor, case_id), read_practice(session).name

    file, practice = await desk.write(look)
    shown = _reported(pictures_of(file, desk.classifier), image_id)
    if shown is None or shown.view is None:
        raise ConflictError(
            "the model's answer is hidden until your impression is in"
            if file.answer_hidden
            else "nothing was assessed",
            where=case_id,
            way_out="Write your impression down first." if file.answer_hidden else "Add a picture of the lesion.",
        )
    licence = desk.classifier.bundle.spec.licence
    return shown.image, report_of(shown.view, licence, facts_of(file, practice))


def _reported(pictures: tuple[Picture, ...], image_id: str) -> Picture | None:
    answered = [one for one in pictures if one.view is not None]
    if image_id:
        answered = [one for one in answered if one.image.id == image_id]
    return max(answered, key=_suspicion, default=None)


def _suspicion(picture: Picture) -> float:
    assert picture.view is not None
    shown = picture.view.prediction.malignant_probability if picture.view.bars else None
    return -1.0 if shown is None else shown
