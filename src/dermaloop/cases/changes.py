"""Whether anything was committed to the database since one last looked, for a few microseconds.

Owns one connection that does nothing but ask SQLite's counter of commits, which counts those of every connection and
every process. What was read stays true as long as the counter stands, so that a server need not read who carries a
token again for each of a thousand requests, and a token that was revoked a moment ago still opens nothing. PostgreSQL
has no such counter: there nothing is known to be unchanged, and everything is read anew.

Source: https://www.sqlite.org/pragma.html#pragma_data_version
"""

from __future__ import annotations

import sqlite3

from dermaloop.cases.database import Database


class Changes:
    """The counter of one open database. Used from one thread at a time; closed by its owner.

    Args:
        database: Which.
    """

    def __init__(self, database: Database) -> None:
        self._connection: sqlite3.Connection | None = None
        if database.embedded:
            # It never waits: who asks has better things to do than to wait for a lock in order to be quick.
            path = str(database.engine.url.database)
            self._connection = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)

    def version(self) -> int | None:
        """A number that changes with every commit; None where that cannot be told just now."""
        if self._connection is None:
            return None
        try:
            (number,) = self._connection.execute("PRAGMA data_version").fetchone()
        except sqlite3.Error:
            return None
        return int(number)

    def close(self) -> None:
        """Gives the connection back."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
