"""A visit's pictures, from the request to the records: read, assessed, stripped and stored, and only then written down.

Owns that order, which makes a crash harmless: a picture's file is durable before its row exists, and the rows of one
delivery come all together. Refuses to know pages. A file that cannot be read is told by name with its reason, and the
others are kept; a request sent twice makes nothing twice.
"""

from __future__ import annotations

import datetime as dt
import functools
from dataclasses import dataclass

from starlette.requests import Request

from dermaloop.cases import fields, intake
from dermaloop.cases.actor import Actor
from dermaloop.cases.casework import PIXEL_SIZE_MM
from dermaloop.cases.intake import Delivered
from dermaloop.cases.records import Case
from dermaloop.cases.strip import strip
from dermaloop.cases.words import PictureType
from dermaloop.core.errors import ImageError
from dermaloop.core.prediction import Prediction, Reason, Status
from dermaloop.web.access import check_upload_token
from dermaloop.web.desk import Desk, desk_of
from dermaloop.web.entries import day, decimal
from dermaloop.web.forms import Form
from dermaloop.web.upload import Upload
from dermaloop.web.views import predict

ASSESSED = frozenset({PictureType.DERMOSCOPIC, PictureType.CLOSE_UP})
"""An overview shows no single lesion: it is kept beside the others, and the model, made for lesions, is not asked."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the form says of the pictures."""

    visited_on: dt.date
    image_type: PictureType
    pixel_size_mm: float | None


@dataclass(frozen=True, slots=True)
class Refused:
    """A file that was not taken."""

    name: str
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a delivery.

    Attributes:
        case: None where no file could be read: then nothing was made.
        names: Of the files that were taken.
        refused: The others.
    """

    case: Case | None
    names: tuple[str, ...]
    refused: tuple[Refused, ...]


def read_asked(form: Form) -> Asked:
    """What the form says, checked.

    Raises:
        WebError: `bad_parameter`.
        InvalidRecordError: A value that cannot be kept.
    """
    size = fields.number(decimal(form, "pixel_size_mm"), "pixel_size_mm", *PIXEL_SIZE_MM)
    kind = fields.word(form.get("image_type"), PictureType, "image_type")
    return Asked(fields.day(day(form, "visited_on"), "visited_on"), kind, size)


async def receive_visit(request: Request, actor: Actor, lesion_id: str) -> Taken:
    """Reads a request with pictures of a lesion and takes them into the records.

    Raises:
        WebError: As `Desk.answer_uploads` says, and for the form's entries.
        InvalidRecordError: An entry that cannot be kept.
        RecordNotFoundError: There is no such lesion.
        ConflictError: The case of that day is signed off.
        StoreError: The pictures cannot be stored.
    """
    desk = desk_of(request)
    found: list[Asked] = []

    async def ready(form: Form) -> None:
        found.append(read_asked(form))
        await desk.read(lambda session: intake.require_lesion(session, lesion_id))

    results = await desk.answer_uploads(
        request,
        lambda upload: _take(desk, upload, found[0].image_type),
        check=functools.partial(check_upload_token, request),
        keep_going=True,
        ready=ready,
    )
    return await _write(desk, actor, lesion_id, found[0], results)


async def _write(
    desk: Desk, actor: Actor, lesion_id: str, asked: Asked, results: list[tuple[str, Delivered | Refused]]
) -> Taken:
    taken = [(name, one) for name, one in results if isinstance(one, Delivered)]
    refused = tuple(one for _, one in results if isinstance(one, Refused))
    if not taken:
        return Taken(None, (), refused)
    made = await desk.write(
        lambda session: intake.take_in(
            session,
            actor,
            lesion_id,
            visited_on=asked.visited_on,
            image_type=asked.image_type,
            delivered=[one for _, one in taken],
            images=desk.store.images,
            bundle_sha256=desk.classifier.bundle.sha256,
            pixel_size_mm=asked.pixel_size_mm,
        )
    )
    return Taken(made.case, tuple(name for name, _ in taken), refused)


def _take(desk: Desk, upload: Upload, image_type: PictureType) -> tuple[str, Delivered | Refused]:
    """One file: assessed, stripped, and durable in the image store. Runs in a worker thread."""
    prediction: Prediction | None = None
    if upload.too_large or image_type in ASSESSED:
        prediction = predict(desk.classifier, upload, desk.settings)
        if prediction.status is Status.UNREADABLE:
            return upload.name, Refused(upload.name, prediction.reasons)
    try:
        stripped = strip(upload.content, name=upload.name)
    except ImageError as error:
        return upload.name, Refused(upload.name, (Reason(error.reason, str(error)),))
    desk.store.images.put(stripped.sha256, stripped.content)
    return upload.name, Delivered(stripped, prediction)
