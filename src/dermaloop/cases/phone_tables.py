"""The table of phone links: who may add pictures to which open case from a phone, and until when.

Owns columns and keys.
"""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from dermaloop.cases.database import Base
from dermaloop.cases.tables import ID, words
from dermaloop.cases.words import PictureType


class PhoneLinkRow(Base):
    """One link that adds pictures to one case. The secret is kept as a hash only."""

    __tablename__ = "phone_links"

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    secret_hash: Mapped[str] = mapped_column(sa.String(64), unique=True)
    case_id: Mapped[str] = mapped_column(ID, sa.ForeignKey("cases.id"), index=True)
    patient_id: Mapped[str] = mapped_column(ID, sa.ForeignKey("patients.id"))
    image_type: Mapped[PictureType] = mapped_column(words(PictureType))
    account_id: Mapped[str] = mapped_column(ID, sa.ForeignKey("accounts.id"))
    """Who made it, and in whose name it adds."""
    made_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    pictures: Mapped[int]
    """How many pictures came by it."""
