"""Doubted confirmations over the API: listed, and decided by a lead before they may train.

Owns routes. Refuses to decide what is doubted: `dermaloop.refine` found it, `cases.flags` keeps it.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from dermaloop.cases import flags
from dermaloop.cases.database import Transaction
from dermaloop.cases.flags import Flag
from dermaloop.cases.roles import Role, Scope
from dermaloop.web.access import allow
from dermaloop.web.api_common import PREFIX, Cursor, Key, Limit, RecordId, changing, reading
from dermaloop.web.api_shapes import shape
from dermaloop.web.desk import desk_of
from dermaloop.web.feedback_pages import sentence
from dermaloop.web.identity import identity_of
from dermaloop.wire import feedback as wire
from dermaloop.wire.base import Answer
from dermaloop.wire.entries import FlagReviewEntry

router = APIRouter(prefix=f"{PREFIX}/flags", tags=["feedback"])

_LEADS = allow(Role.LEAD, scope=Scope.FEEDBACK_REVIEW)


@router.get(
    "", summary="Doubted confirmations, oldest first", dependencies=[_LEADS],
    response_description="One page, and the cursor of the next.", responses=reading("invalid_record"),
)  # fmt: skip
async def list_flags(
    request: Request,
    waiting: Annotated[bool, Query(description="Only those that no lead has decided about.")] = True,  # noqa: FBT002
    cursor: Cursor = None,
    limit: Limit = 50,
) -> wire.FlagPage:
    """What is flagged does not train before a lead has accepted it."""
    actor = identity_of(request).actor

    def look(session: Transaction) -> wire.FlagPage:
        found, following = flags.flag_page(session, actor, waiting=waiting, cursor=cursor, limit=limit)
        return wire.FlagPage(flags=[_flag(one) for one in found], waiting=flags.count_waiting(session), next=following)

    return await desk_of(request).write(look)


@router.post(
    "/{flag_id}/reviews", summary="Decide about a doubted confirmation", status_code=201, dependencies=[_LEADS],
    response_model=wire.Flag, response_description="The flag, with the decision.",
    responses=changing("record_not_found"),
)  # fmt: skip
async def review(flag_id: RecordId, once: Key, entry: FlagReviewEntry) -> Response:
    """Another word later is another entry, and the latest counts."""

    def make(session: Transaction) -> tuple[Answer, str | None]:
        made = flags.review_flag(session, once.actor, flag_id, verdict=entry.verdict, reason=entry.reason)
        return _flag(made), flags.patient_of(session, flag_id)

    return await once.make(entry, make)


def _flag(flag: Flag) -> wire.Flag:
    said = flag.review
    return shape(
        wire.Flag,
        flag,
        sentence=sentence(flag),
        evidence=dict(flag.evidence),
        review=None if said is None else shape(wire.FlagReview, said),
    )
