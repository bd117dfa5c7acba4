"""Screening: a folder of pictures without patients is taken in, assessed in the background, and shown as a list.

Owns its routes, but for those that take pictures in (`screening_intake`) and those of a single picture
(`screening_item_pages`). Refuses to assess anything itself: `web.screening` does.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import io
import tempfile
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response, StreamingResponse

from dermaloop.cases import job_deletion, job_results, jobs
from dermaloop.cases.database import Transaction
from dermaloop.cases.errors import InvalidRecordError
from dermaloop.cases.job_results import ItemOrder, Show
from dermaloop.cases.jobs import Job
from dermaloop.cases.roles import Role
from dermaloop.core.prediction import Prediction
from dermaloop.inference import tables
from dermaloop.inference.sources import SUFFIXES
from dermaloop.web.access import allow
from dermaloop.web.desk import desk_of
from dermaloop.web.errors import WebError
from dermaloop.web.forms import read_form
from dermaloop.web.identity import identity_of
from dermaloop.web.pages import failed_form, render
from dermaloop.web.screening_words import ITEM_ORDERS, SHOWS, default_name

router = APIRouter(include_in_schema=False)

_READERS, _WRITERS = allow(Role.VIEWER), allow(Role.CLINICIAN)
ON_A_PAGE = 50
_IN_MEMORY_BYTES, _CHUNK_BYTES = 1024 * 1024, 64 * 1024
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@router.get("/screenings", dependencies=[_READERS])
async def screenings(request: Request) -> HTMLResponse:
    """The lists, and the form that begins one."""
    return HTMLResponse(render("screenings.html", request, failure=None, **await _listed(request)))


async def _listed(request: Request) -> dict[str, Any]:
    actor = identity_of(request).actor
    found, _ = await desk_of(request).write(lambda session: jobs.listing(session, actor))
    return {"jobs": found, "entered": default_name(dt.datetime.now().astimezone())}


@router.post("/screenings", dependencies=[_WRITERS])
async def begin(request: Request) -> Response:
    """Begins a list and goes to its page, which takes the pictures."""
    form, actor = await read_form(request), identity_of(request).actor
    try:
        made = await desk_of(request).write(lambda session: jobs.make_job(session, actor, name=form.get("name")))
    except InvalidRecordError as error:
        return failed_form(request, "screenings.html", error, **{**await _listed(request), "entered": form.get("name")})
    return RedirectResponse(f"/screenings/{made.id}", HTTPStatus.SEE_OTHER)


@router.get("/screenings/{job_id}", dependencies=[_READERS])
async def screening(
    request: Request, job_id: str, show: str = Show.ALL, order: str = ItemOrder.SUSPICIOUS, page: int = 1
) -> HTMLResponse:
    """A list: what is done, what was found, and the field for more pictures."""
    return HTMLResponse(render("screening.html", request, **await _values(request, job_id, show, order, page)))


@router.get("/screenings/{job_id}/part", dependencies=[_READERS])
async def screening_part(
    request: Request, job_id: str, show: str = Show.ALL, order: str = ItemOrder.SUSPICIOUS, page: int = 1
) -> HTMLResponse:
    """The same without the page around it, for the script."""
    return HTMLResponse(render("_screening_list.html", request, **await _values(request, job_id, show, order, page)))


async def _values(request: Request, job_id: str, show: str, order: str, page: int) -> dict[str, Any]:
    if show not in SHOWS or order not in ITEM_ORDERS or not 1 <= page <= jobs.MOST_PICTURES:
        raise WebError("bad_parameter", "this is no part of a list", field="show", way_out="Begin at the list.")
    actor, desk = identity_of(request).actor, desk_of(request)
    wanted = (Show(show), ItemOrder(order))
    found = await desk.write(
        lambda session: job_results.show_job(
            session, actor, job_id, *wanted, offset=(page - 1) * ON_A_PAGE, limit=ON_A_PAGE
        )
    )
    return {
        "job": found.job,
        "items": found.items,
        "page": page,
        "pages": max(1, -(-found.count // ON_A_PAGE)),
        "show": show,
        "order": order,
        "shows": SHOWS,
        "orders": ITEM_ORDERS,
        "counts": _counts(found.job),
        "query": lambda **changes: urlencode({"show": show, "order": order, "page": 1, **changes}),
        "may_delete": _may_delete(request, found.job),
        "suffixes": ",".join(sorted(SUFFIXES)),
    }


def _counts(job: Job) -> dict[str, int]:
    waiting = job.waiting + job.stopped
    return {
        Show.ALL: job.arrived,
        Show.REFER: job.refer,
        Show.BELOW: job.below,
        Show.DECLINED: job.declined,
        Show.FAILED: job.failed,
        Show.WAITING: waiting,
    }


def _may_delete(request: Request, job: Job) -> bool:
    """Its maker may, and leads: what others collected is not anybody's to remove."""
    who = identity_of(request)
    return who.role.covers(Role.LEAD) or (
        who.role.covers(Role.CLINICIAN) and who.actor.person == (job.actor_kind, job.actor_id)
    )


