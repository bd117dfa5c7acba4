"""A visit's pictures, from the request to the records: read, assessed, stripped and stored, and only then written down.

Owns that order, which makes a crash harmless: a picture's file is durable before its row exists, and the rows of one
delivery come all together. Refuses to know pages. A file that cannot be read is told by name with its reason, and the
others are kept; a request sent twice makes nothing twice.
"""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import Request

from dermaloop.cases import fields, intake
from dermaloop.cases.actor import Actor
from dermaloop.cases.casework import PIXEL_SIZE_MM
from dermaloop.cases.database import Transaction
from dermaloop.cases.intake import Delivered
from dermaloop.cases.records import Case, Image
from dermaloop.cases.strip import strip
from dermaloop.cases.words import PictureType
from dermaloop.core.errors import ImageError
from dermaloop.core.prediction import Prediction, Reason, Status
from dermaloop.web.access import check_upload_token
from dermaloop.web.desk import Desk, desk_of
from dermaloop.web.entries import day, decimal
from dermaloop.web.forms import Form
from dermaloop.web.observed import Assessor
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
        images: What became of the files that were taken, in their order.
    """

    case: Case | None
    names: tuple[str, ...]
    refused: tuple[Refused, ...]
    images: tuple[Image, ...] = ()


def read_asked(form: Form) -> Asked:
    """What the form says, checked.

    Raises:
        WebError: `bad_parameter`.
        InvalidRecordError: A value that cannot be kept.
    """
    size = fields.number(decimal(form, "pixel_size_mm"), "pixel_size_mm", *PIXEL_SIZE_MM)
    kind = fields.word(form.get("image_type"), PictureType, "image_type")
    return Asked(fields.day(day(form, "visited_on"), "visited_on"), kind, size)


Around = Callable[[Transaction, Callable[[], Taken]], Taken]


async def receive_visit(
    request: Request,
    actor: Actor,
    lesion_id: str,
    *,
    arrived: Callable[[list[Upload]], Awaitable[None]] | None = None,
    around: Around = lambda _, take: take(),
) -> Taken:
    """Reads a request with pictures of a lesion and takes them into the records.

    Args:
        request: Its body has not been read.
        actor: Who sent it.
        lesion_id: Of which lesion.
        arrived: Called with the files before the first is worked on; may raise.
        around: Called within the transaction with what writes the records; may leave that out.

    Raises:
        WebError: As `Desk.answer_uploads` says, and for the form's entries.
        InvalidRecordError: An entry that cannot be kept.
        RecordNotFoundError: There is no such lesion.
        ConflictError: The case of that day is signed off.
        StoreError: The pictures cannot be stored.
    """
    desk = desk_of(request)
    classifier = desk.classifier  # one for the whole delivery, though another may take its place meanwhile
    found: list[Asked] = []

    async def ready(form: Form) -> None:
        found.append(read_asked(form))
        await desk.read(lambda session: intake.require_lesion(session, lesion_id))

    results = await desk.answer_uploads(
        request,
        lambda upload: _take(desk, classifier, upload, found[0].image_type),
        check=functools.partial(check_upload_token, request),
        keep_going=True,
        ready=ready,
        arrived=arrived,
    )
    taken = await _write(desk, actor, lesion_id, found[0], results, around, classifier.bundle.sha256)
    delivered = [one for _, one in results if isinstance(one, Delivered)]
    for image, one in zip(taken.images, delivered, strict=False):  # none where it had been taken in already
        if one.prediction is not None and image.sha256:
            desk.shadow.offer(image.id, image.sha256)
    return taken


async def _write(  # noqa: PLR0917 - what one delivery consists of
    desk: Desk,
    actor: Actor,
    lesion_id: str,
    asked: Asked,
    results: list[tuple[str, Delivered | Refused]],
    around: Around,
    bundle_sha256: str,
) -> Taken:
    taken = [(name, one) for name, one in results if isinstance(one, Delivered)]
    refused = tuple(one for _, one in results if isinstance(one, Refused))
    if not taken:
        return Taken(None, (), refused)

    def take(session: Transaction) -> Taken:
        made = intake.take_in(
            session,
            actor,
            lesion_id,
            visited_on=asked.visited_on,
            image_type=asked.image_type,
            delivered=[one for _, one in taken],
            images=desk.store.images,
            bundle_sha256=bundle_sha256,
            pixel_size_mm=asked.pixel_size_mm,
        )
        return Taken(made.case, tuple(name for name, _ in taken), refused, made.images)

    return await desk.write(lambda session: around(session, lambda: take(session)))


def _take(desk: Desk, classifier: Assessor, upload: Upload, image_type: PictureType) -> tuple[str, Delivered | Refused]:
    """One file: assessed, stripped, and durable in the image store. Runs in a worker thread."""
    prediction: Prediction | None = None
    if upload.too_large or image_type in ASSESSED:
        prediction = predict(classifier, upload, desk.settings)
        if prediction.status is Status.UNREADABLE:
            return upload.name, Refused(upload.name, prediction.reasons)
    try:
        stripped = strip(upload.content, name=upload.name)
    except ImageError as error:
        # Without the file's name, which stands beside it and is not kept with the answer (`api_lesions`).
        told = f"{error.what[:1].upper()}{error.what[1:]}. {error.way_out}".strip()
        return upload.name, Refused(upload.name, (Reason(error.reason, told),))
    desk.store.images.put(stripped.sha256, stripped.content)
    return upload.name, Delivered(stripped, prediction)
