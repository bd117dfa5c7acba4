"""What goes wrong over HTTP: one table from error code to status, and one shape (RFC 9457) for all of it.

Owns the status of every code. Refuses to know how a problem is shown: pages render it as HTML, the API as
`application/problem+json`. A picture that cannot be read is not a problem but a result (`status: unreadable` with its
named reason), so that one bad file does not hide the others' answers.
"""

from __future__ import annotations

from http import HTTPStatus
from pathlib import PurePath
from typing import Any

from dermaloop.core.errors import DermaloopError

STATUS: dict[str, HTTPStatus] = {
    "malformed_upload": HTTPStatus.BAD_REQUEST,
    "malformed_request": HTTPStatus.BAD_REQUEST,
    "host_not_allowed": HTTPStatus.BAD_REQUEST,
    "not_signed_in": HTTPStatus.UNAUTHORIZED,
    "bad_token": HTTPStatus.UNAUTHORIZED,
    "wrong_password": HTTPStatus.UNAUTHORIZED,
    "cross_site": HTTPStatus.FORBIDDEN,
    "stale_form": HTTPStatus.FORBIDDEN,
    "role_missing": HTTPStatus.FORBIDDEN,
    "scope_missing": HTTPStatus.FORBIDDEN,
    "not_found": HTTPStatus.NOT_FOUND,
    "method_not_allowed": HTTPStatus.METHOD_NOT_ALLOWED,
    "record_not_found": HTTPStatus.NOT_FOUND,
    "upload_too_slow": HTTPStatus.REQUEST_TIMEOUT,
    "conflict": HTTPStatus.CONFLICT,
    "account": HTTPStatus.CONFLICT,
    "link": HTTPStatus.GONE,
    "form_too_large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "file_too_large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "too_many_files": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "request_too_large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "not_multipart": HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "not_a_form": HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "password": HTTPStatus.UNPROCESSABLE_ENTITY,
    "token": HTTPStatus.UNPROCESSABLE_ENTITY,
    "invalid_record": HTTPStatus.UNPROCESSABLE_ENTITY,
    "idempotency_key_reused": HTTPStatus.UNPROCESSABLE_ENTITY,
    "no_picture": HTTPStatus.UNPROCESSABLE_ENTITY,
    "bad_parameter": HTTPStatus.UNPROCESSABLE_ENTITY,
    "image": HTTPStatus.UNPROCESSABLE_ENTITY,
    "too_many_attempts": HTTPStatus.TOO_MANY_REQUESTS,
    "busy": HTTPStatus.SERVICE_UNAVAILABLE,
    "not_ready": HTTPStatus.SERVICE_UNAVAILABLE,
    "store": HTTPStatus.SERVICE_UNAVAILABLE,
    "newer_database": HTTPStatus.SERVICE_UNAVAILABLE,
    "bundle": HTTPStatus.SERVICE_UNAVAILABLE,
    "too_slow": HTTPStatus.GATEWAY_TIMEOUT,
    "image_missing": HTTPStatus.INTERNAL_SERVER_ERROR,
    "image_damaged": HTTPStatus.INTERNAL_SERVER_ERROR,
    "internal": HTTPStatus.INTERNAL_SERVER_ERROR,
}
"""HTTP status by error code: the only such table. A code that is not in it is a defect of ours: 500."""

