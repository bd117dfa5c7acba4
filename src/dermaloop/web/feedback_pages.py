"""Doubted confirmations: what the checks flagged, for a lead to accept or reject before it may train.

Owns the page and its form. Refuses to decide what is doubted: `dermaloop.refine` found it, `cases.flags` keeps it. The
sentences are made here, of a flag's numbers, so that they are in the reader's language.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from dermaloop.cases import flags
from dermaloop.cases.flags import Flag
from dermaloop.cases.roles import Role
from dermaloop.cases.words import FlagKind, Verdict
from dermaloop.core.taxonomy import Diagnosis
from dermaloop.web.access import allow
from dermaloop.web.desk import desk_of
from dermaloop.web.forms import read_form
from dermaloop.web.identity import identity_of
from dermaloop.web.pages import failed_form, render
from dermaloop.web.patient_pages import REFUSALS
from dermaloop.web.translation import gettext as _
from dermaloop.web.wording import diagnosis_name

router = APIRouter(include_in_schema=False)

_LEADS = allow(Role.LEAD)
_ON_A_PAGE = 25


@dataclass(frozen=True, slots=True)
class Shown:
    """A flag as the page shows it.

    Attributes:
        flag: Itself.
        sentence: What was found, in the reader's language.
        image_id: The picture in doubt; empty where it is about a person's confirmations as a whole.
    """

    flag: Flag
    sentence: str
    image_id: str


@router.get("/feedback", dependencies=[_LEADS])
async def doubted(request: Request) -> HTMLResponse:
    """What waits for a lead, the oldest first."""
    return HTMLResponse(render("feedback.html", request, failure=None, **await _values(request)))


@router.post("/feedback/{flag_id}", dependencies=[_LEADS])
async def decide(request: Request, flag_id: str) -> Response:
    """Takes down what a lead decided about a flag."""
    form, actor = await read_form(request), identity_of(request).actor
    verdict, reason = form.get("verdict"), form.get("reason")
    try:
        await desk_of(request).write(
            lambda session: flags.review_flag(session, actor, flag_id, verdict=verdict, reason=reason)
        )
    except REFUSALS as error:
        return failed_form(request, "feedback.html", error, **await _values(request))
    return RedirectResponse("/feedback", HTTPStatus.SEE_OTHER)


async def _values(request: Request) -> dict[str, Any]:
    actor = identity_of(request).actor
    found = await desk_of(request).write(lambda session: flags.list_flags(session, actor))
    return {"flags": [_shown(flag) for flag in found[:_ON_A_PAGE]], "waiting": len(found), "verdicts": tuple(Verdict)}


def _shown(flag: Flag) -> Shown:
    image_id = "" if flag.kind is FlagKind.CONTRIBUTOR else flag.about
    return Shown(flag, sentence(flag), image_id)


def sentence(flag: Flag) -> str:
    """What was found, in the reader's language."""
    known = flag.evidence
    if flag.kind is FlagKind.LABEL:
        return _(
            "Confirmed as %(given)s, but to the model the picture looks like %(likelier)s: %(other)s against %(own)s,"
            " judged by other patients' pictures."
        ) % {
            "given": diagnosis_name(Diagnosis(str(known["given"]))),
            "likelier": diagnosis_name(Diagnosis(str(known["likelier"]))),
            "other": _percent(known["probability_likelier"]),
            "own": _percent(known["probability_given"]),
        }
    if flag.kind is FlagKind.CONTRIBUTOR:
        return _(
            "Of %(of)s confirmations that one person wrote down %(doubted)s do not fit their pictures; of the"
            " %(of_others)s of all others %(others)s. That is more than chance."
        ) % {name: known[name] for name in ("of", "doubted", "of_others", "others")}
    return _("The same picture belongs to another lesion too.")


def _percent(share: float) -> str:
    return f"{100 * share:.0f}\N{NO-BREAK SPACE}%"
