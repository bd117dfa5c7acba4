"""The reader's language: which it is, the catalogue of its texts, and how it writes numbers, shares and dates.

Owns the choice of a language for a request (the cookie of the switch in the footer, else the browser's
`Accept-Language`, else English) and everything that depends on it. Refuses to know any text. English is the language of
the source; every folder in `locale/` is one more. The language of the request in hand lies in a context variable, as
every framework keeps it, so that a function deep below a page can say `_("…")` without being handed the request; code
that leaves the request's context (a worker thread) takes a copy of it along, see `Capacity.run`.

The catalogues ship as their `.po` text and are compiled in memory when first used: a few milliseconds once, instead of
binary files that can fall behind the text they were made from (docs/adr/0023).
"""

from __future__ import annotations

import contextvars
import datetime as dt
import functools
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources

from babel import Locale, negotiate_locale
from babel.dates import format_date, format_skeleton, format_timedelta
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal, format_percent
from babel.support import NullTranslations, Translations
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SOURCE = "en"
DOMAIN = "dermaloop"
COOKIE = "language"
COOKIE_AGE_S = 365 * 24 * 60 * 60
_HEADER_LENGTH = 1000
"""Longer Accept-Language headers are no browser's."""


@dataclass(frozen=True, slots=True)
class Language:
    """One language that the pages speak.

    Attributes:
        code: As in `<html lang>`, e.g. `de`.
        name: In the language itself, e.g. `Deutsch`.
        locale: How it writes numbers and dates.
        translations: Its texts.
    """

    code: str
    name: str
    locale: Locale
    translations: NullTranslations

    @property
    def is_source(self) -> bool:
        """Whether it is the language that the texts are written in."""
        return self.code == SOURCE


@functools.cache
def codes() -> tuple[str, ...]:
    """The languages that ship: the source's, then those with a catalogue."""
    folder = resources.files("dermaloop.web") / "locale"
    found = (one.name for one in folder.iterdir() if (one / "LC_MESSAGES" / f"{DOMAIN}.po").is_file())
    return (SOURCE, *sorted(found))


@functools.cache
def language(code: str) -> Language:
    """The language of a code.

    Raises:
        KeyError: It does not ship.
    """
    if code not in codes():
        raise KeyError(code)
    locale = Locale.parse(code)
    translations = NullTranslations() if code == SOURCE else _compiled(code)
    name = locale.get_language_name() or code
    return Language(code, name[:1].upper() + name[1:], locale, translations)


def _compiled(code: str) -> Translations:
    text = (resources.files("dermaloop.web") / "locale" / code / "LC_MESSAGES" / f"{DOMAIN}.po").read_bytes()
    compiled = io.BytesIO()
    write_mo(compiled, read_po(io.BytesIO(text), locale=code))  # leaves fuzzy texts out
    compiled.seek(0)
    return Translations(compiled, DOMAIN)


_current: contextvars.ContextVar[str] = contextvars.ContextVar("dermaloop_language", default=SOURCE)


def current() -> Language:
    """The language of the request in hand; English outside of one."""
    return language(_current.get())


@contextmanager
def speaking(code: str) -> Iterator[None]:
    """Runs a block in a language.

    Raises:
        KeyError: The language does not ship.
    """
    token = _current.set(language(code).code)
    try:
        yield
    finally:
        _current.reset(token)


def gettext(text: str) -> str:
    """A text in the reader's language; as it is where the catalogue has none."""
    # The empty text is the catalogue's own header.
    return current().translations.ugettext(text) if text else ""


def ngettext(one: str, many: str, count: int) -> str:
    """The form of a text that fits a count, in the reader's language."""
    return current().translations.ungettext(one, many, count)


def gettext_noop(text: str) -> str:
    """Marks a text for the catalogue where it is written down; it is translated where it is shown."""
    return text


def known(text: str) -> bool:
    """Whether the reader's language has this very text."""
    return current().is_source or (bool(text) and gettext(text) != text)


