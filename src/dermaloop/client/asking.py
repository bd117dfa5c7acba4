"""How a client's methods ask: make, put, walk through pages, save what is large.

Owns those ways. Refuses to know what is asked for, and how requests travel (`client.transport`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from dermaloop.client.content import Shape, plain, read
from dermaloop.client.transport import Transport
from dermaloop.core.errors import OutputError
from dermaloop.core.files import replacing
from dermaloop.wire.base import Answer, Entry

Page = TypeVar("Page", bound=Answer)


class Asking:
    """What every group of methods has: the connection.

    Args:
        transport: The connection.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def _get(self, kind: type[Shape], path: str, **params: Any) -> Shape:
        return read(kind, self._transport.get(path, **params))

    def _make(self, kind: type[Shape], path: str, entry: Entry | None, key: str | None) -> Shape:
        content = {} if entry is None else {"json": plain(entry)}
        return read(kind, self._transport.post(path, key=key, **content))

    def _put(self, kind: type[Shape], path: str, entry: Entry) -> Shape:
        return read(kind, self._transport.send("PUT", path, json=plain(entry)))

    def _walk(self, kind: type[Page], path: str, **params: Any) -> Iterator[Page]:
        """Every page of a list."""
        cursor: str | None = None
        while True:
            page = self._get(kind, path, cursor=cursor, **params)
            yield page
            cursor = getattr(page, "next")  # noqa: B009 - every page has it, each by a field of its own
            if cursor is None:
                return

    def _save(self, path: str, out: Path, **params: Any) -> None:
        """What is large, written to a file piece by piece, whole or not at all."""
        wanted = {name: value for name, value in params.items() if value is not None}
        try:
            with self._transport.stream(path, wanted) as response, replacing(out) as temporary:
                temporary.touch(mode=0o600)
                with temporary.open("wb") as file:
                    for piece in response.iter_bytes():
                        file.write(piece)
        except OSError as error:
            raise OutputError(
                f"the file cannot be written ({error.strerror})", where=str(out), way_out="Choose another place."
            ) from error
