"""The worklist: which cases wait for what.

Owns its route and what of an address becomes a filter. Refuses to decide what may be shown: that is `cases.worklist`'s.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

from dermaloop.cases.database import Transaction
from dermaloop.cases.practice import read_practice
from dermaloop.cases.roles import Role
from dermaloop.cases.words import CaseState
from dermaloop.cases.worklist import Filter, Order, count_suggested, counts, worklist
from dermaloop.web.access import allow
from dermaloop.web.case_words import ORDERS, TABS, TEACHING
from dermaloop.web.desk import desk_of
from dermaloop.web.errors import WebError
from dermaloop.web.identity import identity_of
from dermaloop.web.pages import render
from dermaloop.web.translation import gettext_noop as N_  # noqa: N812 - the name that extraction looks for

router = APIRouter(include_in_schema=False)

_ON_A_PAGE = 25


@router.get("/worklist", dependencies=[allow(Role.VIEWER)])
async def worklist_page(
    request: Request, state: str = CaseState.OPEN, search: str = "", order: str = "", cursor: str = ""
) -> HTMLResponse:
    """A page of cases in one state."""
    actor = identity_of(request).actor
    _require(state, {**TABS, TEACHING: ""}, "state")
    if order:
        _require(order, ORDERS, "order")

    def look(session: Transaction) -> dict[str, Any]:
        # Where answers are hidden, sorting by them would leave most cases in no order at all.
        usual = Order.NEWEST if read_practice(session).hide_answer_until_impression else Order.SUSPICIOUS
        sorted_by = Order(order) if order else usual
        wanted = Filter(
            state=None if state in ("declined", TEACHING) else CaseState(state),
            declined=True if state == "declined" else None,
            suggested=state == TEACHING,
            search=search,
            order=sorted_by,
        )
        page = worklist(session, actor, wanted, cursor=cursor or None, limit=_ON_A_PAGE)
        counted, tabs = counts(session, actor), dict(TABS)
        suggested = count_suggested(session, actor)
        if suggested or state == TEACHING:
            tabs[TEACHING], counted[TEACHING] = N_("Would teach the model most"), suggested
        return {"page": page, "counts": counted, "order": sorted_by, "tabs": tabs}

    values = await desk_of(request).write(look)
    kept = {"search": search, "order": order}
    return HTMLResponse(
        render(
            "worklist.html",
            request,
            state=state,
            search=search,
            cursor=cursor,
            orders=ORDERS,
            query=urlencode({name: value for name, value in kept.items() if value}),
            **values,
        )
    )


def _require(word: str, known: dict[str, str], field: str) -> None:
    if word not in known:
        raise WebError("bad_parameter", f"{word[:40]!r} is not known", field=field, way_out="Begin at the worklist.")