def number(value: float, digits: int | None = None) -> str:
    """A number as the reader writes it, e.g. '1,234.5' or '1.234,5'.

    Args:
        value: The number.
        digits: Decimals; None for as many as the number has, three at most.
    """
    pattern = None if digits is None else "#,##0" + ("." + "0" * digits if digits else "")
    return format_decimal(value, format=pattern, locale=current().locale)


def share(value: float, digits: int = 0) -> str:
    """A share in [0, 1] in percent as the reader writes it, e.g. '62%' or '62 %' with a space that does not break."""
    locale = current().locale
    pattern = locale.percent_formats[None].pattern
    if digits:
        pattern = pattern.replace("##0", "##0." + "0" * digits)
    return format_percent(value, format=pattern, locale=locale)


def date(value: dt.date) -> str:
    """A date as the reader writes it, e.g. 'Mar 4, 2026' or '04.03.2026'."""
    return format_date(value, "medium", locale=current().locale)


def moment(value: dt.datetime) -> str:
    """A time as the reader writes it, to the minute, in the time zone of this computer.

    Args:
        value: Aware of its time zone.
    """
    local = value.astimezone()
    return f"{date(local)} {local:%H:%M}"


def month(value: dt.date) -> str:
    """The month of a date as the reader writes it, e.g. 'Mar 2026' or 'März 2026'."""
    return format_skeleton("yMMM", dt.datetime(value.year, value.month, 1), locale=current().locale)  # noqa: DTZ001


def span(seconds: float) -> str:
    """A length of time in one unit, e.g. '3 hours' or '3 Stunden'."""
    if seconds < 1:
        return gettext("under a second")
    return format_timedelta(dt.timedelta(seconds=seconds), threshold=2, locale=current().locale)


def choose(cookie: str | None, accept_language: str | None) -> str:
    """The code of the language to answer in.

    Args:
        cookie: What the reader chose by the switch, if ever.
        accept_language: The header of that name, as it came.
    """
    if cookie in codes():
        return cookie or SOURCE
    wanted = _by_preference(accept_language or "")
    return negotiate_locale(wanted, codes(), sep="-", aliases={}) or SOURCE


def _by_preference(header: str) -> list[str]:
    """The languages of an Accept-Language header, the most wanted first. Source: RFC 9110, section 12.5.4."""
    weighted: list[tuple[float, str]] = []
    for part in header[:_HEADER_LENGTH].split(","):
        name, _, parameter = part.strip().partition(";")
        key, _, quality = parameter.strip().partition("=")
        try:
            weight = float(quality) if key.strip() == "q" else 1.0
        except ValueError:
            weight = 0.0
        if name.strip() and weight > 0:
            weighted.append((-weight, name.strip().lower()))
    return [name for _, name in sorted(weighted, key=lambda one: one[0])]


class TranslationMiddleware:
    """Answers every request in its reader's language.

    The API answers in English always: a program reads codes, and a text that changes with a header is no interface.

    Args:
        app: The application.
        machine_paths: Beginnings of the paths that programs read.
    """

    def __init__(self, app: ASGIApp, machine_paths: tuple[str, ...] = ()) -> None:
        self._app = app
        self._machine_paths = machine_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        code = SOURCE
        if not scope["path"].startswith(self._machine_paths):
            connection = HTTPConnection(scope)
            code = choose(connection.cookies.get(COOKIE), connection.headers.get("accept-language"))

        async def send_with_language(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).setdefault("Content-Language", code)
            await send(message)

        with speaking(code):
            await self._app(scope, receive, send_with_language)


def local_path(address: str) -> str:
    """A path of this server to go back to, or '/' for anything that could lead elsewhere."""
    # Browsers read a backslash as a slash and drop control characters, so '/\\evil' and '/\t/evil' lead away.
    safe = address.isprintable() and "\\" not in address and address.startswith("/") and not address.startswith("//")
    return address if safe else "/"
