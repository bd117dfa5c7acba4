"""Lesions over the API: shown over time, changed, and given a visit's pictures.

Owns routes. Refuses to classify and to decide: pictures go through `web.intake`, as the page's do, what may be shown is
`cases.timeline`'s.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from dermaloop.cases import patients
from dermaloop.cases.database import Transaction
from dermaloop.cases.idempotency import KeptAnswer
from dermaloop.cases.records import Case, Lesion
from dermaloop.cases.roles import Role, Scope
from dermaloop.cases.timeline import Answer, timeline
from dermaloop.cases.words import PictureType
from dermaloop.web import intake
from dermaloop.web.access import allow
from dermaloop.web.api_common import PREFIX, Key, RecordId, changing, created, reading
from dermaloop.web.api_shapes import lesion_file, reasons, shape
from dermaloop.web.desk import desk_of
from dermaloop.web.errors import WebError
from dermaloop.web.forms import FORM_TOKEN, Form, read_form
from dermaloop.web.identity import identity_of
from dermaloop.web.intake import Taken
from dermaloop.web.upload import FIELD, Upload
from dermaloop.wire import documents
from dermaloop.wire import records as wire
from dermaloop.wire.entries import LesionEntry

router = APIRouter(prefix=PREFIX, tags=["lesions"])

_FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["visited_on", "image_type", FIELD],
                    "properties": {
                        "visited_on": {"type": "string", "format": "date", "description": "The day of the visit."},
                        "image_type": {
                            "type": "string",
                            "enum": [str(one) for one in PictureType],
                            "description": "How they were taken, all of them. An overview is kept and not assessed.",
                        },
                        "pixel_size_mm": {
                            "type": "number",
                            "exclusiveMinimum": 0,
                            "maximum": 10,
                            "description": "Side of a pixel on the skin in millimetres, where known.",
                        },
                        FIELD: {
                            "type": "array",
                            "items": {"type": "string", "format": "binary"},
                            "description": "One or several picture files: JPEG, PNG, WebP, TIFF, BMP, GIF or HEIC.",
                        },
                    },
                }
            }
        },
    }
}


@router.get(
    "/lesions/{lesion_id}",
    summary="A lesion's pictures over time",
    dependencies=[allow(Role.VIEWER, scope=Scope.CASES_READ)],
    response_description="The lesion.",
    responses=reading("record_not_found"),
)
async def show_lesion(request: Request, lesion_id: RecordId) -> documents.LesionFile:
    """With the latest answer on each picture where that may be shown; what is shown counts as seen."""
    actor = identity_of(request).actor

    def look(session: Transaction) -> tuple[Lesion, tuple[Answer, ...]]:
        lesion, _ = patients.show_lesion(session, actor, lesion_id)
        return lesion, timeline(session, actor, lesion_id)

    return lesion_file(*await desk_of(request).write(look))


@router.put(
    "/lesions/{lesion_id}",
    summary="Change a lesion's place, label and note",
    dependencies=[allow(Role.CLINICIAN, scope=Scope.CASES_WRITE)],
    response_description="The lesion as it is now.",
    responses=changing("record_not_found"),
)
async def change_lesion(request: Request, lesion_id: RecordId, entry: LesionEntry) -> wire.Lesion:
    """All entries are put in place of what they were; one that is left out becomes empty."""
    actor = identity_of(request).actor
    changed = await desk_of(request).write(
        lambda session: patients.change_lesion(session, actor, lesion_id, **entry.model_dump())
    )
    return shape(wire.Lesion, changed)


@router.post(
    "/lesions/{lesion_id}/visits",
    summary="Take in a visit's pictures",
    status_code=201,
    dependencies=[allow(Role.CLINICIAN, scope=Scope.CASES_WRITE, upload=True)],
    openapi_extra=_FORM,
    response_model=documents.UploadAnswer,
    response_description="What was taken, what was refused and why, and the case.",
    responses=changing(
        "record_not_found", "malformed_upload", "file_too_large", "too_many_files", "form_too_large", "not_multipart",
        "no_picture", "image", "too_slow",
    ),
)  # fmt: skip
async def take_in(request: Request, lesion_id: RecordId, once: Key) -> Response:
    """Stripped of metadata, stored, assessed, and put into the lesion's case of that day, which is made if need be.

    A file that cannot be read is named with its reason, and the others are kept. A picture that the case has already is
    not taken twice. Where no file can be read nothing is made.
    """
    kept: list[tuple[KeptAnswer, bool]] = []
    names: list[str] = []
    desk = desk_of(request)

    async def arrived(uploads: list[Upload]) -> None:
        names.extend(one.name for one in uploads)
        once.ask(await run_in_threadpool(_content, await read_form(request), uploads))
        known = await desk.write(once.answered) if once.key else None
        if known:
            raise _RepeatedError(known)

    def around(session: Transaction, take: Callable[[], Taken]) -> Taken:
        known = once.answered(session)  # a retry may have been faster
        if known:
            kept.append((known, True))
            return Taken(None, (), ())
        taken = take()
        assert taken.case is not None
        kept.append((once.keep(session, _nameless(_answer(taken, taken.case), names), taken.case.patient_id), False))
        return taken

    try:
        taken = await intake.receive_visit(request, once.actor, lesion_id, arrived=arrived, around=around)
    except _RepeatedError as error:
        return created(_named(error.kept, names), repeated=True)
    if not kept:
        said = "; ".join(f"{one.name!r}: {one.reasons[0].text}" for one in taken.refused)
        raise WebError("image", f"no file could be read ({said})", field=FIELD, way_out="Send others.")
    answer, repeated = kept[0]
    return created(_named(answer, names), repeated=repeated)


def _nameless(answer: documents.UploadAnswer, names: list[str]) -> documents.UploadAnswer:
    """As it is kept: a file's name may be a patient's, so each is replaced by its place in the request.

    The same request brings the names again: one that brought others would be another one.
    """
    return _renamed(answer, lambda name: str(names.index(name)))


def _named(kept: KeptAnswer, names: list[str]) -> KeptAnswer:
    """As it is sent, with the names that this request brought."""

    def name_of(place: str) -> str:
        # Anything else is a name that an earlier version kept, for a day.
        return names[int(place)] if place.isdecimal() and int(place) < len(names) else place

    answer = _renamed(documents.UploadAnswer.model_validate_json(kept.body), name_of)
    return KeptAnswer(kept.status, answer.model_dump_json())


def _renamed(answer: documents.UploadAnswer, name_of: Callable[[str], str]) -> documents.UploadAnswer:
    def of(pictures: list[Any]) -> list[Any]:
        return [one.model_copy(update={"name": name_of(one.name)}) for one in pictures]

    return answer.model_copy(update={"taken": of(answer.taken), "refused": of(answer.refused)})


class _RepeatedError(Exception):
    """The request was answered before; ends the reception before anything is worked on."""

    def __init__(self, kept: KeptAnswer) -> None:
        super().__init__()
        self.kept = kept


def _content(form: Form, uploads: list[Upload]) -> Any:
    """What an upload asks for, as JSON types: not its bytes, in which every multipart body differs from the next."""
    texts = {name: list(values) for name, values in form.fields.items() if name != FORM_TOKEN}
    files = [[one.name, one.too_large, hashlib.sha256(one.content).hexdigest()] for one in uploads]
    return {"texts": texts, "files": files}


def _answer(taken: Taken, case: Case) -> documents.UploadAnswer:
    pairs = zip(taken.names, taken.images, strict=True)
    return documents.UploadAnswer(
        case_id=case.id,
        visit_id=case.visit_id,
        taken=[documents.TakenPicture(name=name, image_id=image.id) for name, image in pairs],
        refused=[documents.RefusedPicture(name=one.name, reasons=reasons(one.reasons)) for one in taken.refused],
    )
