"""What a lead sees of doubted confirmations: each flag with the finding that it is on, and the pictures in question.

Owns that reading. Refuses to decide and to say in words what was found. It shows patients' pictures, so whoever reads
it is noted by `flags.list_flags`, from which the flags come.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dermaloop.cases.flags import Flag
from dermaloop.cases.records import ConfirmationEntry, record
from dermaloop.cases.tables import ConfirmationRow, ImageRow, PatientRow
from dermaloop.cases.words import FlagKind, PictureType


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture, and the case that it belongs to."""

    image_id: str
    case_id: str


@dataclass(frozen=True, slots=True)
class Doubt:
    """A flag as a lead decides about it.

    Attributes:
        flag: Itself.
        finding: The confirmation that it is on.
        picture: The picture in doubt; where the flag is about a person, one of the case; None where none is left.
        others: Where the same picture belongs to several lesions: the others.
    """

    flag: Flag
    finding: ConfirmationEntry
    picture: Shown | None
    others: tuple[Shown, ...]


def doubts(session: Session, found: Sequence[Flag]) -> tuple[Doubt, ...]:
    """The flags with their findings and pictures, in the same order."""
    wanted = [one.confirmation_id for one in found]
    rows = session.scalars(sa.select(ConfirmationRow).where(ConfirmationRow.id.in_(wanted)))
    findings = {row.id: record(ConfirmationEntry, row) for row in rows}
    named = {image_id for one in found for image_id in _named(one)}
    by_id = {one.image_id: one for one in _pictures(session, ImageRow.id.in_(named))}
    cases = {one.case_id for one in found if one.kind is FlagKind.CONTRIBUTOR}
    by_case: dict[str, Shown] = {}
    for one in _pictures(session, ImageRow.case_id.in_(cases)):
        by_case.setdefault(one.case_id, one)
    return tuple(
        Doubt(
            flag,
            findings[flag.confirmation_id],
            by_case.get(flag.case_id) if flag.kind is FlagKind.CONTRIBUTOR else by_id.get(flag.about),
            tuple(by_id[image_id] for image_id in _named(flag)[1:] if image_id in by_id),
        )
        for flag in found
        if flag.confirmation_id in findings
    )


def _named(flag: Flag) -> list[str]:
    """The pictures that a flag names, its own first."""
    if flag.kind is FlagKind.CONTRIBUTOR:
        return []
    others = flag.evidence.get("images", ())
    return [flag.about, *(str(one) for one in others if one != flag.about)]


def _pictures(session: Session, which: sa.ColumnElement[bool]) -> list[Shown]:
    """Pictures of patients who are not deleted: those of the lesion itself first, then by time."""
    query = (
        sa.select(ImageRow.id, ImageRow.case_id)
        .join(PatientRow, PatientRow.id == ImageRow.patient_id)
        .where(which, ImageRow.deleted_at.is_(None), PatientRow.deleted_at.is_(None))
        .order_by(ImageRow.image_type == PictureType.OVERVIEW, ImageRow.made_at, ImageRow.id)
    )
    return [Shown(*row) for row in session.execute(query)]
