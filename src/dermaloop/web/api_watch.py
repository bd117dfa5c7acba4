"""The watch over the API: what it found, a look asked for, and alarms closed.

Owns routes. Refuses to compute: `web.watch_run` starts the command that does, and the findings are in the records.
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from dermaloop.cases import watch_looks
from dermaloop.cases.database import Transaction
from dermaloop.cases.errors import ConflictError
from dermaloop.cases.findings import alarms, latest_run, review_alarm
from dermaloop.cases.roles import Role, Scope
from dermaloop.web.access import allow
from dermaloop.web.api_common import PREFIX, Key, RecordId, changing, reading
from dermaloop.web.api_shapes import shape
from dermaloop.web.desk import desk_of
from dermaloop.web.identity import identity_of
from dermaloop.web.watch_run import installed
from dermaloop.web.watch_shapes import alarm_of, answer_of
from dermaloop.wire import watch as wire
from dermaloop.wire.base import Answer
from dermaloop.wire.entries import AlarmReviewEntry

router = APIRouter(prefix=f"{PREFIX}/watch", tags=["watch"])

_REVIEWERS = allow(Role.LEAD, scope=Scope.WATCH_REVIEW)


@router.get(
    "", summary="What the watch found", dependencies=[allow(Role.LEAD, scope=Scope.METRICS)],
    response_description="The latest look, and every alarm. Nothing in it belongs to one patient.",
    responses=reading(),
)  # fmt: skip
async def watch_answer(request: Request) -> wire.WatchAnswer:
    """The latest look at pictures, answers and confirmed cases; and the alarms, newest first, open and closed."""

    def look(session: Transaction) -> wire.WatchAnswer:
        return answer_of(latest_run(session), alarms(session), watch_looks.latest(session))

    return await desk_of(request).read(look)


@router.post(
    "/looks", summary="Let the watch look now", status_code=202, dependencies=[_REVIEWERS],
    response_description="The look, which is worked off in the background; `asked` of the watch says how far it is.",
    responses=changing(),
)  # fmt: skip
async def ask(request: Request) -> wire.AskedLook:
    """Where one is to be done already, that one is given: asking again does no harm."""
    if not installed():
        raise ConflictError(
            "what the watch computes with is not installed on the server",
            where="watch",
            way_out="Install it with: pip install 'dermaloop[watch]'",
        )
    return shape(wire.AskedLook, await desk_of(request).watch_runs.ask(identity_of(request).actor))


@router.post(
    "/alarms/{alarm_id}/review", summary="Say what is behind an alarm, which closes it", status_code=201,
    dependencies=[_REVIEWERS], response_model=wire.WatchAlarm, response_description="The alarm, closed.",
    responses=changing("record_not_found"),
)  # fmt: skip
async def review(alarm_id: RecordId, once: Key, entry: AlarmReviewEntry) -> Response:
    """A conflict where it is closed already."""

    def make(session: Transaction) -> tuple[Answer, str | None]:
        made = review_alarm(session, once.actor, alarm_id, outcome=entry.outcome, note=entry.note)
        return alarm_of(made), None

    return await once.make(entry, make)
