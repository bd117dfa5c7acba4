"""A request that does not fit its description, told with the field and the way out.

Owns the wording. Refuses to repeat what was sent beyond a short single value: a body may hold a patient's facts, and a
problem ends up in logs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.requests import Request

from dermaloop.web.errors import WebError

_SHOWN = 60
_LONGEST_FIELD = 100
_WAYS_OUT = {
    "missing": "Send it.",
    "extra_forbidden": "Leave it out; the description at /api/docs lists what is known.",
}


def told(error: RequestValidationError) -> WebError:
    """The first thing that is wrong with a request, as one of our errors.

    Args:
        error: As the framework raises it.
    """
    first = error.errors()[0]
    kind, message = str(first["type"]), str(first["msg"])
    if kind == "json_invalid":
        return WebError("malformed_request", "the body is no JSON", field="body", way_out="Send it as JSON.")
    field = _printable(".".join(str(part) for part in first["loc"][1:]) or str(first["loc"][0]))[:_LONGEST_FIELD]
    message = message.removeprefix("Value error, ")
    what = f"{message[:1].lower()}{message[1:]}"
    return WebError(
        "bad_parameter",
        _printable(f"{_shown(first.get('input'))}{what}"),
        field=field,
        way_out=_WAYS_OUT.get(kind, "Correct it; /api/docs says what fits."),
    )


def require_known(request: Request) -> None:
    """Refuses a query parameter that the route's signature does not have: a filter misspelt would filter nothing.

    Args:
        request: It has come to a route of the API.

    Raises:
        WebError: `bad_parameter`, with the first unknown one and the list of the known.
    """
    if not request.scope["query_string"]:
        return
    known = sorted(set(_known(request.scope["route"].dependant)))
    unknown = next((name for name in request.query_params if name not in known), None)
    if unknown is not None:
        shown = _printable(unknown)[:_SHOWN]
        raise WebError(
            "bad_parameter",
            f"{shown!r} is no query parameter of this address",
            field=shown,
            way_out=f"Known here: {', '.join(known)}." if known else "Leave it out: it knows none.",
        )


def _known(dependant: Any) -> Iterator[str]:
    """Names of the query parameters of a route and of what it depends on."""
    for one in dependant.query_params:
        yield one.alias
    for one in dependant.dependencies:
        yield from _known(one)


def _shown(value: Any) -> str:
    if not isinstance(value, str | int | float | bool) or value == "":
        return ""
    text = repr(value)
    return f"{text[:_SHOWN]}{'…' if len(text) > _SHOWN else ''}: "


def _printable(text: str) -> str:
    """Text that any JSON reader takes: half characters, which JSON's escapes can smuggle in, are replaced."""
    return text.encode("utf-8", "replace").decode("utf-8")
