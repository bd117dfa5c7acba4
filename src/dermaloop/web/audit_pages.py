"""The audit log as a page, as a file and over the API, for leads and administrators.

Owns its routes and what of an address becomes a filter. Refuses to check the chain: that is `dermaloop audit verify`,
which needs no server. Looking at the log is itself in the log.
"""

from __future__ import annotations

import datetime as dt
import io
import tempfile
from collections.abc import Iterator
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from starlette.responses import HTMLResponse, Response, StreamingResponse

from dermaloop.cases import accounts, audit, audit_list
from dermaloop.cases.actor import Actor
from dermaloop.cases.audit_list import Entry, Filter
from dermaloop.cases.database import Transaction
from dermaloop.cases.roles import Role, Scope
from dermaloop.web import audit_words, schema
from dermaloop.web.access import allow
from dermaloop.web.api_common import reading
from dermaloop.web.desk import desk_of
from dermaloop.web.errors import WebError, problems
from dermaloop.web.identity import identity_of
from dermaloop.web.pages import render
from dermaloop.wire.base import Moment

router = APIRouter()

_LEADS = allow(Role.LEAD)
_ON_A_PAGE = 50
_IN_MEMORY_BYTES = 4 * 1024 * 1024
_CHUNK_BYTES = 64 * 1024
_SUBJECT = "audit"
_MEDIA = {"csv": "text/csv; charset=utf-8", "jsonl": "application/jsonl"}


@router.get("/audit", dependencies=[_LEADS], include_in_schema=False)
async def audit_page(  # noqa: PLR0917 - the filters of the form, by name
    request: Request,
    person: str = "",
    action: str = "",
    subject: str = "",
    since: str = "",
    until: str = "",
    before: Annotated[int | None, Query(ge=1)] = None,
) -> HTMLResponse:
    """One page of the log, newest first."""
    actor = identity_of(request).actor
    wanted = _filter(person, action, subject, since, until)

    def look(transaction: Transaction) -> dict[str, Any]:
        found, following = audit_list.entries(transaction, wanted, before=before, limit=_ON_A_PAGE)
        _note(transaction, actor, "audit.seen", wanted, {"before": before, "entries": len(found)})
        return {
            "entries": found,
            "following": following,
            "actions": audit_list.actions(transaction),
            "people": accounts.listing(transaction),
        }

    asked = {"person": person, "action": action, "subject": subject, "since": since, "until": until}
    kept = {name: value for name, value in asked.items() if value}
    values = await desk_of(request).write(look)
    return HTMLResponse(
        render("audit.html", request, asked=asked, query=urlencode(kept), before=before, words=audit_words, **values)
    )


@router.get("/audit/export.{kind}", dependencies=[_LEADS], include_in_schema=False)
async def export(  # noqa: PLR0917 - the filters of the form, by name
    request: Request,
    kind: Literal["csv", "jsonl"],
    person: str = "",
    action: str = "",
    subject: str = "",
    since: str = "",
    until: str = "",
) -> Response:
    """The filtered log as a file: CSV for a spreadsheet, JSON lines with every column for checking it elsewhere."""
    return await _file(request, kind, _filter(person, action, subject, since, until))


async def _file(request: Request, kind: Literal["csv", "jsonl"], wanted: Filter) -> Response:
    actor, desk = identity_of(request).actor, desk_of(request)
    await desk.write(lambda transaction: _note(transaction, actor, "audit.exported", wanted, {"kind": kind}))
    # On its way it lies in memory, or in an unnamed file where it is large; never whole in memory.
    spool = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES)  # noqa: SIM115 - closed when it has been sent

    def write(transaction: Transaction) -> None:
        text = io.TextIOWrapper(spool, encoding="utf-8", newline="", write_through=True)
        audit_list.export(transaction, text, kind, wanted)
        text.detach()

    try:
        await desk.read(write)
    except BaseException:
        spool.close()
        raise
    spool.seek(0)
    name = f'attachment; filename="audit.{kind}"'
    return StreamingResponse(_chunks(spool), media_type=_MEDIA[kind], headers={"Content-Disposition": name})


def _chunks(spool: tempfile.SpooledTemporaryFile[bytes]) -> Iterator[bytes]:
    with spool:
        while chunk := spool.read(_CHUNK_BYTES):
            yield chunk


