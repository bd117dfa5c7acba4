"""The page that compares two pictures of a lesion: side by side, one over the other, and the answers over time.

Owns its route. Refuses to align and to word (`web.follow_up`), and to decide what may be shown (`cases.timeline`). The
transform goes with the page: a browser lays the stored pictures over each other itself, so that no picture is made anew
and every pixel shown is one that was taken.
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

from dermaloop.cases import patients
from dermaloop.cases.database import Transaction
from dermaloop.cases.patients import PatientFile
from dermaloop.cases.records import Lesion
from dermaloop.cases.roles import Role
from dermaloop.cases.timeline import Answer, timeline
from dermaloop.web.access import allow
from dermaloop.web.case_words import lesion_name
from dermaloop.web.chart import chart_of
from dermaloop.web.desk import desk_of
from dermaloop.web.follow_up import choose, compare
from dermaloop.web.identity import identity_of
from dermaloop.web.pages import render
from dermaloop.web.views import shows_figures

router = APIRouter(include_in_schema=False)


@router.get("/lesions/{lesion_id}/follow-up", dependencies=[allow(Role.VIEWER)])
async def follow_up(request: Request, lesion_id: str, first: str = "", second: str = "") -> HTMLResponse:
    """Two pictures of a lesion compared; without any named, the latest with one of an earlier visit."""
    actor, desk = identity_of(request).actor, desk_of(request)

    def look(session: Transaction) -> tuple[PatientFile, Lesion, tuple[Answer, ...]]:
        lesion, _ = patients.show_lesion(session, actor, lesion_id)
        found = patients.show_patient(session, actor, lesion.patient_id)
        return found, lesion, timeline(session, actor, lesion_id)

    found, lesion, answers = await desk.write(look)
    pair = choose(answers, first, second)
    compared = await desk.draw(compare, desk.store.images, pair[0].image, pair[1].image) if pair else None
    page = render(
        "follow_up.html",
        request,
        patient=found.patient,
        lesion=lesion,
        name=lesion_name(lesion),
        answers=answers,
        pair=pair,
        compared=compared,
        chart=chart_of(answers),
        hidden=any(answer.hidden for answer in answers),
        shows_figures=shows_figures,
    )
    return HTMLResponse(page)
