"""Checking the audit chain: what was changed, removed, moved or cut off, and where.

Owns the walk along the chain and what it says of a break. Refuses to repair anything. What it relies on: the secret
outside the database, the keyed end inside it, and the end noted in a file. Whoever holds the database but not the
secret cannot change, remove, add or re-order an entry unseen; one who puts back the database *and* the file of an
earlier day can hide what happened since, which only a note of the chain's end kept elsewhere shows (`noted`).
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dermaloop.cases.anchor import Anchor
from dermaloop.cases.audit import GENESIS, AuditHeadRow, AuditRow, entry_hash, head_mac

COLUMNS = tuple(column.key for column in AuditRow.__table__.columns)
_BATCH = 1000
_MOST_FINDINGS = 200
"""A chain that is broken in more places is broken throughout; the rest is counted, not described."""


class Break(StrEnum):
    """What was found."""

    CHANGED = "changed"
    REMOVED = "removed"
    MOVED = "moved"
    ADDED = "added"
    CUT = "cut"
    END_CHANGED = "end changed"


@dataclass(frozen=True, slots=True)
class Finding:
    """One break.

    Attributes:
        kind: What was found.
        first: Sequence number of the first entry concerned.
        last: Of the last.
        text: The same in plain words.
    """

    kind: Break
    first: int
    last: int
    text: str


@dataclass(frozen=True, slots=True)
class Verification:
    """The result of a walk.

    Attributes:
        count: Entries found.
        head: Hash of the last, as it should be noted elsewhere; the hash before the first where there is none.
        findings: Breaks, in the order of the chain; empty where the chain is whole.
    """

    count: int
    head: str
    findings: tuple[Finding, ...]

    @property
    def intact(self) -> bool:
        """Whether nothing was found."""
        return not self.findings


@dataclass(slots=True)
class _Walk:
    """What the walk has seen so far."""

    key: bytes
    count: int = 0
    last: int = 0
    previous: str = GENESIS
    findings: list[Finding] = field(default_factory=list)
    broken: list[dict[str, Any]] = field(default_factory=list)
    """Entries whose hash does not fit."""

    def step(self, entry: dict[str, Any]) -> None:
        sequence = entry["sequence"]
        if sequence > self.last + 1:
            first, last = self.last + 1, sequence - 1
            self.findings.append(Finding(Break.REMOVED, first, last, f"{_span(first, last)} missing"))
        elif sequence <= 0:
            self.findings.append(Finding(Break.ADDED, sequence, sequence, f"entry {sequence} stands before the first"))
        if not hmac.compare_digest(entry_hash(self.key, entry), entry["hash"]):
            self.broken.append(entry)
        elif entry["previous"] != self.previous and sequence == self.last + 1:
            text = f"entry {sequence} is whole, but does not follow the entry before it, which was changed or exchanged"
            if not (self.broken and self.broken[-1]["sequence"] == self.last):
                self.findings.append(Finding(Break.CHANGED, self.last, self.last, text))
        self.count, self.last, self.previous = self.count + 1, sequence, entry["hash"]


def _span(first: int, last: int) -> str:
    return f"entry {first} is" if first == last else f"entries {first} to {last} are"


def verify(
    session: Session, key: bytes, *, anchor: Anchor | None = None, noted: tuple[int, str] | None = None
) -> Verification:
    """Walks the whole chain, from the first entry to its end.

    About 50,000 entries a second of processor time; memory stays flat.

    Args:
        session: Any; one moment's view.
        key: The secret.
        anchor: The file in which the end is noted, if any.
        noted: (number of entries, hash of the last) as an earlier run gave it and somebody kept it.
    """
    walk = _Walk(key)
    wanted: dict[int, tuple[str, str]] = {}
    if noted is not None:
        wanted[noted[0]] = (noted[1], "your note")
    lost = False
    if anchor is not None:
        at = _read(anchor)
        lost = at is None
        if at is not None:
            wanted.setdefault(at[0], (at[1], str(anchor.path)))
    ends = {}
    for entry in _entries(session):
        walk.step(entry)
        if entry["sequence"] in wanted:
            ends[entry["sequence"]] = entry["hash"]
    findings = walk.findings + _describe_broken(walk) + _check_end(session, key, walk)
    findings += _check_notes(walk.last, wanted, ends, findings)
    if lost and walk.count and anchor is not None:
        text = f"{anchor.path} is missing or holds no end of a chain"
        findings.append(Finding(Break.END_CHANGED, walk.last, walk.last, text))
    findings.sort(key=lambda one: (one.first, one.last))
    return Verification(walk.count, walk.previous, tuple(findings))


def _check_notes(
    last: int, wanted: dict[int, tuple[str, str]], ends: dict[int, str], known: list[Finding]
) -> list[Finding]:
    """What was noted of the chain's end outside the database against what is there."""
    found: list[Finding] = []
    for count, (head, where) in sorted(wanted.items()):
        if count > last:
            if not any(one.kind is Break.CUT and one.last >= count for one in known + found):
                text = f"{_span(last + 1, count)} missing at the end: {where} knew of {count}"
                found.append(Finding(Break.CUT, last + 1, count, text))
        elif count and ends.get(count) != head:
            text = f"entry {count} is another one than {where} noted: the chain was made anew"
            found.append(Finding(Break.CHANGED, count, count, text))
    return found


