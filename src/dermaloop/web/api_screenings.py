"""Screening lists over the API: made, filled, followed, read, stopped, taken up again, deleted.

Owns routes. Refuses to assess anything and to receive files in a way of its own: both are the pages' (`web.screening`,
`web.screening_intake`).
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from dermaloop.cases import job_results, jobs
from dermaloop.cases.database import Transaction
from dermaloop.cases.errors import InvalidRecordError
from dermaloop.cases.idempotency import KeptAnswer
from dermaloop.cases.job_results import Item, ItemOrder, Show
from dermaloop.cases.roles import Role, Scope
from dermaloop.web import schema, screening_intake, screening_pages
from dermaloop.web.access import allow
from dermaloop.web.api_common import PREFIX, Cursor, Key, Limit, RecordId, changing, created, reading
from dermaloop.web.api_shapes import shape
from dermaloop.web.desk import desk_of
from dermaloop.web.identity import identity_of
from dermaloop.web.upload import FIELD
from dermaloop.wire.assessment import HeatmapFormat
from dermaloop.wire.base import ID, Answer
from dermaloop.wire.documents import DeletionAnswer
from dermaloop.wire.screenings import (
    ArrivedFile,
    ArrivedFiles,
    Screening,
    ScreeningEntry,
    ScreeningList,
    ScreeningPage,
    ScreeningPicture,
)

router = APIRouter(prefix=f"{PREFIX}/screenings", tags=["screenings"])

_READERS = allow(Role.VIEWER, scope=Scope.CASES_READ)
_WRITERS = allow(Role.CLINICIAN, scope=Scope.CASES_WRITE)
_FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": [FIELD],
                    "properties": {
                        FIELD: {
                            "type": "array",
                            "items": {"type": "string", "format": "binary"},
                            "description": "One or several picture files.",
                        }
                    },
                }
            }
        },
    }
}


_TABLE: dict[int | str, dict[str, Any]] = {
    200: {"description": "The table.", "content": {"text/csv": {"schema": {"type": "string"}}}}
}


class _Made(Answer):
    """What is kept of the making of a list: its name goes when it is deleted, so that does not lie here too."""

    id: ID


@router.get(
    "", summary="Screening lists, newest first", dependencies=[_READERS], response_description="The lists.",
    responses=reading("invalid_record"),
)  # fmt: skip
async def list_screenings(request: Request, cursor: Cursor = None, limit: Limit = 50) -> ScreeningList:
    """Folders of pictures without patients, with how far each is."""
    actor = identity_of(request).actor
    found, following = await desk_of(request).write(
        lambda session: jobs.listing(session, actor, cursor=cursor, limit=limit)
    )
    return ScreeningList(screenings=[shape(Screening, one) for one in found], next=following)


@router.post(
    "", summary="Begin a screening list", status_code=201, dependencies=[_WRITERS], response_model=Screening,
    response_description="The list, empty.", responses=changing("record_not_found"),
)  # fmt: skip
async def begin(request: Request, once: Key, entry: ScreeningEntry) -> Response:
    """Send its pictures afterwards, as many requests as there need to be."""
    once.ask(entry.model_dump(mode="json"))

    def write(session: Transaction) -> tuple[Screening, bool]:
        known = once.answered(session)
        if known:
            return shape(Screening, jobs.numbers(session, _Made.model_validate_json(known.body).id)), True
        made = jobs.make_job(session, once.actor, name=entry.name)
        once.keep(session, _Made(id=made.id), None)
        return shape(Screening, made), False

    made, repeated = await desk_of(request).write(write)
    return created(KeptAnswer(201, made.model_dump_json()), repeated=repeated)


@router.get(
    "/{job_id}", summary="How far a screening list is", dependencies=[_READERS], response_description="The numbers.",
    responses=reading("record_not_found"),
)  # fmt: skip
async def show_screening(request: Request, job_id: RecordId) -> Screening:
    """Numbers only, to be asked for again and again; no look at an answer."""
    return shape(Screening, await desk_of(request).read(lambda session: jobs.numbers(session, job_id)))


@router.get(
    "/{job_id}/pictures", summary="Pictures of a screening list with their answers", dependencies=[_READERS],
    response_description="One page, and the cursor of the next.",
    responses=reading("record_not_found", "invalid_record"),
)  # fmt: skip
async def show_pictures(  # noqa: PLR0917 - query parameters, by name
    request: Request,
    job_id: RecordId,
    show: Annotated[Show, Query(description="Which of them.")] = Show.ALL,
    order: Annotated[
        ItemOrder, Query(description="While the list is being assessed, only the order of arrival stands still.")
    ] = ItemOrder.SUSPICIOUS,
    cursor: Annotated[str | None, Query(description="`next` of the page before.", max_length=20)] = None,
    limit: Limit = 50,
) -> ScreeningPage:
    """Counts as seen by you."""
    actor, offset = identity_of(request).actor, _offset(cursor)
    page = await desk_of(request).write(
        lambda session: job_results.show_job(session, actor, job_id, show, order, offset=offset, limit=limit)
    )
    following = offset + len(page.items)
    return ScreeningPage(
        screening=shape(Screening, page.job),
        pictures=[picture_of(one) for one in page.items],
        count=page.count,
        next=str(following) if page.items and following < page.count else None,
    )


@router.post(
    "/{job_id}/pictures", summary="Add pictures to a screening list", openapi_extra=_FORM,
    dependencies=[allow(Role.CLINICIAN, scope=Scope.CASES_WRITE, upload=True)],
    response_description="How far the list is.",
    responses=changing(
        "record_not_found", "malformed_upload", "too_many_files", "form_too_large", "not_multipart", "no_picture",
        "too_slow",
    ),
)  # fmt: skip
async def add_pictures(request: Request, job_id: RecordId) -> Screening:
    """When it answers, they survive anything that the records survive; they are assessed in the background.

    A file of the same name and content is there once, however often it is sent, so a lost answer is no reason for care.
    A file that cannot be read becomes a picture of the list with its reason.
    """
    await screening_intake.take_in(request, job_id)
    return await show_screening(request, job_id)


@router.get(
    "/{job_id}/files", summary="The files that a screening list has", dependencies=[_WRITERS],
    response_description="Name and size of each, in the order of arrival.", responses=reading("record_not_found"),
)  # fmt: skip
async def show_files(request: Request, job_id: RecordId) -> ArrivedFiles:
    """So that a program which was interrupted sends only what is not here; no look at an answer."""
    found = await desk_of(request).read(lambda session: job_results.arrived(session, job_id))
    return ArrivedFiles(files=[ArrivedFile(name=name, size_bytes=size) for name, size in found])


@router.get(
    "/{job_id}/results", summary="Every answer of a screening list as a table", dependencies=[_READERS],
    response_class=Response, responses={**reading("record_not_found"), **_TABLE},
)  # fmt: skip
async def results(request: Request, job_id: RecordId) -> Response:
    """CSV with the columns of `dermaloop classify`, in the order of arrival; what waits is left out."""
    return await screening_pages.results(request, job_id)


@router.post(
    "/{job_id}/stop", summary="Let a screening list rest", dependencies=[_WRITERS],
    response_description="How far the list is.", responses=changing("record_not_found"),
)  # fmt: skip
async def stop(request: Request, job_id: RecordId) -> Screening:
    """What waits is not assessed until it goes on."""
    actor = identity_of(request).actor
    await desk_of(request).write(lambda session: jobs.cancel(session, actor, job_id))
    return await show_screening(request, job_id)


@router.post(
    "/{job_id}/resume", summary="Let a screening list go on", dependencies=[_WRITERS],
    response_description="How far the list is.", responses=changing("record_not_found"),
)  # fmt: skip
async def resume(request: Request, job_id: RecordId) -> Screening:
    """Where it was stopped."""
    desk, actor = desk_of(request), identity_of(request).actor
    await desk.write(lambda session: jobs.resume(session, actor, job_id))
    desk.screening.wake()
    return await show_screening(request, job_id)


@router.post(
    "/{job_id}/deletion", summary="Delete a screening list with its pictures", dependencies=[_WRITERS],
    response_description="It is done.", responses=changing("record_not_found"),
)  # fmt: skip
async def delete(request: Request, job_id: RecordId) -> DeletionAnswer:
    """By its maker or a lead. Pictures that were given to a patient stay with the patient. Cannot be undone."""
    return DeletionAnswer(images_removed=await screening_pages.remove(request, job_id))


def picture_of(item: Item) -> ScreeningPicture:
    """A picture of a list as the API sends it."""
    made = item.prediction
    return shape(
        ScreeningPicture,
        item,
        result=None if made is None else schema.result(made, HeatmapFormat.NONE),
    )


def _offset(cursor: str | None) -> int:
    if cursor is None:
        return 0
    if not (cursor.isascii() and cursor.isdecimal() and int(cursor) <= jobs.MOST_PICTURES):
        raise InvalidRecordError(
            "the cursor does not belong to this list", where="cursor", way_out="Begin at the first page."
        )
    return int(cursor)
