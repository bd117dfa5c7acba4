"""How often a frozen test set was used to decide.

Owns the count, which is the audit log itself: a use cannot be taken back, and an edited one breaks the chain. Refuses
to know what was decided.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dermaloop.cases import audit
from dermaloop.cases.actor import Actor
from dermaloop.cases.audit import AuditRow, canonical

ACTION = "frozen_set.used"


def note_use(session: Session, actor: Actor, manifest_sha256: str, turn_id: str) -> int:
    """Notes that a turn looks at a frozen set, before it looks; gives how many turns have, this one included.

    A turn that goes on after a crash is one use.

    Args:
        session: From `Database.begin`.
        actor: Who.
        manifest_sha256: Identity of the set's manifest.
        turn_id: Of the turn.
    """
    detail = {"turn": turn_id}
    known = set(session.scalars(_uses(manifest_sha256)))
    if canonical(detail) not in known:
        audit.append(session, actor, ACTION, "frozen_set", manifest_sha256, detail)
        known.add(canonical(detail))
    return len(known)


def count_uses(session: Session, manifest_sha256: str) -> int:
    """How many turns have used a frozen set."""
    return len(set(session.scalars(_uses(manifest_sha256))))


def _uses(manifest_sha256: str) -> sa.Select[str]:
    return sa.select(AuditRow.detail).where(AuditRow.action == ACTION, AuditRow.subject_id == manifest_sha256)
