"""What a screening job found: as a page of a list, as rows for a table, as one picture with its answer.

Owns filters and orders. Whoever looks is noted, with the moment: when a picture of the list becomes a case, it is known
whose impression comes after the answer.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.orm import Session

from dermaloop.cases import audit, codec
from dermaloop.cases.accounts import is_id
from dermaloop.cases.actor import Actor
from dermaloop.cases.errors import RecordNotFoundError
from dermaloop.cases.imprints import unpack
from dermaloop.cases.job_tables import ItemState, JobItemRow, JobRow
from dermaloop.cases.jobs import SUBJECT, Job, find_job, mark_job_seen, numbers
from dermaloop.core.prediction import Decision, Imprint, Prediction, Status

_AT_ONCE = 500


class Show(StrEnum):
    """Which pictures of a job."""

    ALL = "all"
    REFER = "refer"
    BELOW = "below"
    DECLINED = "declined"
    FAILED = "failed"
    WAITING = "waiting"


class ItemOrder(StrEnum):
    """How they are sorted; equal ones in the order of arrival."""

    SUSPICIOUS = "suspicious"
    ARRIVAL = "arrival"
    NAME = "name"


@dataclass(frozen=True, slots=True)
class Item:
    """One picture of a job; `prediction` is None while it waits. Without heatmap and imprint but in `show_item`."""

    id: str
    job_id: str
    number: int
    name: str
    sha256: str | None
    received_sha256: str
    format: str
    width_px: int
    height_px: int
    state: ItemState
    done_at: datetime | None
    bundle_sha256: str
    prediction: Prediction | None
    patient_id: str | None
    case_id: str | None


@dataclass(frozen=True, slots=True)
class JobPage:
    """A page of a job's pictures, and how many there are of the kind asked for."""

    job: Job
    items: tuple[Item, ...]
    count: int


def show_job(
    session: Session,
    actor: Actor,
    job_id: str,
    show: Show = Show.ALL,
    order: ItemOrder = ItemOrder.SUSPICIOUS,
    *,
    offset: int = 0,
    limit: int = 50,
) -> JobPage:
    """A page of a job. Counts as seen.

    Raises:
        RecordNotFoundError: There is no such job.
    """
    row = find_job(session, job_id)
    wanted = [JobItemRow.job_id == row.id, *_where(show)]
    count = session.scalar(sa.select(sa.func.count()).select_from(JobItemRow).where(*wanted)) or 0
    found = session.scalars(
        sa.select(JobItemRow).where(*wanted).order_by(*_order(order)).offset(offset).limit(limit)
    ).all()
    mark_job_seen(session, actor, row.id)
    audit.append(session, actor, "job.seen", SUBJECT, row.id)
    return JobPage(numbers(session, row.id), tuple(_item(one) for one in found), count)


def _where(show: Show) -> tuple[sa.ColumnElement[bool], ...]:
    item = JobItemRow
    return {
        Show.ALL: (),
        Show.REFER: (item.decision == Decision.REFER,),
        Show.BELOW: (item.decision == Decision.NO_REFERRAL,),
        Show.DECLINED: (item.status == Status.ABSTAINED,),
        Show.FAILED: (item.status == Status.UNREADABLE,),
        Show.WAITING: (item.state != ItemState.DONE,),
    }[show]


def _order(order: ItemOrder) -> tuple[Any, ...]:
    item = JobItemRow
    orders = {
        ItemOrder.SUSPICIOUS: (item.rank.desc(), sa.asc(item.number)),
        ItemOrder.ARRIVAL: (sa.asc(item.number),),
        ItemOrder.NAME: (sa.asc(item.name), sa.asc(item.number)),
    }
    return orders[order]


def export_job(session: Session, actor: Actor, job_id: str) -> Iterator[Prediction]:
    """Every answer of a job, in the order of arrival; what waits is left out. Counts as seen, and as exported.

    Raises:
        RecordNotFoundError: There is no such job.
    """
    row = find_job(session, job_id)
    mark_job_seen(session, actor, row.id)
    audit.append(session, actor, "job.exported", SUBJECT, row.id)
    query = sa.select(JobItemRow.record).where(JobItemRow.job_id == row.id, JobItemRow.state == ItemState.DONE)
    found = session.scalars(query.order_by(JobItemRow.number).execution_options(yield_per=_AT_ONCE))
    return (codec.from_json(text) for text in found)


def arrived(session: Session, job_id: str) -> tuple[tuple[str, int], ...]:
    """(name, size in bytes as received) of every file that a job has: what need not be sent again.

    Raises:
        RecordNotFoundError: There is no such job.
    """
    row = find_job(session, job_id)
    found = session.execute(
        sa.select(JobItemRow.name, JobItemRow.received_bytes)
        .where(JobItemRow.job_id == row.id)
        .order_by(JobItemRow.number)
    )
    return tuple((name, size) for name, size in found)


def find_item(session: Session, item_id: str) -> JobItemRow:
    """A picture's row.

    Raises:
        RecordNotFoundError: There is no such picture, or its job was deleted.
    """
    row = session.get(JobItemRow, item_id) if is_id(item_id) else None
    job = session.get(JobRow, row.job_id) if row is not None else None
    if row is None or job is None or job.deleted_at is not None:
        raise RecordNotFoundError("there is no such picture", where=item_id[:40], way_out="It may have been deleted.")
    return row


def show_item(session: Session, actor: Actor, item_id: str) -> Item:
    """One picture with its answer whole. Counts as seen.

    Raises:
        RecordNotFoundError: There is no such picture.
    """
    row = find_item(session, item_id)
    mark_job_seen(session, actor, row.job_id)
    audit.append(session, actor, "job_item.seen", "job_item", row.id, {"job": row.job_id})
    return _item(row, whole=True)


def _item(row: JobItemRow, *, whole: bool = False) -> Item:
    return Item(
        id=row.id,
        job_id=row.job_id,
        number=row.number,
        name=row.name,
        sha256=row.sha256,
        received_sha256=row.received_sha256,
        format=row.format,
        width_px=row.width_px,
        height_px=row.height_px,
        state=row.state,
        done_at=row.done_at,
        bundle_sha256=row.bundle_sha256,
        prediction=prediction_of(row, whole=whole) if row.record else None,
        patient_id=row.patient_id,
        case_id=row.case_id,
    )


def prediction_of(row: JobItemRow, *, whole: bool = True) -> Prediction:
    """The answer in a picture's row, with heatmap and imprint where `whole`."""
    prediction = codec.from_json(row.record, row.heatmap if whole else None)
    if not whole or row.embedding is None or row.texture is None:
        return prediction
    red, blue = json.loads(row.colour)
    imprint = Imprint(unpack(row.embedding).astype(np.float32), unpack(row.texture).astype(np.float32), (red, blue))
    return dataclasses.replace(prediction, imprint=imprint)
