"""Cases over the API: listed, shown, judged by a clinician, signed off, confirmed, and the report's content.

Owns routes. Refuses to decide: what may be shown, and whether an impression came before or after the answer, is
`cases`'s, for programs exactly as for pages.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from dermaloop.cases import casework, opinions
from dermaloop.cases.database import Transaction
from dermaloop.cases.roles import Role, Scope
from dermaloop.cases.words import CaseState
from dermaloop.cases.worklist import Filter, Order, count_suggested, counts, worklist
from dermaloop.web import case_pages
from dermaloop.web.access import allow
from dermaloop.web.api_common import PREFIX, Cursor, Key, Limit, RecordId, Search, changing, reading
from dermaloop.web.api_shapes import case_file, case_row, report, shape
from dermaloop.web.desk import desk_of
from dermaloop.web.identity import identity_of
from dermaloop.wire import documents
from dermaloop.wire import records as wire
from dermaloop.wire.base import Answer
from dermaloop.wire.entries import ConfirmationEntry, ImpressionEntry, ReasonEntry

router = APIRouter(prefix=PREFIX, tags=["cases"])

_READERS = allow(Role.VIEWER, scope=Scope.CASES_READ)
_WRITERS = allow(Role.CLINICIAN, scope=Scope.CASES_WRITE)


@router.get(
    "/cases",
    summary="The worklist",
    dependencies=[_READERS],
    response_description="One page, and the cursor of the next.",
    responses=reading("invalid_record"),
)
async def list_cases(  # noqa: PLR0917 - query parameters, by name
    request: Request,
    state: Annotated[CaseState | None, Query(description="Where the case stands; any where left out.")] = None,
    declined: Annotated[bool | None, Query(description="Whether the model declined on any of its pictures.")] = None,
    suggested: Annotated[  # noqa: FBT002 - in the address
        bool, Query(description="Only unconfirmed cases whose confirmation would teach the model most.")
    ] = False,
    search: Search = "",
    patient_id: Annotated[str, Query(description="Of one patient.", max_length=40)] = "",
    order: Annotated[Order, Query(description="How they are sorted.")] = Order.NEWEST,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> documents.CasePage:
    """Cases by where they stand. Where the answer is hidden from you it neither shows, nor filters, nor sorts."""
    actor = identity_of(request).actor
    wanted = Filter(state, declined, search, patient_id, order, suggested)
    page = await desk_of(request).write(lambda session: worklist(session, actor, wanted, cursor=cursor, limit=limit))
    return documents.CasePage(cases=[case_row(row) for row in page.rows], next=page.cursor)


@router.get(
    "/case-counts",
    summary="How many cases stand where",
    dependencies=[_READERS],
    response_description="The numbers.",
    responses=reading(),
)
async def count_cases(request: Request) -> documents.CaseCounts:
    """For the heads of lists."""
    actor = identity_of(request).actor

    def look(session: Transaction) -> documents.CaseCounts:
        return documents.CaseCounts(**counts(session, actor), suggested=count_suggested(session, actor))

    return await desk_of(request).read(look)


@router.get(
    "/cases/{case_id}",
    summary="A case with all its entries",
    dependencies=[_READERS],
    response_description="The case.",
    responses=reading("record_not_found"),
)
async def show_case(request: Request, case_id: RecordId) -> documents.CaseFile:
    """Pictures, answers, impressions, confirmations, sign-offs. Answers that are shown count as seen by you.

    Where the practice wants your impression first, `answer_hidden` is true and `predictions` is empty until
    you have written one.
    """
    actor = identity_of(request).actor
    return case_file(await desk_of(request).write(lambda session: casework.open_case(session, actor, case_id)))


@router.post(
    "/cases/{case_id}/impressions",
    summary="Take down what a clinician thinks and does",
    status_code=201,
    dependencies=[_WRITERS],
    response_model=wire.Impression,
    response_description="The impression; `timing` says whether it came before or after its author saw an answer.",
    responses=changing("record_not_found"),
)
async def add_impression(request: Request, case_id: RecordId, once: Key, entry: ImpressionEntry) -> Response:
    """Another one later is another entry; the latest counts."""
    actor = identity_of(request).actor

    def make(session: Transaction) -> tuple[Answer, str | None]:
        made = opinions.add_impression(
            session, actor, case_id, management=entry.management, diagnosis=entry.diagnosis or "", text=entry.text
        )
        return shape(wire.Impression, made), made.patient_id

    return await once.make(entry, make)


@router.post(
    "/cases/{case_id}/signoff",
    summary="Sign a case off on its latest impression",
    status_code=201,
    dependencies=[_WRITERS],
    response_model=wire.SignOff,
    response_description="The entry.",
    responses=changing("record_not_found"),
)
async def sign_off(request: Request, case_id: RecordId, once: Key) -> Response:
    """A signed case takes no picture and no impression until it is opened again."""
    actor = identity_of(request).actor

    def make(session: Transaction) -> tuple[Answer, str | None]:
        made = opinions.sign_off(session, actor, case_id)
        return shape(wire.SignOff, made), made.patient_id

    return await once.make(None, make)


@router.post(
    "/cases/{case_id}/reopening",
    summary="Open a signed case again",
    status_code=201,
    dependencies=[_WRITERS],
    response_model=wire.SignOff,
    response_description="The entry.",
    responses=changing("record_not_found"),
)
async def reopen(request: Request, case_id: RecordId, once: Key, entry: ReasonEntry) -> Response:
    """The reason is kept."""
    actor = identity_of(request).actor

    def make(session: Transaction) -> tuple[Answer, str | None]:
        made = opinions.reopen(session, actor, case_id, reason=entry.reason)
        return shape(wire.SignOff, made), made.patient_id

    return await once.make(entry, make)


@router.post(
    "/cases/{case_id}/confirmations",
    summary="Take down what the lesion was",
    status_code=201,
    dependencies=[_WRITERS],
    response_model=wire.ConfirmedDiagnosis,
    response_description="The entry.",
    responses=changing("record_not_found"),
)
async def add_confirmation(request: Request, case_id: RecordId, once: Key, entry: ConfirmationEntry) -> Response:
    """It answers this case and the lesion's cases of earlier visits. A correction is a new entry."""
    actor = identity_of(request).actor
    given = {**entry.model_dump(), "diagnosis": entry.diagnosis or "", "malignancy": entry.malignancy or ""}

    def make(session: Transaction) -> tuple[Answer, str | None]:
        made = opinions.add_confirmation(session, actor, case_id, **given)
        return shape(wire.ConfirmedDiagnosis, made), made.patient_id

    return await once.make(entry, make)


