"""Files come into a screening job: each once, however often it is sent.

Owns a picture's row as it is when it arrives, and the names of files as a job keeps them. Refuses to read files:
pictures come stripped and in the image store already, and a file that was refused comes with its reasons.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dermaloop.cases import audit
from dermaloop.cases.actor import Actor
from dermaloop.cases.database import new_id, now
from dermaloop.cases.errors import ConflictError
from dermaloop.cases.job_tables import NAME_LENGTH, ItemState, JobItemRow
from dermaloop.cases.jobs import MOST_PICTURES, SUBJECT, WAITS, answer, find_job, find_running
from dermaloop.cases.strip import Stripped
from dermaloop.core.prediction import Prediction


@dataclass(frozen=True, slots=True)
class Arrival:
    """A file that has arrived.

    Attributes:
        name: As its sender calls it, with its folders.
        received_sha256: Of the bytes as received; empty where they were not kept.
        received_bytes: How many.
        stripped: The picture, durable in the image store already; None for a file that is refused.
        refused: Why, as a prediction of an unreadable picture; None for one that is taken.
    """

    name: str
    received_sha256: str
    received_bytes: int
    stripped: Stripped | None
    refused: Prediction | None = None


def expect(session: Session, job_id: str, expected: int) -> None:
    """Notes how many pictures were chosen, so that a transfer that breaks off is seen as one."""
    row = find_job(session, job_id)
    row.expected = max(row.expected, min(max(expected, 0), MOST_PICTURES))
    session.flush()


def receive(session: Session, actor: Actor, job_id: str, arrivals: Sequence[Arrival]) -> int:
    """Takes files into a job; one of the same name and content is there once, however often it is sent.

    Args:
        session: From `Database.begin`.
        actor: Who sent them.
        job_id: Into which.
        arrivals: Pictures are in the image store already.

    Returns:
        How many were new.

    Raises:
        RecordNotFoundError: There is no such job.
        ConflictError: It is cancelled, or would grow too long.
    """
    job = find_running(session, job_id)
    number = session.scalar(sa.select(sa.func.max(JobItemRow.number)).where(JobItemRow.job_id == job.id)) or 0
    new, refused = 0, 0
    for one in arrivals:
        name = item_name(one.name)
        known = sa.select(JobItemRow.id).where(
            JobItemRow.job_id == job.id, JobItemRow.received_sha256 == one.received_sha256, JobItemRow.name == name
        )
        if session.scalar(known) is not None:
            continue
        number += 1
        if number > MOST_PICTURES:
            raise ConflictError(
                f"a list holds at most {MOST_PICTURES} pictures", where=job.id, way_out="Begin another one."
            )
        new += 1
        refused += one.refused is not None
        row = _row(job.id, number, name, one)
        session.add(row)
        session.flush()
    if new:
        audit.append(session, actor, "job.received", SUBJECT, job.id, {"pictures": new, "refused": refused})
    return new


def item_name(name: str) -> str:
    """A file's name as a job keeps it: what can be read on one line, of a folder's path its end."""
    plain = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in name)
    return plain.encode("utf-8", "replace").decode("utf-8").strip()[-NAME_LENGTH:] or "picture"


def _row(job_id: str, number: int, name: str, one: Arrival) -> JobItemRow:
    stripped, present = one.stripped, now()
    row = JobItemRow(
        id=new_id(),
        job_id=job_id,
        number=number,
        name=name,
        received_sha256=one.received_sha256,
        received_bytes=one.received_bytes,
        sha256=stripped.sha256 if stripped else None,
        format=stripped.format if stripped else "",
        width_px=stripped.size[0] if stripped else 0,
        height_px=stripped.size[1] if stripped else 0,
        made_at=present,
        state=ItemState.WAITING,
        tries=0,
        claimed_until=None,
        done_at=None,
        bundle_sha256="",
        status=None,
        decision=None,
        rank=WAITS,
        record="",
        heatmap=None,
        embedding=None,
        texture=None,
        colour="",
        patient_id=None,
        case_id=None,
        image_id=None,
    )
    if one.refused is not None:
        answer(row, one.refused, "")
    return row
