"""One picture of a screening list over the API: its answer, its bytes, and the way into a patient's record.

Owns routes. Refuses to read and to draw: the page's own routes do (`web.screening_item_pages`).
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from dermaloop.cases import job_filing, job_results
from dermaloop.cases.database import Transaction
from dermaloop.cases.roles import Role, Scope
from dermaloop.web import api_shapes, screening_item_pages
from dermaloop.web.access import allow
from dermaloop.web.api_common import PREFIX, Key, RecordId, changing, reading
from dermaloop.web.api_screenings import picture_of
from dermaloop.web.desk import desk_of
from dermaloop.web.identity import identity_of
from dermaloop.web.views import shows_figures
from dermaloop.wire import records as wire
from dermaloop.wire.base import Answer
from dermaloop.wire.entries import FilingEntry
from dermaloop.wire.screenings import ScreeningPictureFile

router = APIRouter(prefix=f"{PREFIX}/screening-pictures", tags=["screenings"])

_READERS = allow(Role.VIEWER, scope=Scope.CASES_READ)


def _pictures(*kinds: str) -> dict[int | str, dict[str, Any]]:
    content = {kind: {"schema": {"type": "string", "format": "binary"}} for kind in kinds}
    return {
        **reading("record_not_found", "not_found"),
        200: {"description": "The picture.", "content": content},
        304: {"description": "As `If-None-Match` says, you have it."},
    }


@router.get(
    "/{item_id}", summary="A picture of a screening list", dependencies=[_READERS],
    response_description="The picture with its answer.", responses=reading("record_not_found"),
)  # fmt: skip
async def show_picture(request: Request, item_id: RecordId) -> ScreeningPictureFile:
    """Counts as seen by you."""
    actor = identity_of(request).actor
    item = await desk_of(request).write(lambda session: job_results.show_item(session, actor, item_id))
    made = item.prediction
    return ScreeningPictureFile(
        picture=picture_of(item),
        screening_id=item.job_id,
        width_px=item.width_px,
        height_px=item.height_px,
        has_picture=item.sha256 is not None,
        has_heatmap=made is not None and made.heatmap is not None and shows_figures(made),
    )


@router.get(
    "/{item_id}/file", summary="A screening list's picture as it is stored", dependencies=[_READERS],
    response_class=Response, responses=_pictures("image/jpeg", "image/png", "image/webp"),
)  # fmt: skip
async def picture(request: Request, item_id: RecordId) -> Response:
    """Without metadata; the samples are those that were sent."""
    return await screening_item_pages.picture(request, item_id)


@router.get(
    "/{item_id}/small", summary="A screening list's picture made small", dependencies=[_READERS],
    response_class=Response, responses=_pictures("image/jpeg"),
)  # fmt: skip
async def small_picture(request: Request, item_id: RecordId) -> Response:
    """For lists; at most 480 pixels on the longer side."""
    return await screening_item_pages.small_picture(request, item_id)


@router.get(
    "/{item_id}/heatmap", summary="Where the evidence of a screening answer lies", dependencies=[_READERS],
    response_class=Response, responses=_pictures("image/png"),
)  # fmt: skip
async def heatmap(request: Request, item_id: RecordId) -> Response:
    """A transparent PNG to lay over the answer's `frame`."""
    return await screening_item_pages.heatmap(request, item_id)


@router.post(
    "/{item_id}/filing", summary="Give a screening list's picture to a patient's lesion", status_code=201,
    dependencies=[allow(Role.CLINICIAN, scope=Scope.CASES_WRITE)], response_model=wire.Case,
    response_description="The lesion's case of that day, which the picture is in now.",
    responses=changing("record_not_found"),
)  # fmt: skip
async def file_picture(request: Request, item_id: RecordId, once: Key, entry: FilingEntry) -> Response:
    """Picture and answer go into the record as they are; nothing is assessed anew. The list says what became of it."""
    desk, actor = desk_of(request), once.actor
    item = await desk.read(lambda session: job_results.find_item(session, item_id))
    content = b"" if item.sha256 is None else await desk.draw(desk.store.images.read, item.sha256)

    def make(session: Transaction) -> tuple[Answer, str | None]:
        case = job_filing.file_item(
            session,
            actor,
            item_id,
            entry.lesion_id,
            visited_on=entry.visited_on,
            image_type=entry.image_type,
            images=desk.store.images,
            content=content,
        )
        # Whoever looked at the list knows the answer; whoever did not finds it at the case, by the practice's rule.
        return api_shapes.case(case, hidden=True), case.patient_id

    return await once.make(entry, make)
