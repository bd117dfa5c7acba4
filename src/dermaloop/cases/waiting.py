"""How much waits for a lead, in one look that costs next to nothing: the menu shows it on every page.

Owns the numbers and nothing behind them: what waits is said by `findings` (alarms of the watch) and `flags` (doubted
confirmations), and looking at it is logged there. A number tells of no patient, so this look is not.
"""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dermaloop.cases.findings import counted_open
from dermaloop.cases.flags import counted_waiting


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits for a lead.

    Attributes:
        alarms: Alarms of the watch that nobody has closed.
        doubts: Doubted confirmations that no lead has looked at.
    """

    alarms: int = 0
    doubts: int = 0

    @property
    def whole(self) -> int:
        """All of it."""
        return self.alarms + self.doubts


def count(session: Session) -> Waiting:
    """What waits at this moment: one statement, by indexes."""
    row = session.execute(sa.select(counted_open().scalar_subquery(), counted_waiting().scalar_subquery())).one()
    return Waiting(*row)
