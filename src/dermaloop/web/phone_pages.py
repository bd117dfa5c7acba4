"""What a phone sees that has scanned the code: the camera, the framing guide, and at once how good each picture is.

Owns its routes, which are public: the link is itself the key. It opens one case for adding pictures; what is shown of
the case is what the lesion is called, and the day. A picture that is not good enough is not taken before somebody says
so: it is quicker to take another than to find out later.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

from dermaloop.cases import answers, intake, phone
from dermaloop.cases.database import Transaction
from dermaloop.cases.intake import Delivered
from dermaloop.cases.links import LinkError
from dermaloop.cases.phone import Opened, PhoneLink
from dermaloop.cases.practice import read_practice
from dermaloop.cases.records import Image
from dermaloop.cases.strip import strip
from dermaloop.core.bundle import OperatingPoint
from dermaloop.core.errors import ImageError
from dermaloop.core.prediction import Reason
from dermaloop.web.access import public
from dermaloop.web.case_words import numbered
from dermaloop.web.desk import Desk, desk_of
from dermaloop.web.errors import WebError
from dermaloop.web.forms import Form
from dermaloop.web.identity import address_of
from dermaloop.web.intake import ASSESSED
from dermaloop.web.observed import Assessor
from dermaloop.web.pages import render
from dermaloop.web.phone_check import check_quality, unlike
from dermaloop.web.upload import Upload
from dermaloop.web.views import predict
from dermaloop.web.wording import Verdict, verdict

router = APIRouter(include_in_schema=False)

_HOLDERS = public("the link is itself the key: it adds pictures to one open case, and opens nothing else")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one picture.

    Attributes:
        name: The file, as the phone calls it.
        kept: Whether it is in the case.
        readable: Whether it could be read at all.
        reasons: What is wrong with it.
        verdict: What the model said, where the practice lets a phone show it.
    """

    name: str
    kept: bool
    readable: bool
    reasons: tuple[Reason, ...]
    verdict: Verdict | None = None


@dataclass(frozen=True, slots=True)
class _Looked:
    """One picture after it was looked at; `delivered` where it goes into the case."""

    name: str
    readable: bool
    reasons: tuple[Reason, ...]
    delivered: Delivered | None = None

    def outcome(self, point: OperatingPoint | None) -> Outcome:
        """What the phone is told; with the model's answer where there is a point to word it by."""
        made = self.delivered.prediction if self.delivered else None
        answer = None if point is None or made is None else verdict(made, point)
        return Outcome(self.name, self.delivered is not None, self.readable, self.reasons, answer)


@router.get("/phone/{secret}", dependencies=[_HOLDERS])
async def phone_page(request: Request, secret: str) -> HTMLResponse:
    """The camera and the guide."""
    opened = await _open(request, secret)
    return HTMLResponse(render("phone.html", request, secret=secret, outcomes=(), **_shown(opened)))


@router.post("/phone/{secret}", dependencies=[_HOLDERS])
async def add_by_form(request: Request, secret: str) -> HTMLResponse:
    """Takes pictures from the plain form."""
    opened, outcomes = await _take(request, secret)
    return HTMLResponse(render("phone.html", request, secret=secret, outcomes=outcomes, **_shown(opened)))


@router.post("/phone/{secret}/part", dependencies=[_HOLDERS])
async def add_by_script(request: Request, secret: str) -> HTMLResponse:
    """The same, answering with what the script puts into the page."""
    opened, outcomes = await _take(request, secret)
    return HTMLResponse(render("_phone_outcomes.html", request, outcomes=outcomes, **_shown(opened)))


def _shown(opened: Opened) -> dict[str, object]:
    return {
        "link": opened.link,
        "lesion": numbered(opened.lesion_number, opened.lesion_label),
        "day": opened.visited_on,
    }


async def _open(request: Request, secret: str) -> Opened:
    """What the link opens.

    Raises:
        LinkError: It does not work.
        WebError: `too_many_attempts`.
    """
    desk, address = desk_of(request), address_of(request)
    try:
        return await desk.read(lambda session: phone.look(session, secret, address))
    except LinkError:
        wait_s = await desk.write(lambda session: phone.refuse_guesses(session, address))
        if wait_s:
            raise WebError(
                "too_many_attempts",
                "there were too many tries with links that do not work",
                way_out="Wait, then show a new code on the screen.",
                retry_after_s=wait_s,
            ) from None
        raise


async def _take(request: Request, secret: str) -> tuple[Opened, list[Outcome]]:
    desk, opened = desk_of(request), await _open(request, secret)
    classifier, image_type = desk.classifier, opened.link.image_type
    practice = await desk.read(read_practice)
    shows = practice.show_answer_on_phone and not practice.hide_answer_until_impression
    anyway: list[bool] = []

    async def ready(form: Form) -> None:
        anyway.append(form.get("anyway") == "yes")

    found = await desk.answer_uploads(
        request,
        lambda upload: _look(desk, classifier, upload, image_type, anyway=anyway[0]),
        check=lambda _: None,  # what another site cannot know stands in the address
        keep_going=True,
        ready=ready,
    )
    delivered = [one.delivered for one in found if one.delivered is not None]
    if delivered:

        def write(session: Transaction) -> tuple[PhoneLink, tuple[Image, ...]]:
            link = phone.count(session, secret, len(delivered))
            images = intake.add_to_case(
                session,
                opened.actor,
                link.case_id,
                image_type=link.image_type,
                delivered=delivered,
                images=desk.store.images,
                bundle_sha256=classifier.bundle.sha256,
            )
            if shows:
                answers.mark_images_seen(session, opened.actor, [one.id for one in images])
            return link, images

        link, images = await desk.write(write)
        opened = replace(opened, link=link)
        for image, one in zip(images, delivered, strict=True):
            if one.prediction is not None and image.sha256:
                desk.shadow.offer(image.id, image.sha256)
    point = classifier.operating_point
    return opened, [one.outcome(point if shows else None) for one in found]


def _look(desk: Desk, classifier: Assessor, upload: Upload, image_type: str, *, anyway: bool) -> _Looked:
    """One picture: its quality first, then the model, then the store. Runs in a worker thread."""
    if upload.too_large:
        return _Looked(upload.name, False, predict(classifier, upload, desk.settings).reasons)
    checked = check_quality(classifier.bundle, upload.content, upload.name)
    if not checked.readable or (checked.reasons and not anyway):
        return _Looked(upload.name, checked.readable, checked.reasons)
    reasons, prediction = checked.reasons, None
    if image_type in ASSESSED:
        prediction = predict(classifier, upload, desk.settings)
        reasons = unlike(prediction)
        if reasons and not anyway:
            return _Looked(upload.name, True, reasons)
    try:
        stripped = strip(upload.content, name=upload.name)
    except ImageError as error:
        return _Looked(upload.name, False, (Reason(error.reason, str(error)),))
    desk.store.images.put(stripped.sha256, stripped.content)
    return _Looked(upload.name, True, reasons, Delivered(stripped, prediction))