@router.post(
    "/confirmations/{confirmation_id}/retraction",
    summary="Take a confirmation back",
    status_code=201,
    dependencies=[_WRITERS],
    response_model=wire.ConfirmedDiagnosis,
    response_description="The entry that takes it back.",
    responses=changing("record_not_found"),
)
async def retract(request: Request, confirmation_id: RecordId, once: Key, entry: ReasonEntry) -> Response:
    """The reason is kept, and so is the former entry."""
    actor = identity_of(request).actor

    def make(session: Transaction) -> tuple[Answer, str | None]:
        made = opinions.retract_confirmation(session, actor, confirmation_id, note=entry.reason)
        return shape(wire.ConfirmedDiagnosis, made), made.patient_id

    return await once.make(entry, make)


@router.get(
    "/cases/{case_id}/report",
    summary="What the report on a picture says",
    dependencies=[_READERS],
    response_description="The report's content.",
    responses=reading("record_not_found", "conflict"),
)
async def case_report(
    request: Request,
    case_id: RecordId,
    image_id: Annotated[str, Query(description="Of the case; its most suspicious where left out.", max_length=40)] = "",
) -> documents.ReportAnswer:
    """The same as the printed page, in English. A conflict where the answer is hidden from you, or there is none."""
    image, made = await case_pages.report_on(request, case_id, image_id)
    return report(made, case_id, image.id)
