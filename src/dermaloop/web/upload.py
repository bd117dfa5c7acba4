"""Receiving picture files: a streaming multipart reader that never holds more than the limits allow.

Owns the limits on bytes and number of files, kept while the bytes arrive. Refuses to know pictures. The trade-off:
files are held in memory, never in a temporary file on disk (pictures of patients are not stored), which is why
the framework's own form parser, which spools to disk, is not used; the syntax is parsed by `python-multipart`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from dermaloop.web.body import drain
from dermaloop.web.errors import WebError
from dermaloop.web.forms import FORM_TOKEN, Form

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks
    from starlette.requests import Request

    from dermaloop.web.settings import Settings

FIELD = "pictures"
_MEBIBYTE = 1024 * 1024
_HEADER_LIMIT_BYTES = 8 * 1024
_PART_LIMIT_FACTOR = 4
"""Parts of any kind allowed per allowed file: empty file fields and unknown fields cost something too."""
_NAME_LENGTH = 200
_TEXTS_BYTES = 64 * 1024


@dataclass(slots=True)
class Upload:
    """One received file. `too_large` means that its content was not kept."""

    name: str
    content: bytes = field(repr=False)
    too_large: bool = False


async def receive(
    request: Request, settings: Settings, *, check: Callable[[str], None] = lambda _: None, keep_going: bool = False
) -> list[Upload]:
    """Reads the picture files of a multipart request; its texts can be had by `forms.read_form` afterwards.

    Args:
        request: Its body has not been read.
        settings: The limits.
        check: Called with the value of the field `form_token` that stands before the files (empty where there is none),
            before the first file is read; may raise.
        keep_going: What to do with a file over its limit: drop its content and mark it (True) or refuse the whole
            request (False).

    Returns:
        At least one file, in the order sent.

    Raises:
        WebError: `not_multipart`, `malformed_upload`, `no_picture`, `file_too_large`, `too_many_files`,
            `request_too_large`, `upload_too_slow`, `form_too_large`, `bad_parameter`.
    """
    stream = request.stream()
    try:
        async with asyncio.timeout(settings.upload_timeout_s):
            return await _read(request, stream, _Collector(settings, check, keep_going=keep_going))
    except TimeoutError as error:
        raise WebError(
            "upload_too_slow",
            f"the pictures did not arrive within {settings.upload_timeout_s:g} seconds",
            field=FIELD,
            way_out="Send fewer or smaller pictures at once.",
        ) from error
    except WebError:
        await drain(stream)
        raise


async def _read(request: Request, stream: AsyncIterator[bytes], collector: _Collector) -> list[Upload]:
    settings = collector.settings
    kind, options = parse_options_header(request.headers.get("content-type"))
    boundary = options.get(b"boundary")
    if kind != b"multipart/form-data" or not boundary:
        raise WebError(
            "not_multipart",
            f"the content type is {request.headers.get('content-type', 'missing')!r}",
            field="Content-Type",
            way_out=f"Send multipart/form-data with the picture files in the field '{FIELD}'.",
        )
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > settings.max_total_bytes:
        raise _request_too_large(settings)
    try:
        parser = MultipartParser(boundary, collector.callbacks(), max_size=float("inf"))
        received = 0
        async for chunk in stream:
            received += len(chunk)
            if received > settings.max_total_bytes:
                raise _request_too_large(settings)
            parser.write(chunk)
        parser.finalize()
    except FormParserError as error:
        raise WebError(
            "malformed_upload",
            "the request is not well-formed multipart/form-data",
            field=FIELD,
            way_out="Send it again; if that fails too, use another browser or client.",
        ) from error
    if not collector.ended:
        raise WebError(
            "malformed_upload", "the request ends in the middle of a file", field=FIELD, way_out="Send it again."
        )
    request.state.form = Form(collector.texts())
    if not collector.uploads:
        raise WebError(
            "no_picture",
            "the request holds no picture file",
            field=FIELD,
            way_out=f"Choose at least one picture (form field '{FIELD}').",
        )
    return collector.uploads


class _Collector:
    """Takes the parser's events and keeps the files of the field `pictures`."""

    def __init__(self, settings: Settings, check: Callable[[str], None], *, keep_going: bool) -> None:
        self.uploads: list[Upload] = []
        self.ended = False
        self.settings = settings
        self._check = check
        self._texts: list[tuple[str, bytearray]] = []
        self._texts_bytes = 0
        self._in_text = False
        self._keep_going = keep_going
        self._parts = 0
        self._header_name, self._header_value, self._header_bytes = b"", b"", 0
        self._disposition = b""
        self._name: str | None = None
        self._buffer = bytearray()
        self._too_large = False

    def callbacks(self) -> MultipartCallbacks:
        return {
            "on_part_begin": self._part_begin,
            "on_header_field": self._on_header_field,
            "on_header_value": self._on_header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": self._part_data,
            "on_part_end": self._part_end,
            "on_end": self._end,
        }

    def _part_begin(self) -> None:
        self._parts += 1
        if self._parts > _PART_LIMIT_FACTOR * self.settings.max_files:
            raise self._too_many()
        self._header_bytes, self._disposition, self._name = 0, b"", None
        self._buffer, self._too_large = bytearray(), False

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._count_header(end - start)
        self._header_name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._count_header(end - start)
        self._header_value += data[start:end]

    def _count_header(self, length: int) -> None:
        self._header_bytes += length
        if self._header_bytes > _HEADER_LIMIT_BYTES:
            raise WebError("malformed_upload", "a part has overlong headers", field=FIELD, way_out="Send it again.")

    def _header_end(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            self._disposition = self._header_value
        self._header_name, self._header_value = b"", b""

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._in_text = b"name" in options and b"filename" not in options
        if self._in_text:
            self._texts.append((options[b"name"].decode("utf-8", errors="replace")[:_NAME_LENGTH], bytearray()))
        # A browser sends a file field that nothing was chosen for as a part with an empty file name.
        if options.get(b"name") == FIELD.encode() and options.get(b"filename"):
            if not self.uploads:
                token = next((value for name, value in self._texts if name == FORM_TOKEN), b"")
                self._check(token.decode("ascii", errors="replace"))
            self._name = _clean_name(options[b"filename"])
            if len(self.uploads) >= self.settings.max_files:
                raise self._too_many()

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._in_text:
            self._texts_bytes += end - start
            if self._texts_bytes > _TEXTS_BYTES:
                raise WebError("form_too_large", "the form's texts are too long", way_out="Shorten them.")
            self._texts[-1][1].extend(data[start:end])
        if self._name is None or self._too_large:
            return
        if len(self._buffer) + end - start > self.settings.max_file_bytes:
            if not self._keep_going:
                raise file_too_large(self._name, f"{FIELD}[{len(self.uploads)}]", self.settings)
            self._too_large, self._buffer = True, bytearray()
            return
        self._buffer += data[start:end]

    def _part_end(self) -> None:
        if self._name is not None:
            self.uploads.append(Upload(self._name, bytes(self._buffer), self._too_large))
        self._buffer, self._name = bytearray(), None

    def _end(self) -> None:
        self.ended = True

    def texts(self) -> dict[str, tuple[str, ...]]:
        """The values of each text field, in the order sent."""
        found: dict[str, tuple[str, ...]] = {}
        for name, value in self._texts:
            try:
                text = value.decode("utf-8")
            except UnicodeDecodeError:
                text = "\0"
            if "\0" in text:
                raise WebError("bad_parameter", "the field holds no text", field=name[:40], way_out="Write it again.")
            found[name] = (*found.get(name, ()), text)
        return found

    def _too_many(self) -> WebError:
        return WebError(
            "too_many_files",
            f"the request holds more than {self.settings.max_files} files",
            field=FIELD,
            way_out=f"Send at most {self.settings.max_files} pictures at once.",
        )


def file_too_large(name: str, where: str, settings: Settings) -> WebError:
    """The error for a file over `max_file_bytes`."""
    return WebError(
        "file_too_large",
        f"{name!r} is larger than {megabytes(settings.max_file_bytes)}",
        field=where,
        way_out="Export it as JPEG, or photograph at a lower resolution; 1,000 pixels on each side are plenty.",
    )


def megabytes(count: int) -> str:
    """A number of bytes in words, e.g. '32 MB'."""
    return f"{count / _MEBIBYTE:.0f} MB" if count >= _MEBIBYTE else f"{count / 1024:.0f} kB"


def _request_too_large(settings: Settings) -> WebError:
    return WebError(
        "request_too_large",
        f"the request is larger than {megabytes(settings.max_total_bytes)}",
        field=FIELD,
        way_out="Send fewer or smaller pictures at once.",
    )


def _clean_name(raw: bytes) -> str:
    """The last component of a file name without control characters: it is shown, never used as a path."""
    text = raw.decode("utf-8", errors="replace").replace("\\", "/").rsplit("/", 1)[-1]
    text = "".join(character for character in text if character.isprintable()).strip()
    return text[-_NAME_LENGTH:] or "picture"
