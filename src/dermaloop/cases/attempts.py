"""How often a password may be guessed: per address, per account, and per account from one address.

Owns the limits and their counters, which lie in the database and so survive a restart and hold for several server
processes. Refuses to know whether an account exists: a name that nobody has is counted and locked like any other, so
that a lock tells nothing. The counting is the `limits` library's, on a storage of ours.

An attempt is counted before its password is checked and given back when it was right, so that many attempts at the same
moment cannot slip past the counter. The trade-off: somebody who knows a name can lock it from everywhere by wrong
guesses; that takes more guesses than the lock from one address, and ends by itself.

Source: OWASP Authentication Cheat Sheet (account lock-out; observation window), NIST SP 800-63B-4, section 3.2.2
(at most 100 failed attempts in a row on an account).
"""

from __future__ import annotations

import ipaddress
import math
import time
from dataclasses import dataclass
from datetime import timedelta

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.storage import Storage
from limits.strategies import FixedWindowRateLimiter
from sqlalchemy import delete
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from dermaloop.cases.account_tables import LimitRow
from dermaloop.cases.database import now
from dermaloop.cases.secret import hashed

PAIR: RateLimitItem = RateLimitItemPerMinute(5, 15, namespace="pair")
"""Attempts on one name from one address."""
NAME: RateLimitItem = RateLimitItemPerMinute(30, 60, namespace="name")
"""Attempts on one name from anywhere."""
ADDRESS: RateLimitItem = RateLimitItemPerMinute(50, 15, namespace="address")
"""Attempts from one address on any name; a whole clinic may share one."""


@dataclass(frozen=True, slots=True)
class Admission:
    """Whether an attempt may be made.

    Attributes:
        admitted: It may; it has been counted.
        retry_after_s: Seconds until the next one may be made; 0 when admitted.
        just_locked: This attempt is the last one that is admitted: if it fails, the name is locked.
    """

    admitted: bool
    retry_after_s: int = 0
    just_locked: bool = False


class DatabaseStorage(Storage):
    """Counters of the `limits` library in the caller's transaction; an expired one counts as none.

    Args:
        session: Within one transaction that may write.
    """

    STORAGE_SCHEME = None  # made by us only, never from an address

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session

    @property
    def base_exceptions(self) -> type[Exception]:
        """What the library may wrap."""
        return SQLAlchemyError

    def _row(self, key: str) -> LimitRow | None:
        row = self._session.get(LimitRow, hashed(key))
        return row if row is not None and row.ends_at > now() else None

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Adds to a counter and returns it; begins a window of `expiry` seconds where there is none."""
        row = self._row(key) or self._begin_window(key, expiry)
        row.count = max(0, row.count + amount)
        self._session.flush()
        return row.count

    def _begin_window(self, key: str, expiry: int) -> LimitRow:
        self.clear(key)
        new = LimitRow(key=hashed(key), count=0, ends_at=now() + timedelta(seconds=expiry))
        self._session.add(new)  # writing transactions queue, so nobody else begins it meanwhile
        return new

    def get(self, key: str) -> int:
        """The counter; 0 where there is none."""
        row = self._row(key)
        return 0 if row is None else row.count

    def get_expiry(self, key: str) -> float:
        """When the window ends, in seconds since 1970."""
        row = self._row(key)
        return time.time() if row is None else row.ends_at.timestamp()

    def check(self) -> bool:
        """The database answers, or the transaction would not have begun."""
        return True

    def reset(self) -> int | None:
        """Forgets every counter."""
        self._session.execute(delete(LimitRow))
        return None

    def clear(self, key: str) -> None:
        """Forgets one counter."""
        self._session.execute(delete(LimitRow).where(LimitRow.key == hashed(key)))


def admit(session: Session, name_key: str, address: str) -> Admission:
    """Counts one attempt, unless one of the limits is reached.

    Args:
        session: A transaction that may write.
        name_key: The name typed in, as it is compared; need not exist.
        address: Where the attempt comes from.
    """
    limiter = FixedWindowRateLimiter(DatabaseStorage(session))
    session.execute(delete(LimitRow).where(LimitRow.ends_at <= now()))
    watched = _watched(name_key, address)
    full = [(limit, keys) for limit, keys in watched if not limiter.test(limit, *keys)]
    if full:
        until = max(limiter.get_window_stats(limit, *keys).reset_time for limit, keys in full)
        return Admission(admitted=False, retry_after_s=max(1, math.ceil(until - time.time())))
    for limit, keys in watched:
        limiter.hit(limit, *keys)
    return Admission(
        admitted=True,
        just_locked=any(not limiter.test(limit, *keys) for limit, keys in watched if limit is not ADDRESS),
    )


def forgive(session: Session, name_key: str, address: str) -> None:
    """After a right password: forgets the failures on the name, and gives back the address's attempt."""
    storage = DatabaseStorage(session)
    for limit, keys in _watched(name_key, address):
        key = limit.key_for(*keys)
        if limit is ADDRESS:
            storage.incr(key, limit.get_expiry(), -1)
        else:
            storage.clear(key)


def unlock(session: Session) -> None:
    """Forgets every counter: for an administrator at the command line."""
    DatabaseStorage(session).reset()


def _watched(name_key: str, address: str) -> tuple[tuple[RateLimitItem, tuple[str, ...]], ...]:
    place = place_of(address)
    return (PAIR, (name_key, place)), (NAME, (name_key,)), (ADDRESS, (place,))


def place_of(address: str) -> str:
    """The address; of IPv6 the network, since one subscriber has 2^64 addresses to come from."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 6:  # noqa: PLR2004 - the protocol's own name
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
