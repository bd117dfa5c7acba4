"""Doubted confirmations: what the checks flagged, for a lead to accept or reject before it may train.

Owns the page and its forms. Refuses to decide what is doubted: `dermaloop.refine` found it, `cases.flags` keeps it. The
sentences are made here, of a flag's numbers, so that they are in the reader's language. Where a person's confirmations
are out of line, all of theirs are flagged, and decided together: forty reasons would be forty times the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from dermaloop.cases import flags
from dermaloop.cases.database import Transaction
from dermaloop.cases.doubts import Doubt, doubts
from dermaloop.cases.errors import InvalidRecordError
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
_MOST_DECIDED = 20
_VERDICTS = frozenset(str(verdict) for verdict in Verdict)


@router.get("/feedback", dependencies=[_LEADS])
async def doubted(request: Request, done: str = "") -> HTMLResponse:
    """What waits for a lead, the oldest first; and what leads decided last."""
    done = done if done in _VERDICTS else ""
    return HTMLResponse(render("feedback.html", request, failure=None, done=done, **await _values(request)))


@router.post("/feedback/together", dependencies=[_LEADS])
async def decide_together(request: Request) -> Response:
    """Takes down what a lead decided about several flags at once."""
    return await _decide(request, (await read_form(request)).all("flag"))


@router.post("/feedback/{flag_id}", dependencies=[_LEADS])
async def decide(request: Request, flag_id: str) -> Response:
    """Takes down what a lead decided about a flag. Another word later replaces this one."""
    return await _decide(request, [flag_id])


async def _decide(request: Request, flag_ids: Sequence[str]) -> Response:
    form, actor = await read_form(request), identity_of(request).actor
    verdict, reason = form.get("verdict"), form.get("reason")

    def write(session: Transaction) -> None:
        if not flag_ids:
            raise InvalidRecordError("nothing is chosen", where="flag", way_out="Choose at least one.")
        for flag_id in flag_ids:
            flags.review_flag(session, actor, flag_id, verdict=verdict, reason=reason)

    try:
        await desk_of(request).write(write)
    except REFUSALS as error:
        return failed_form(request, "feedback.html", error, done="", **await _values(request))
    return RedirectResponse(f"/feedback?done={verdict}", HTTPStatus.SEE_OTHER)


async def _values(request: Request) -> dict[str, Any]:
    actor = identity_of(request).actor

    def look(session: Transaction) -> dict[str, Any]:
        waiting = flags.list_flags(session, actor)
        every = [flag for found in flags.flags_by_confirmation(session).values() for flag in found if not flag.waits]
        latest = sorted(every, key=_decided_at, reverse=True)[:_MOST_DECIDED]
        alone = [flag for flag in waiting if flag.kind is not FlagKind.CONTRIBUTOR]
        crowd = [flag for flag in waiting if flag.kind is FlagKind.CONTRIBUTOR]
        return {
            "waiting": len(waiting),
            "flags": doubts(session, alone[:_ON_A_PAGE]),
            "people": _by_person(doubts(session, crowd)),
            "decided": doubts(session, latest),
        }

    found = await desk_of(request).write(look)
    return {**found, "sentence": sentence}


def _decided_at(flag: Flag) -> Any:
    assert flag.review is not None
    return flag.review.made_at


def _by_person(found: Sequence[Doubt]) -> list[list[Doubt]]:
    """Flags on one person's confirmations, together."""
    people: dict[tuple[str, str], list[Doubt]] = {}
    for one in found:
        people.setdefault((one.finding.actor_kind, one.finding.actor_id), []).append(one)
    return list(people.values())


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
