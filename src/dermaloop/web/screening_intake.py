"""What arrives for a screening list: pictures, and word of files that are too large to be sent.

Owns the routes that take them. Refuses to assess anything: what arrives is stripped, made durable and written down, and
`web.screening` does the rest. The page's script sends a folder piece by piece; without it, the form sends what fits
into one request. A file over the limit is not sent at all, only its name and size: the list keeps it with the reason,
so that a folder's list has a row for every picture of the folder.
"""

from __future__ import annotations

import functools
import hashlib
from http import HTTPStatus

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from dermaloop.cases import job_arrivals, jobs
from dermaloop.cases.database import Transaction
from dermaloop.cases.job_arrivals import Arrival
from dermaloop.cases.roles import Role
from dermaloop.cases.strip import strip
from dermaloop.core.errors import ImageError
from dermaloop.core.prediction import Prediction, Reason, Status
from dermaloop.web.access import allow, check_upload_token
from dermaloop.web.desk import Desk, desk_of
from dermaloop.web.errors import WebError
from dermaloop.web.forms import Form, read_form
from dermaloop.web.identity import identity_of
from dermaloop.web.upload import Upload, receive
from dermaloop.web.views import predict

router = APIRouter(include_in_schema=False)

_TAKERS = allow(Role.CLINICIAN, upload=True)
_MOST_DIGITS = 15
_LARGEST_BYTES = 2**31 - 1
"""What the column of sizes holds; a file beyond it is over the limit by far."""


@router.post("/screenings/{job_id}/pictures", dependencies=[_TAKERS])
async def add_by_form(request: Request, job_id: str) -> Response:
    """Takes the pictures of the plain form in."""
    await take_in(request, job_id)
    return RedirectResponse(f"/screenings/{job_id}", HTTPStatus.SEE_OTHER)


@router.post("/screenings/{job_id}/pictures/part", dependencies=[_TAKERS])
async def add_by_script(request: Request, job_id: str) -> Response:
    """Takes a piece of a folder in. When it answers, the pictures survive anything that the records survive."""
    await take_in(request, job_id)
    return Response(status_code=HTTPStatus.NO_CONTENT)


async def take_in(request: Request, job_id: str) -> None:
    """Takes the pictures of a request into a list; one of the same name and content is there once, however often sent.

    Raises:
        WebError: As `upload.receive` and `Capacity` say.
        RecordNotFoundError: There is no such list.
        ConflictError: It rests, or would grow too long.
    """
    desk, actor = desk_of(request), identity_of(request).actor
    check = functools.partial(check_upload_token, request)
    with desk.screening.storing.place():
        uploads = await receive(request, desk.settings, check=check, keep_going=True)
        form = await read_form(request)
        await desk.read(lambda session: jobs.find_running(session, job_id))
        paths = form.all("path")
        names = paths if len(paths) == len(uploads) else tuple(one.name for one in uploads)
        arrivals = [
            await desk.screening.storing.run(_arrive, desk, upload, name)
            for upload, name in zip(uploads, names, strict=True)
        ]

        def write(session: Transaction) -> None:
            job_arrivals.receive(session, actor, job_id, arrivals)
            _expect(session, job_id, form)

        await desk.write(write)
    desk.screening.wake()


def _expect(session: Transaction, job_id: str, form: Form) -> None:
    expected = form.get("expected", "0")
    if expected.isascii() and expected.isdecimal():
        job_arrivals.expect(session, job_id, int(expected[:9]))


def _arrive(desk: Desk, upload: Upload, name: str) -> Arrival:
    """One file: stripped and durable, or refused with the reason. Runs in a worker thread."""
    upload.name = job_arrivals.item_name(name)
    if upload.too_large:
        return _left_out(desk, name, 0)
    try:
        stripped = strip(upload.content, name=upload.name)
    except ImageError as error:
        digest = hashlib.sha256(upload.content).hexdigest()
        told = Reason(error.reason, f"{error.what[:1].upper()}{error.what[1:]}. {error.way_out}".strip())
        bundle = desk.classifier.bundle.identity
        refused = Prediction(upload.name, digest, bundle, Status.UNREADABLE, (told,))
        return Arrival(name, digest, len(upload.content), None, refused)
    desk.store.images.put(stripped.sha256, stripped.content)
    return Arrival(name, stripped.received_sha256, len(upload.content), stripped)


@router.post("/screenings/{job_id}/too-large/part", dependencies=[allow(Role.CLINICIAN)])
async def add_too_large(request: Request, job_id: str) -> Response:
    """Notes files that the script has not sent because they are over the limit: names (`path`) and sizes (`bytes`)."""
    desk, actor, form = desk_of(request), identity_of(request).actor, await read_form(request)
    arrivals = [_left_out(desk, name, size) for name, size in _named(form, desk.settings.max_file_bytes)]

    def write(session: Transaction) -> None:
        job_arrivals.receive(session, actor, job_id, arrivals)
        _expect(session, job_id, form)

    await desk.write(write)
    return Response(status_code=HTTPStatus.NO_CONTENT)


def _named(form: Form, limit_bytes: int) -> list[tuple[str, int]]:
    names, sizes = form.all("path"), form.all("bytes")
    whole = [int(one) for one in sizes if one.isascii() and one.isdecimal() and len(one) <= _MOST_DIGITS]
    if not names or len(whole) != len(sizes) or len(whole) != len(names) or min(whole) <= limit_bytes:
        raise WebError(
            "bad_parameter",
            "the form does not name files over the limit with their sizes",
            field="bytes",
            way_out=f"Send pictures of up to {limit_bytes} bytes themselves.",
        )
    return list(zip(names, whole, strict=True))


def _left_out(desk: Desk, name: str, received_bytes: int) -> Arrival:
    upload = Upload(job_arrivals.item_name(name), b"", too_large=True)
    return Arrival(name, "", min(received_bytes, _LARGEST_BYTES), None, predict(desk.classifier, upload, desk.settings))
