"""Single entries of a form as numbers and days.

Owns their reading: empty means not stated, a comma is a decimal point too. Refuses to judge ranges: that is the
records' (`cases.fields`).
"""

from __future__ import annotations

import datetime as dt
import math

from dermaloop.web.errors import WebError
from dermaloop.web.forms import Form

_LONGEST = 40


def whole(form: Form, name: str) -> int | None:
    """A whole number; None where nothing is stated.

    Raises:
        WebError: `bad_parameter`.
    """
    text = form.get(name).strip()
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < _LONGEST):
        raise _bad(name, text, "no whole number", "Write it in digits.")
    return int(text)


def decimal(form: Form, name: str) -> float | None:
    """A number; None where nothing is stated.

    Raises:
        WebError: `bad_parameter`.
    """
    text = form.get(name).strip().replace(",", ".")
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise _bad(name, text, "no number", "Write it as 0.02.")
    return value


def day(form: Form, name: str) -> dt.date:
    """A day.

    Raises:
        WebError: `bad_parameter`; also where nothing is stated.
    """
    text = form.get(name).strip()
    try:
        return dt.date.fromisoformat(text)
    except ValueError as error:
        raise _bad(name, text, "no day", "Write it as 2026-03-04.") from error


def _bad(name: str, text: str, what: str, way_out: str) -> WebError:
    return WebError("bad_parameter", f"{text[:_LONGEST]!r} is {what}", field=name, way_out=way_out)
