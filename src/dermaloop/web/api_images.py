"""Stored pictures and predictions over the API.

Owns routes. Refuses to read or draw anything itself: the pages' own routes do, with the same checks and notes in the
log (`web.image_routes`).
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from dermaloop.cases import answers, casework
from dermaloop.cases.roles import Role, Scope
from dermaloop.web import api_shapes, image_routes
from dermaloop.web.access import allow
from dermaloop.web.api_common import PREFIX, RecordId, reading
from dermaloop.web.desk import desk_of
from dermaloop.web.identity import identity_of
from dermaloop.wire import records as wire

router = APIRouter(prefix=PREFIX, tags=["pictures"])

_READERS = allow(Role.VIEWER, scope=Scope.CASES_READ)
_NOT_MODIFIED: dict[int | str, dict[str, Any]] = {304: {"description": "As `If-None-Match` says, you have it."}}


def _pictures(*kinds: str) -> dict[int | str, dict[str, Any]]:
    content = {kind: {"schema": {"type": "string", "format": "binary"}} for kind in kinds}
    return {200: {"description": "The picture.", "content": content}, **_NOT_MODIFIED}


@router.get(
    "/images/{image_id}",
    summary="A picture's record",
    dependencies=[_READERS],
    response_description="The record.",
    responses=reading("record_not_found"),
)
async def show_image(request: Request, image_id: RecordId) -> wire.Image:
    """Its size, type, hash and where it belongs."""
    actor = identity_of(request).actor
    return api_shapes.image(await desk_of(request).write(lambda session: casework.show_image(session, actor, image_id)))


@router.get(
    "/images/{image_id}/file",
    summary="A picture as it is stored",
    dependencies=[_READERS],
    response_class=Response,
    responses={**reading("record_not_found"), **_pictures("image/jpeg", "image/png", "image/webp")},
)
async def picture(request: Request, image_id: RecordId) -> Response:
    """Without metadata; the samples are those that were sent."""
    return await image_routes.picture(request, image_id)


@router.get(
    "/images/{image_id}/small",
    summary="A picture made small",
    dependencies=[_READERS],
    response_class=Response,
    responses={**reading("record_not_found"), **_pictures("image/jpeg")},
)
async def small_picture(request: Request, image_id: RecordId) -> Response:
    """For lists; at most 480 pixels on the longer side."""
    return await image_routes.small_picture(request, image_id)


@router.get(
    "/predictions/{prediction_id}",
    summary="What a model said of a stored picture",
    dependencies=[_READERS],
    response_description="The prediction.",
    responses=reading("record_not_found", "conflict"),
)
async def show_prediction(request: Request, prediction_id: RecordId) -> wire.StoredPrediction:
    """It counts as seen by you. A conflict as long as the practice hides it from you."""
    actor = identity_of(request).actor
    return api_shapes.prediction(
        await desk_of(request).write(lambda session: answers.show_prediction(session, actor, prediction_id))
    )


@router.get(
    "/predictions/{prediction_id}/heatmap",
    summary="Where the evidence of an answer lies",
    dependencies=[_READERS],
    response_class=Response,
    responses={**reading("record_not_found", "not_found", "conflict"), **_pictures("image/png")},
)
async def heatmap(request: Request, prediction_id: RecordId) -> Response:
    """A transparent PNG to lay over the prediction's `frame`."""
    return await image_routes.heatmap_of(request, prediction_id)
