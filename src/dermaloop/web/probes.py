"""What machines that watch the server ask it: whether it runs, whether it can be used, and its figures.

Owns the three routes. Refuses to tell anybody why something does not work: that is in the log.
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from dermaloop.cases.roles import Role, Scope
from dermaloop.web import schema
from dermaloop.web.access import allow, public
from dermaloop.web.desk import desk_of
from dermaloop.web.errors import WebError, problems
from dermaloop.web.metrics import CONTENT_TYPE

OPEN_PATHS = ("/healthz", "/readyz")
"""What needs no token."""

router = APIRouter()


@router.get(
    "/healthz",
    summary="Whether the server runs",
    tags=["probes"],
    dependencies=[public("a probe of the process, which tells nothing else")],
    response_description="It does.",
)
async def healthz() -> schema.Health:
    """Answers as long as the process does. Asks nothing of the store: a restart would not mend that."""
    return schema.Health(status="ok")


@router.get(
    "/readyz",
    summary="Whether the server can be used",
    tags=["probes"],
    dependencies=[public("a probe of the server, which tells what does not work by one word")],
    response_description="It can.",
    responses=problems("not_ready"),
)
async def readyz(request: Request) -> schema.Health:
    """Answers 200 once the model has been tried, while the database answers and the image store can be written.

    A server with all places taken is ready: it answers everything else, and says itself when to come back.
    """
    desk = desk_of(request)
    if not desk.ready:
        raise _not_ready("the server is starting or stopping", "model")
    broken = await desk.watch.broken()
    if broken:
        raise _not_ready("the records cannot be used just now; the server's log says why", broken)
    return schema.Health(status="ready")


def _not_ready(what: str, which: str) -> WebError:
    return WebError("not_ready", what, field=which, way_out="Try again.", retry_after_s=2)


@router.get("/metrics", dependencies=[allow(Role.LEAD, scope=Scope.METRICS)], include_in_schema=False)
async def metrics(request: Request) -> Response:
    """The figures, as Prometheus reads them."""
    desk = desk_of(request)
    await desk.watch.refresh_sizes()
    return Response(await run_in_threadpool(desk.metrics.text), media_type=CONTENT_TYPE)
