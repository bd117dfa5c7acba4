"""Pictures of records: whole, small, and the heatmap over one.

Owns their addresses, formats and how long a browser may keep them. Who asks is checked, and that they saw it is noted,
before anything is read. Refuses to serve what is no picture: only what was stripped lies in the store, and its type is
said by us.

The trade-off: a browser keeps a picture for a quarter of an hour (privately: no shared cache does), which spares a page
that is looked at again its pictures, and the log their repetition.
"""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter, Request
from starlette.responses import Response

from dermaloop.cases import answers, casework
from dermaloop.cases.images import ImageStore
from dermaloop.cases.records import Image
from dermaloop.cases.roles import Role
from dermaloop.core.image import decode
from dermaloop.web.access import allow
from dermaloop.web.desk import desk_of
from dermaloop.web.errors import WebError
from dermaloop.web.identity import identity_of
from dermaloop.web.render import heatmap_png, picture_jpeg
from dermaloop.web.views import shows_figures

router = APIRouter(include_in_schema=False)

_READERS = allow(Role.VIEWER)
MEDIA_TYPES = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}
_KEPT = "private, max-age=900"
SMALL_SIDE_PX = 480


@router.get("/images/{image_id}", dependencies=[_READERS])
async def picture(request: Request, image_id: str) -> Response:
    """The picture as it is stored."""
    image, sha256 = await _seen(request, image_id)
    if is_known(request, sha256):
        return picture_answer(b"", sha256, MEDIA_TYPES[image.format], HTTPStatus.NOT_MODIFIED)
    content = await desk_of(request).draw(desk_of(request).store.images.read, sha256)
    return picture_answer(content, sha256, MEDIA_TYPES[image.format])


@router.get("/images/{image_id}/small.jpg", dependencies=[_READERS])
async def small_picture(request: Request, image_id: str) -> Response:
    """The picture made small, for lists."""
    _, sha256 = await _seen(request, image_id)
    tag = f"{sha256}-{SMALL_SIDE_PX}"
    if is_known(request, tag):
        return picture_answer(b"", tag, "image/jpeg", HTTPStatus.NOT_MODIFIED)
    content = await desk_of(request).draw(small, desk_of(request).store.images, sha256)
    return picture_answer(content, tag, "image/jpeg")


@router.get("/images/{image_id}/heatmap/{prediction_id}.png", dependencies=[_READERS])
async def heatmap(request: Request, image_id: str, prediction_id: str) -> Response:
    """Where in the picture the evidence of an answer lies; hidden as long as the answer is."""
    return await heatmap_of(request, prediction_id, image_id)


async def heatmap_of(request: Request, prediction_id: str, image_id: str = "") -> Response:
    """The heatmap of an answer as a transparent PNG. It counts as seen.

    Args:
        request: Who asks.
        prediction_id: Of which answer.
        image_id: The picture that it must be of; empty where any will do.

    Raises:
        RecordNotFoundError: There is no such answer.
        ConflictError: It is hidden from who asks.
        WebError: `not_found`: it has no heatmap that is shown.
    """
    desk, actor = desk_of(request), identity_of(request).actor
    stored = await desk.write(lambda session: answers.show_prediction(session, actor, prediction_id))
    drawn = stored.prediction.heatmap
    if image_id not in ("", stored.image_id) or drawn is None or not shows_figures(stored.prediction):
        raise WebError("not_found", "the answer has no heatmap", way_out="Look at the picture without it.")
    if is_known(request, stored.id):
        return picture_answer(b"", stored.id, "image/png", HTTPStatus.NOT_MODIFIED)
    return picture_answer(await desk.draw(heatmap_png, drawn), stored.id, "image/png")


async def _seen(request: Request, image_id: str) -> tuple[Image, str]:
    actor = identity_of(request).actor
    image = await desk_of(request).write(lambda session: casework.show_image(session, actor, image_id))
    if image.sha256 is None:
        raise WebError("not_found", "the picture was deleted", way_out="Begin at the worklist.")
    return image, image.sha256


def small(images: ImageStore, sha256: str) -> bytes:
    """A stored picture as a small JPEG. Runs in a worker thread."""
    decoded = decode(images.read(sha256), least_side_px=SMALL_SIDE_PX)
    return picture_jpeg(decoded.image, SMALL_SIDE_PX)[0]


def is_known(request: Request, tag: str) -> bool:
    """Whether the browser has it already."""
    return f'"{tag}"' in request.headers.get("if-none-match", "")


def picture_answer(content: bytes, tag: str, media_type: str, status: HTTPStatus = HTTPStatus.OK) -> Response:
    """A picture of the clinic's, kept by the reader's own browser only."""
    # Named as the picture that it is, whatever the address says: what is saved from here opens as a picture.
    name = f'inline; filename="picture.{media_type.partition("/")[2]}"'
    headers = {"Cache-Control": _KEPT, "ETag": f'"{tag}"', "Vary": "Cookie, Authorization", "Content-Disposition": name}
    return Response(content, status, headers, media_type)
