"""Reading an ordinary form: small, whole, and plain text.

Owns the limits on a form's body, kept while it arrives. Refuses files: those are `web.upload`'s.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from urllib.parse import parse_qsl

from starlette.requests import Request

from dermaloop.web.errors import WebError

FORM_TOKEN = "form_token"  # noqa: S105 - a field's name
_KIND = "application/x-www-form-urlencoded"
_MOST_BYTES = 64 * 1024
_MOST_FIELDS = 100
_TIMEOUT_S = 15.0


@dataclass(frozen=True, slots=True)
class Form:
    """The values of each field, in the order sent."""

    fields: dict[str, tuple[str, ...]]

    def get(self, name: str, default: str = "") -> str:
        """The first value of a field, or `default` where it is missing."""
        return self.fields.get(name, (default,))[0]

    def all(self, name: str) -> tuple[str, ...]:
        """Every value of a field."""
        return self.fields.get(name, ())


def is_form(request: Request) -> bool:
    """Whether the request brings an ordinary form."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() == _KIND


async def read_form(request: Request) -> Form:
    """The fields of the request's form; read once, however often asked.

    Raises:
        WebError: `not_a_form`, `form_too_large`, `upload_too_slow`, `bad_parameter`.
    """
    known = getattr(request.state, "form", None)
    if isinstance(known, Form):
        return known
    if not is_form(request):
        raise WebError("not_a_form", "the request holds no form", field="Content-Type", way_out=f"Send {_KIND}.")
    form = Form(_parse(await _body(request)))
    request.state.form = form
    return form


async def _body(request: Request) -> bytes:
    received = bytearray()
    announced = request.headers.get("content-length", "")
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            if announced.isdecimal() and int(announced) > _MOST_BYTES:
                raise _too_large()
            async for chunk in request.stream():
                received += chunk
                if len(received) > _MOST_BYTES:
                    raise _too_large()
    except TimeoutError as error:
        raise WebError(
            "upload_too_slow", f"the form did not arrive within {_TIMEOUT_S:g} seconds", way_out="Send it again."
        ) from error
    return bytes(received)


def _parse(body: bytes) -> dict[str, tuple[str, ...]]:
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(body),
            encoding="utf-8",
            errors="strict",
            max_num_fields=_MOST_FIELDS,
        )
    except ValueError as error:  # bad UTF-8 is one too
        raise WebError("bad_parameter", "the form cannot be read", way_out="Open it anew.") from error
    fields: dict[str, tuple[str, ...]] = {}
    for name, value in pairs:
        if "\0" in value:
            raise WebError("bad_parameter", "the field holds a NUL character", field=name[:40], way_out="Remove it.")
        fields[name] = (*fields.get(name, ()), value)
    return fields


def _too_large() -> WebError:
    return WebError("form_too_large", f"the form is larger than {_MOST_BYTES // 1024} kB", way_out="Shorten its texts.")