TITLE: dict[str, str] = {
    "malformed_upload": "The upload is damaged",
    "malformed_request": "The request cannot be read",
    "host_not_allowed": "This address is not served",
    "not_signed_in": "Please sign in",
    "bad_token": "The token does not work",
    "wrong_password": "The name and the password do not fit",
    "cross_site": "The request came from another site",
    "stale_form": "The form is too old",
    "role_missing": "Your role does not allow this",
    "scope_missing": "The token does not allow this",
    "not_found": "There is no such page",
    "record_not_found": "There is no such record",
    "method_not_allowed": "This address does not take such requests",
    "upload_too_slow": "The upload took too long",
    "conflict": "The record has changed, or does not allow this",
    "account": "This cannot be done with the account",
    "link": "The link does not work any more",
    "form_too_large": "The form is too large",
    "file_too_large": "The picture file is too large",
    "too_many_files": "Too many pictures at once",
    "request_too_large": "The pictures are too large together",
    "not_multipart": "The request holds no form with pictures",
    "not_a_form": "The request holds no form",
    "password": "This password is not taken",
    "token": "The token cannot be made",
    "invalid_record": "An entry cannot be kept",
    "idempotency_key_reused": "The key was used for another request",
    "no_picture": "No picture was chosen",
    "bad_parameter": "A parameter cannot be used",
    "image": "The picture cannot be read",
    "too_many_attempts": "Too many attempts",
    "busy": "All places are taken just now",
    "not_ready": "The server is not ready",
    "store": "The records cannot be reached",
    "newer_database": "The records belong to a newer version",
    "bundle": "The model cannot be used",
    "too_slow": "The assessment took too long",
    "image_missing": "The stored picture is missing",
    "image_damaged": "The stored picture is damaged",
    "internal": "Something went wrong on our side",
}
"""Heading by error code, in plain words."""


class WebError(DermaloopError):
    """A request that cannot be answered. `code` is one of `STATUS`.

    Args:
        code: Stable name.
        what: What is wrong, one clause.
        field: The form field, parameter or header concerned.
        way_out: What the caller can do.
        retry_after_s: When to try again, where that helps.
    """

    def __init__(
        self, code: str, what: str, *, field: str = "", way_out: str = "", retry_after_s: int | None = None
    ) -> None:
        self.code = code
        self.field = field
        self.retry_after_s = retry_after_s
        super().__init__(what, where=field, way_out=way_out)


_RETRY_AFTER_S = 2
_CHALLENGE = 'Bearer realm="dermaloop"'


def status_of(code: str) -> HTTPStatus:
    """The HTTP status of an error code; 500 for a code that the table does not know."""
    return STATUS.get(code, HTTPStatus.INTERNAL_SERVER_ERROR)


def problem(error: DermaloopError) -> dict[str, Any]:
    """The error as an RFC 9457 problem document.

    Members beyond the standard's: `code` (stable name), `field` (what it concerns), `way_out` (what to do).
    """
    code = error.code if error.code in STATUS else "internal"
    status = status_of(code)
    return {
        "type": f"urn:dermaloop:problem:{code}",
        "title": TITLE[code],
        "status": int(status),
        "detail": f"{error.what[:1].upper()}{error.what[1:]}.",
        "code": code,
        # Where something lies on the server is its own business, and stands in its log.
        "field": "" if PurePath(error.where).is_absolute() else error.where,
        "way_out": error.way_out,
    }


def headers_of(error: DermaloopError) -> dict[str, str]:
    """The headers that belong to an error."""
    seconds = getattr(error, "retry_after_s", None)
    if seconds is None and status_of(error.code) is HTTPStatus.SERVICE_UNAVAILABLE:
        seconds = _RETRY_AFTER_S
    found = {} if seconds is None else {"Retry-After": str(seconds)}
    # RFC 6750, section 3: nothing about what went wrong where no token came
    challenge = {
        "not_signed_in": f"{_CHALLENGE}",
        "wrong_password": f"{_CHALLENGE}",
        "bad_token": f'{_CHALLENGE}, error="invalid_token"',
        "scope_missing": f'{_CHALLENGE}, error="insufficient_scope"'
        + (f', scope="{error.where}"' if error.where else ""),
    }.get(error.code)
    return {**found, "WWW-Authenticate": challenge} if challenge else found


def problems(*codes: str) -> dict[int | str, dict[str, Any]]:
    """The error answers of a route by status, as its description for OpenAPI."""
    found: dict[int | str, dict[str, Any]] = {}
    for code in codes:
        status = int(STATUS[code])
        text = f"`{code}`: {TITLE[code]}."
        known = found.get(status)
        if known:
            known["description"] += f" {text}"
        else:
            content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
            found[status] = {"description": text, "content": content}
    return found
