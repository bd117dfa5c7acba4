"""The place where a page of a list ended, for lists that are sorted by a time and an id.

Owns the cursor's form: a time and an id, which says nothing of anybody, since addresses end up in logs. Refuses to know
lists. The trade-off: keyset instead of an offset, so that pages neither repeat nor skip an entry because others came or
went in between; a page in the middle cannot be asked for.
"""

from __future__ import annotations

import base64
import binascii
import json
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from dermaloop.cases.errors import InvalidRecordError

LARGEST_PAGE = 200


def write(made_at: datetime, last_id: str) -> str:
    """The cursor of the page after an entry."""
    return base64.urlsafe_b64encode(json.dumps([made_at.isoformat(), last_id]).encode()).decode()


def read(cursor: str) -> tuple[datetime, str]:
    """Time and id of the entry with which the page before ended.

    Raises:
        InvalidRecordError: The cursor was not given by `write`.
    """
    try:
        moment, last_id = json.loads(base64.urlsafe_b64decode(cursor.encode()))
        made_at = datetime.fromisoformat(moment)
    except (ValueError, TypeError, binascii.Error, RecursionError) as error:
        raise _bad() from error
    if made_at.tzinfo is None or not (isinstance(last_id, str) and last_id.isascii() and last_id.isprintable()):
        raise _bad()
    return made_at, last_id


def beyond(cursor: str, made_at: Any, row_id: Any, *, newest_first: bool) -> sa.ColumnElement[bool]:
    """The condition that a row lies beyond the page before.

    Args:
        cursor: As it was given.
        made_at: The column of the time.
        row_id: The column of the id, sorted in the same direction.
        newest_first: That direction.

    Raises:
        InvalidRecordError: As `read` says.
    """
    moment, last_id = read(cursor)
    place, column = sa.tuple_(sa.literal(moment, made_at.type), sa.literal(last_id)), sa.tuple_(made_at, row_id)
    return column < place if newest_first else column > place


def _bad() -> InvalidRecordError:
    return InvalidRecordError(
        "the cursor does not belong to this list", where="cursor", way_out="Begin at the first page."
    )
