"""What travels in requests and answers: addresses of records, shapes, and pictures.

Owns their form. Refuses to know what they are for.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
from pydantic import ValidationError

from dermaloop.client.errors import ClientError
from dermaloop.wire.base import Answer, Entry

Shape = TypeVar("Shape", bound=Answer)
Picture = Path | tuple[str, bytes]
"""A file, or a name and the bytes."""


def at(kind: str, record_id: str, what: str = "") -> str:
    """The address of a record; whatever its id holds stays one part of the path."""
    address = f"{kind}/{quote(record_id, safe='')}"
    return f"{address}/{what}" if what else address


def plain(entry: Entry) -> Any:
    """A shape as JSON types."""
    return entry.model_dump(mode="json")


def read(kind: type[Shape], response: httpx.Response) -> Shape:
    """An answer as its shape.

    Raises:
        ClientError: It is none.
    """
    try:
        return kind.model_validate_json(response.content)
    except ValidationError as error:
        first = error.errors()[0]
        raise ClientError(
            f"the server's answer cannot be understood ({'.'.join(map(str, first['loc']))}: {first['msg']})",
            where=str(response.url.copy_with(query=None)),
            way_out="Use a client and a server of the same version.",
        ) from error


def files(pictures: Iterable[Picture]) -> list[tuple[str, tuple[str, bytes]]]:
    """Pictures as parts of a form, in memory.

    Raises:
        ClientError: A file cannot be read.
    """
    found = []
    for picture in pictures:
        if isinstance(picture, Path):
            try:
                found.append(("pictures", (picture.name, picture.read_bytes())))
            except OSError as error:
                raise ClientError(
                    f"the picture cannot be read ({error.strerror})", where=str(picture), way_out="Check the path."
                ) from error
        else:
            found.append(("pictures", picture))
    return found
