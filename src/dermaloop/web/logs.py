"""What the server writes about its own work: one line per request and per defect, and never a word of a patient's.

Owns the form of the lines and what may stand in them: the route as it is written in the program (`/cases/{case_id}`),
never the address that was asked for; the id of who asked, never a name; no address, no query, no file name, no text of
a form. Refuses to decide where lines go: they are written to standard error, which the service manager keeps.

Libraries' messages and the texts of exceptions are not ours to vouch for: they quote what they could not use ("could
not convert 'Jane Doe'", the values of an SQL statement). So of a library's line only its fixed text is written, without
what was put into it, and of an exception its kind and where it was raised, never what it says. The trade-off: a defect
is found by its place in the code alone.

The form is the standard library's `logging`, written as JSON by `python-json-logger` (docs/adr/0031).
"""

from __future__ import annotations

import contextvars
import logging
import re
import sys
import traceback
from datetime import UTC, datetime
from types import TracebackType
from typing import Literal, TextIO

from pythonjsonlogger.json import JsonFormatter

Kind = Literal["warnings", "text", "json"]
"""`warnings`: only what needs looking after, as text. `text` and `json`: every request too."""

REQUESTS = logging.getLogger("dermaloop.requests")
FIELDS = ("request_id", "method", "route", "status", "duration_ms", "actor_kind", "actor", "problem")
"""What a request's line holds beside its moment, level, logger and message; `null` where there is none."""

_WARNING = re.compile(r".*?:\d+: \w+")
_OURS = ("dermaloop", "uvicorn")
_ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]

request_id: contextvars.ContextVar[str | None] = contextvars.ContextVar("dermaloop_request_id", default=None)
"""Of the request in hand, also on the threads that work for it; None outside of one."""


def set_up(kind: Kind, stream: TextIO | None = None) -> None:
    """Sends all loggers of this process to one stream, in one form. Called once, by the command that serves.

    Args:
        kind: Which lines, and in which form.
        stream: Where to; standard error by default.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_Json() if kind == "json" else _Text())
    handler.addFilter(_discreet)
    logging.captureWarnings(capture=True)  # else a library's warning stands as plain text among lines of JSON
    root = logging.getLogger()
    for former in root.handlers[:]:
        root.removeHandler(former)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.getLogger("dermaloop").setLevel(logging.WARNING if kind == "warnings" else logging.INFO)


def _discreet(record: logging.LogRecord) -> bool:
    """Adds the request's id; leaves of a library's message only what is fixed in it."""
    record.request_id = request_id.get()
    if record.name.partition(".")[0] not in _OURS:
        # asyncio puts the exceptions of forgotten tasks into the lines after its first; a warning's own text follows
        # the place and kind of it.
        first = str(record.msg).partition("\n")[0]
        warned = _WARNING.match(first) if record.name == "py.warnings" else None
        record.msg, record.args = warned[0] if warned else first, ()
    record.exc_text = None  # another handler may have kept the whole text here
    return True


class _Json(JsonFormatter):
    """One JSON object per line."""

    def __init__(self) -> None:
        super().__init__(
            ["levelname", "name", "message"], rename_fields={"levelname": "level", "name": "logger"}, timestamp="at"
        )

    def formatException(self, ei: _ExcInfo) -> str:  # noqa: N802 - the library's name
        """Kind and place, not text."""
        return where_raised(ei[1])


class _Text(logging.Formatter):
    """One line for a person; a defect's places below it."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        about = [f"{name}={getattr(record, name)}" for name in FIELDS if getattr(record, name, None) is not None]
        said = record.getMessage() if record.name != REQUESTS.name else ""
        line = " ".join(part for part in (at, record.levelname, record.name, said, *about) if part)
        return f"{line}\n{where_raised(record.exc_info[1])}" if record.exc_info else line


def where_raised(error: BaseException | None) -> str:
    """An exception as its kind and the places in the code that it went through; never its text. Its causes follow."""
    lines: list[str] = []
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        kind = type(error)
        lines.append(f"{kind.__module__}.{kind.__qualname__}, raised in")
        lines += [
            f"  {frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)
        ]
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n".join(lines)
