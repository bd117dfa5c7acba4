"""Doubted confirmations as the server sends them.

Owns those shapes. Refuses to say what is doubted: checks found it, and a lead decides.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from dermaloop.wire.base import ID, Answer, FlagKind, Verdict


class FlagReview(Answer):
    """What a lead said of a flag; the latest word counts."""

    made_at: datetime
    actor_name: str
    verdict: Verdict
    reason: str


class Flag(Answer):
    """That a confirmation may not train before a lead has looked, and why."""

    id: ID
    case_id: ID
    confirmation_id: ID
    made_at: datetime
    kind: FlagKind = Field(
        description="The picture looks like another diagnosis; who wrote it down is out of line; the same picture "
        "belongs to several lesions."
    )
    about: str = Field(description="The picture's id; for a contributor, a number of confirmations.")
    sentence: str = Field(description="What was found, in English.")
    evidence: dict[str, Any] = Field(description="The numbers behind it.")
    review: FlagReview | None = Field(description="Null while it waits.")


class FlagPage(Answer):
    """A page of flags, oldest first."""

    flags: list[Flag]
    waiting: int = Field(description="How many wait for a lead in all.")
    next: str | None = Field(description="Send it as `cursor` for the next page; null at the end.")
