"""What the audit log knows of a turn of refining: begun with which plan, judged on which evidence, how it ended.

Owns that each step is noted once, however often a killed turn goes on, and that what is read back is an entry that the
chain's secret made. Refuses to know what a turn is. The notes prove to an auditor that a plan was there before the
challenger that it judged, and that gate results are what was found.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dermaloop.cases import audit
from dermaloop.cases.actor import Actor
from dermaloop.cases.audit import AuditRow, canonical
from dermaloop.cases.database import Database
from dermaloop.cases.errors import StoreError

BEGUN, JUDGED, FINISHED = "refine.begun", "refine.judged", "refine.finished"
SUBJECT = "turn"


def note(session: Session, actor: Actor, action: str, turn_id: str, detail: Mapping[str, Any]) -> None:
    """Notes a step of a turn, unless the latest note of it says the same.

    Args:
        session: From `Database.begin`.
        actor: Who.
        action: `BEGUN`, `JUDGED` or `FINISHED`.
        turn_id: Of the turn.
        detail: JSON types; nothing of a patient.

    Raises:
        StoreError: As `noted` says.
    """
    known = noted(session, action, turn_id)
    if known is None or canonical(known) != canonical(detail):
        audit.append(session, actor, action, SUBJECT, turn_id, detail)


def noted(session: Session, action: str, turn_id: str) -> dict[str, Any] | None:
    """The latest note of a step; None where there is none.

    Raises:
        StoreError: The entry was changed or forged.
    """
    columns = AuditRow.__table__.columns
    query = sa.select(*columns).where(
        AuditRow.action == action, AuditRow.subject_kind == SUBJECT, AuditRow.subject_id == turn_id
    )
    found = session.execute(query.order_by(AuditRow.sequence.desc()).limit(1)).one_or_none()
    if found is None:
        return None
    entry = dict(zip((column.key for column in columns), found, strict=True))
    database = session.info["database"]
    assert isinstance(database, Database)
    if not hmac.compare_digest(audit.entry_hash(database.audit_key, entry), entry["hash"]):
        raise StoreError(
            "the audit log's entry of this turn was changed or forged",
            where=f"entry {entry['sequence']}",
            way_out="Do not use the turn; 'dermaloop audit verify' says more.",
        )
    detail: dict[str, Any] = json.loads(entry["detail"])
    return detail