@router.get("/screenings/{job_id}/progress/part", dependencies=[_READERS])
async def progress(request: Request, job_id: str) -> HTMLResponse:
    """How far the work is: numbers only, for the script that asks again and again."""
    found = await desk_of(request).read(lambda session: jobs.numbers(session, job_id))
    return HTMLResponse(render("_screening_progress.html", request, job=found))


@router.get("/screenings/{job_id}/arrived", dependencies=[_WRITERS])
async def arrived(request: Request, job_id: str) -> JSONResponse:
    """Names and sizes of the files that are here: what the script need not send again."""
    found = await desk_of(request).read(lambda session: job_results.arrived(session, job_id))
    return JSONResponse(found)


@router.get("/screenings/{job_id}/results.csv", dependencies=[_READERS])
async def results(request: Request, job_id: str) -> Response:
    """Every answer so far as a table, with the columns of `dermaloop classify`."""
    desk, actor = desk_of(request), identity_of(request).actor
    # On its way it lies in memory, or in an unnamed file where it is large; never whole in memory.
    spool = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES)  # noqa: SIM115 - closed when it has been sent

    def write(session: Transaction) -> None:
        text = io.TextIOWrapper(spool, encoding="utf-8", newline="", write_through=True)
        classifier = desk.classifier
        with tables.on_stream(text, "csv", classifier.bundle, classifier.operating_point) as add:
            for prediction in job_results.export_job(session, actor, job_id):
                add(_harmless(prediction))
        text.detach()

    try:
        await desk.write(write)
    except BaseException:
        spool.close()
        raise
    spool.seek(0)
    headers = {"Content-Disposition": f'attachment; filename="screening-{job_id[:8]}.csv"'}
    return StreamingResponse(_chunks(spool), media_type="text/csv; charset=utf-8", headers=headers)


def _harmless(prediction: Prediction) -> Prediction:
    """With a name that a spreadsheet does not run: whoever sends a file chooses what it is called."""
    if not prediction.image.startswith(_FORMULA):
        return prediction
    return dataclasses.replace(prediction, image=f"'{prediction.image}")


def _chunks(spool: tempfile.SpooledTemporaryFile[bytes]) -> Iterator[bytes]:
    with spool:
        while chunk := spool.read(_CHUNK_BYTES):
            yield chunk


@router.post("/screenings/{job_id}/cancel", dependencies=[_WRITERS])
async def cancel(request: Request, job_id: str) -> Response:
    """Lets the list rest."""
    actor = identity_of(request).actor
    await desk_of(request).write(lambda session: jobs.cancel(session, actor, job_id))
    return RedirectResponse(f"/screenings/{job_id}", HTTPStatus.SEE_OTHER)


@router.post("/screenings/{job_id}/resume", dependencies=[_WRITERS])
async def resume(request: Request, job_id: str) -> Response:
    """Lets it go on."""
    desk, actor = desk_of(request), identity_of(request).actor
    await desk.write(lambda session: jobs.resume(session, actor, job_id))
    desk.screening.wake()
    return RedirectResponse(f"/screenings/{job_id}", HTTPStatus.SEE_OTHER)


@router.post("/screenings/{job_id}/delete", dependencies=[_WRITERS])
async def delete(request: Request, job_id: str) -> Response:
    """Deletes the list with its pictures. Cannot be undone."""
    await remove(request, job_id)
    return RedirectResponse("/screenings", HTTPStatus.SEE_OTHER)


async def remove(request: Request, job_id: str) -> int:
    """Deletes a list where who asks may; gives how many pictures were removed from the store.

    Raises:
        RecordNotFoundError: There is no such list.
        WebError: `role_missing`.
    """
    desk, actor = desk_of(request), identity_of(request).actor
    found = await desk.read(lambda session: jobs.numbers(session, job_id))
    if not _may_delete(request, found):
        raise WebError(
            "role_missing",
            "only its maker or a lead may delete a list",
            field=Role.LEAD.value,
            way_out="Ask one.",
        )
    return await run_in_threadpool(job_deletion.delete_job, desk.store, actor, job_id)
