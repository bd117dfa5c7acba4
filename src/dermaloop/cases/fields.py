"""Checks of single fields, before anything is written.

Owns what text, numbers and words may be kept, the same for every record. Each check returns the value to keep or raises
`InvalidRecordError` that names the field. Refuses to know records.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Collection
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import TypeVar

from dermaloop.cases.errors import InvalidRecordError

Word = TypeVar("Word", bound=StrEnum)
NAME_LENGTH = 100
NOTE_LENGTH = 10_000
EARLIEST = date(1900, 1, 1)


def line(value: str, field: str, *, longest: int = NAME_LENGTH, required: bool = False) -> str:
    """One line of text, without blanks at its ends and without control characters.

    Raises:
        InvalidRecordError: It is too long, empty although it is required, or holds what no line holds.
    """
    text = _text(value, field, longest)
    if any(unicodedata.category(letter) in ("Cc", "Zl", "Zp") for letter in text):
        raise InvalidRecordError(
            "the text holds a line break or a control character", where=field, way_out="Write it on one line."
        )
    if required and not text:
        raise InvalidRecordError("the field is empty", where=field, way_out="Fill it in.")
    return text


def note(value: str, field: str, *, longest: int = NOTE_LENGTH) -> str:
    """Free text of several lines. What looks like HTML stays text: pages escape it.

    Raises:
        InvalidRecordError: It is too long, or holds control characters.
    """
    text = _text(value.replace("\r\n", "\n"), field, longest)
    if any(unicodedata.category(letter) == "Cc" and letter not in "\n\t" for letter in text):
        raise InvalidRecordError("the text holds a control character", where=field, way_out="Remove it.")
    return text


def _text(value: str, field: str, longest: int) -> str:
    text = unicodedata.normalize("NFC", value).strip()
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidRecordError("the text holds half a character", where=field, way_out="Write it again.") from None
    if len(text) > longest:
        raise InvalidRecordError(
            f"the text has {len(text)} characters, at most {longest} are kept", where=field, way_out="Shorten it."
        )
    return text


def fold(text: str) -> str:
    """Text as it is compared and searched: without case, in one Unicode form."""
    return unicodedata.normalize("NFKC", text).casefold()


def word(value: str, kind: type[Word], field: str) -> Word:
    """One of a list's words.

    Raises:
        InvalidRecordError: It is none of them.
    """
    try:
        return kind(value)
    except ValueError:
        known = ", ".join(repr(str(one)) for one in kind)
        raise InvalidRecordError(f"{value!r} is not known", where=field, way_out=f"Use one of {known}.") from None


def one_of(value: str, known: Collection[str], field: str) -> str:
    """One of a table's words, or empty.

    Raises:
        InvalidRecordError: It is none of them.
    """
    if value and value not in known:
        raise InvalidRecordError(f"{value!r} is not known", where=field, way_out=f"Use one of {', '.join(known)}.")
    return value


def whole(value: int | None, field: str, least: int, most: int) -> int | None:
    """A whole number in [least, most], or None for unknown.

    Raises:
        InvalidRecordError: It lies outside.
    """
    if value is not None and not least <= value <= most:
        raise InvalidRecordError(f"{value} is out of range", where=field, way_out=f"Use {least} to {most}.")
    return value


def number(value: float | None, field: str, least: float, most: float) -> float | None:
    """A finite number in [least, most], or None for unknown.

    Raises:
        InvalidRecordError: It lies outside, or is no number.
    """
    if value is not None and not (math.isfinite(value) and least <= value <= most):
        raise InvalidRecordError(f"{value} is out of range", where=field, way_out=f"Use {least:g} to {most:g}.")
    return None if value is None else float(value)


def day(value: date, field: str) -> date:
    """A day that has come; tomorrow is allowed, for it may be tomorrow already where the writer is.

    Raises:
        InvalidRecordError: It lies in the future, or before 1900.
    """
    latest = datetime.now(UTC).date() + timedelta(days=1)
    if not EARLIEST <= value <= latest:
        raise InvalidRecordError(
            f"{value} is out of range", where=field, way_out=f"Use a day from {EARLIEST} to {latest}."
        )
    return value
