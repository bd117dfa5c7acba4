"""What can go wrong with records, as errors fit to show a person.

Owns the stable codes that the edges map (HTTP status, exit status). Refuses to know HTTP.
"""

from __future__ import annotations

from dermaloop.core.errors import DermaloopError


class StoreError(DermaloopError):
    """The store cannot be opened or used: missing key, damaged file, wrong version, no connection."""

    code = "store"


class StoreBusyError(StoreError):
    """Another writer held the store for too long, or no connection became free; trying again helps."""

    code = "busy"


class NewerDatabaseError(StoreError):
    """The database was written by a newer version of the program, which this one must not touch."""

    code = "newer_database"


class RecordNotFoundError(DermaloopError):
    """There is no such record, or it was deleted."""

    code = "record_not_found"


class InvalidRecordError(DermaloopError):
    """A field of a record has a value that cannot be kept. `where` names the field."""

    code = "invalid_record"


class ConflictError(DermaloopError):
    """The change does not fit the record's present state: taken pseudonym, signed case, corrected entry."""

    code = "conflict"