@router.get(
    "/api/v1/audit",
    summary="The audit log, newest first",
    tags=["audit"],
    dependencies=[allow(Role.LEAD, scope=Scope.AUDIT_READ)],
    response_description="One page of entries, and the cursor of the next.",
    responses=problems(
        "not_signed_in", "bad_token", "role_missing", "scope_missing", "bad_parameter", "busy", "store", "internal"
    ),
)
async def audit_entries(  # noqa: PLR0917 - query parameters, by name
    request: Request,
    actor: Annotated[str, Query(description="Id of an account or token.", max_length=200)] = "",
    action: Annotated[str, Query(description="Whole, or its beginning up to a dot.", max_length=100)] = "",
    subject: Annotated[str, Query(description="Id of a record.", max_length=200)] = "",
    since: Annotated[Moment | None, Query(description="From this moment on.")] = None,
    until: Annotated[Moment | None, Query(description="Before this moment.")] = None,
    before: Annotated[int | None, Query(ge=1, le=2**62, description="Cursor: `next` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=audit_list.LARGEST_PAGE, description="Entries on the page.")] = 100,
) -> schema.AuditAnswer:
    """Who saw, made, changed, exported or signed in. Reading it is noted too."""
    who = identity_of(request).actor
    wanted = Filter(actor, action, subject, since, until)

    def look(transaction: Transaction) -> tuple[tuple[Entry, ...], int | None]:
        page = audit_list.entries(transaction, wanted, before=before, limit=limit)
        _note(transaction, who, "audit.seen", wanted, {"before": before, "entries": len(page[0])})
        return page

    found, following = await desk_of(request).write(look)
    return schema.AuditAnswer(entries=[schema.audit_entry(one) for one in found], next=following)


@router.get(
    "/api/v1/audit/export",
    summary="The audit log as a file, oldest first",
    tags=["audit"],
    dependencies=[allow(Role.LEAD, scope=Scope.AUDIT_READ)],
    response_class=Response,
    responses={
        **reading(),
        200: {
            "description": "The file.",
            "content": {kind.partition(";")[0]: {"schema": {"type": "string"}} for kind in _MEDIA.values()},
        },
    },
)
async def export_entries(  # noqa: PLR0917 - query parameters, by name
    request: Request,
    kind: Annotated[
        Literal["jsonl", "csv"], Query(description="JSON lines have every column, so that the chain can be checked.")
    ] = "jsonl",
    actor: Annotated[str, Query(description="Id of an account or token.", max_length=200)] = "",
    action: Annotated[str, Query(description="Whole, or its beginning up to a dot.", max_length=100)] = "",
    subject: Annotated[str, Query(description="Id of a record.", max_length=200)] = "",
    since: Annotated[Moment | None, Query(description="From this moment on.")] = None,
    until: Annotated[Moment | None, Query(description="Before this moment.")] = None,
) -> Response:
    """That it was exported is noted."""
    return await _file(request, kind, Filter(actor, action, subject, since, until))


def _note(transaction: Transaction, actor: Actor, action: str, wanted: Filter, more: dict[str, Any]) -> None:
    """Into the log that it was looked at, and for what; what was typed to search for is not repeated whole."""
    asked = [name for name in ("actor_id", "action", "subject_id", "since", "until") if getattr(wanted, name)]
    detail = {"filters": " ".join(asked) or None, **more}
    kept = {name: value for name, value in detail.items() if value is not None}
    audit.append(transaction, actor, action, _SUBJECT, "log", kept)


def _filter(person: str, action: str, subject: str, since: str, until: str) -> Filter:
    """What the form asks for; days are this computer's, and `until` is the last one of them."""
    last = _day(until, "until")
    return Filter(
        person.strip(),
        action.strip(),
        subject.strip(),
        _day(since, "since"),
        last + dt.timedelta(days=1) if last else None,
    )


def _day(text: str, field: str) -> dt.datetime | None:
    if not text:
        return None
    try:
        # The last day that there is has no next one to end at.
        return min(dt.datetime.fromisoformat(text[:10]), _LAST_DAY).astimezone()
    except (ValueError, OverflowError) as error:
        raise WebError(
            "bad_parameter", f"{text[:40]!r} is no day", field=field, way_out="Write it as 2026-03-04."
        ) from error


_LAST_DAY = dt.datetime(9000, 1, 1)  # noqa: DTZ001 - made aware with the others