def _read(anchor: Anchor) -> tuple[int, str] | None:
    try:
        return anchor.read()
    except (OSError, ValueError):
        return None


def _entries(session: Session) -> Iterator[dict[str, Any]]:
    query = sa.select(*AuditRow.__table__.columns).order_by(AuditRow.sequence)
    for row in session.execute(query, execution_options={"yield_per": _BATCH}):
        yield dict(zip(COLUMNS, row, strict=True))


def _describe_broken(walk: _Walk) -> list[Finding]:
    """Tells moved entries from changed ones: a moved one's hash fits the place that it had."""
    findings = []
    places = [entry["sequence"] for entry in walk.broken[:_MOST_FINDINGS]]
    for one in walk.findings:
        if one.kind is Break.REMOVED:
            places += list(range(one.first, min(one.last, one.first + _MOST_FINDINGS) + 1))
    for entry in walk.broken[:_MOST_FINDINGS]:
        at = entry["sequence"]
        from_place = next(
            (place for place in places if entry_hash(walk.key, {**entry, "sequence": place}) == entry["hash"]), None
        )
        if from_place is not None:
            findings.append(Finding(Break.MOVED, at, at, f"entry {at} stood at {from_place} when it was written"))
        else:
            findings.append(Finding(Break.CHANGED, at, at, f"entry {at} was changed after it was written, or forged"))
    rest = walk.broken[_MOST_FINDINGS:]
    if rest:
        first, last = rest[0]["sequence"], rest[-1]["sequence"]
        text = f"{len(rest)} more entries from {first} to {last} were changed or forged; perhaps the secret is another"
        findings.append(Finding(Break.CHANGED, first, last, text))
    return findings


def _check_end(session: Session, key: bytes, walk: _Walk) -> list[Finding]:
    head = session.execute(sa.select(AuditHeadRow.count, AuditHeadRow.hash, AuditHeadRow.mac)).one_or_none()
    at = walk.last
    if head is None:
        missing = Finding(Break.END_CHANGED, at, at, "the note of the chain's end is missing")
        return [missing] if walk.count else []
    count, last, mac = head
    if not hmac.compare_digest(head_mac(key, count, last), mac):
        found = Finding(Break.END_CHANGED, at, at, "the note of the chain's end was changed or forged")
    elif count > at:
        found = Finding(Break.CUT, at + 1, count, f"{_span(at + 1, count)} missing at the end")
    elif count < at:
        found = Finding(Break.ADDED, count + 1, at, f"{_span(count + 1, at)} beyond the chain's end")
    elif last != walk.previous:
        found = Finding(Break.CHANGED, count, count, f"entry {count} is another one than was written last")
    else:
        return []
    return [found]
