"""Links for phones over the API: made, followed, ended.

Owns routes. Refuses to take pictures by a link: that is `web.phone_pages`, for whoever holds it. A link's key is in the
answer that made it and nowhere else, so that answer is not kept to be given again: a request sent twice makes a second
link, which ends the first.
"""

from __future__ import annotations

from fastapi import APIRouter, Request

from dermaloop.cases import casework, phone
from dermaloop.cases.errors import ConflictError
from dermaloop.cases.roles import Role, Scope
from dermaloop.web.access import allow
from dermaloop.web.api_common import PREFIX, RecordId, changing, reading
from dermaloop.web.api_shapes import image, shape
from dermaloop.web.desk import desk_of
from dermaloop.web.identity import identity_of
from dermaloop.web.phone_address import phone_address
from dermaloop.web.phone_code_pages import came_by
from dermaloop.wire import phone as wire
from dermaloop.wire.entries import PhoneLinkEntry

router = APIRouter(prefix=f"{PREFIX}/cases/{{case_id}}/phone-links", tags=["phone"])

_WRITERS = allow(Role.CLINICIAN, scope=Scope.CASES_WRITE)


@router.post(
    "",
    summary="Let a phone add pictures to a case",
    status_code=201,
    dependencies=[_WRITERS],
    response_description="The link, with the address to show as a code: this once.",
    responses=changing("record_not_found"),
)
async def make_link(request: Request, case_id: RecordId, entry: PhoneLinkEntry) -> wire.NewPhoneLink:
    """It works for ten minutes and thirty pictures, without signing in. The case's earlier links end.

    A conflict where no phone can reach the server, or the case is signed off.
    """
    desk, actor = desk_of(request), identity_of(request).actor
    address = phone_address(request, desk.settings)
    if address is None:
        raise ConflictError(
            "no phone can reach this server",
            where="address",
            way_out="Let it listen beyond this computer, or send the pictures to /api/v1/lesions/…/visits.",
        )
    kind = entry.image_type
    secret, link = await desk.write(lambda session: phone.make(session, actor, case_id, image_type=kind))
    return wire.NewPhoneLink(link=shape(wire.PhoneLink, link), address=f"{address}/phone/{secret}")


@router.get(
    "/{link_id}",
    summary="What came in by a phone's link",
    dependencies=[_WRITERS],
    response_description="How the link stands, and the pictures.",
    responses=reading("record_not_found", "link"),
)
async def show_link(request: Request, case_id: RecordId, link_id: RecordId) -> wire.PhoneLinkState:
    """To be asked for again and again; the case is only looked at where pictures have come."""
    desk, actor = desk_of(request), identity_of(request).actor
    link = await desk.read(lambda session: phone.state(session, case_id, link_id))
    came = []
    if link.pictures:
        file = await desk.write(lambda session: casework.open_case(session, actor, case_id, show_answer=False))
        came = [image(one) for one in came_by(link, file)]
    return wire.PhoneLinkState(link=shape(wire.PhoneLink, link), came=came)


@router.post(
    "/end",
    summary="End the links of a case",
    dependencies=[_WRITERS],
    response_description="How many worked until now.",
    responses=changing("record_not_found"),
)
async def end_links(request: Request, case_id: RecordId) -> wire.EndedLinks:
    """Pictures that came by them stay."""
    actor = identity_of(request).actor
    return wire.EndedLinks(ended=await desk_of(request).write(lambda session: phone.revoke(session, actor, case_id)))
