"""The list of cases whose confirmation would teach a model most, as the worklist shows it.

Owns the list; refuses to make it: `dermaloop.refine` ranks. It is made anew each time; a case that was confirmed since
drops out by itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dermaloop.cases import audit
from dermaloop.cases.actor import Actor
from dermaloop.cases.database import now
from dermaloop.cases.feedback_tables import SuggestionRow
from dermaloop.cases.rows import find
from dermaloop.cases.tables import CaseRow


def replace_suggestions(session: Session, actor: Actor, case_ids: Sequence[str], *, bundle: str) -> None:
    """Puts a new list in place of the old one.

    Args:
        session: From `Database.begin`.
        actor: Who made it.
        case_ids: The case that teaches most first.
        bundle: Identity of the bundle by whose eyes it was made.

    Raises:
        RecordNotFoundError: There is no such case.
    """
    session.execute(sa.delete(SuggestionRow))
    when = now()
    for rank, case_id in enumerate(case_ids, start=1):
        case = find(session, CaseRow, case_id, "case")
        session.add(SuggestionRow(case_id=case.id, rank=rank, made_at=when, bundle=bundle))
    session.flush()
    about = {"cases": len(case_ids), "bundle": bundle}
    audit.append(session, actor, "suggestions.made", "suggestions", "worklist", about)


def suggested(session: Session) -> tuple[str, ...]:
    """Ids of the suggested cases that wait for their confirmation still, the one that teaches most first."""
    query = (
        sa.select(SuggestionRow.case_id)
        .join(CaseRow, CaseRow.id == SuggestionRow.case_id)
        .where(CaseRow.deleted_at.is_(None), ~CaseRow.confirmed)
        .order_by(SuggestionRow.rank)
    )
    return tuple(session.scalars(query))
