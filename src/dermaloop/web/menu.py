"""What the menu tells a lead on every page: how much waits for them.

Owns when it is counted: for leads only, once for a page and not for its pictures, and not again while nothing was
written down anywhere since (`web.known`). Refuses to fail: a page without the numbers is better than none.
"""

from __future__ import annotations

from starlette.requests import Request

from dermaloop.cases import waiting
from dermaloop.cases.errors import StoreError
from dermaloop.cases.roles import Role
from dermaloop.cases.waiting import Waiting
from dermaloop.web.desk import desk_of
from dermaloop.web.identity import identity_of

_KNOWN_BY = "menu"


def wants_page(request: Request) -> bool:
    """Whether the browser asks for a page, not for a picture on it, a part of it, or a file."""
    return "text/html" in request.headers.get("accept", "") and not request.scope["path"].endswith("/part")


async def waiting_for(request: Request) -> Waiting | None:
    """What waits for the reader, who is known; None where they are no lead, or it cannot be found out."""
    if not identity_of(request).role.covers(Role.LEAD):
        return None
    desk = desk_of(request)
    kept = desk.known.recall(Waiting, _KNOWN_BY)
    if kept is not None:
        return kept
    version = desk.known.version()
    try:
        found = await desk.read(waiting.count)
    except StoreError:
        return None
    desk.known.keep(_KNOWN_BY, found, version)
    return found
