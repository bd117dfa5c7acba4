"""Settings of the practice: what its people agree on, kept with the records and changed on a page.

Owns the settings, their defaults and their audit. Refuses to know the settings of the server (`web.settings`).
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dermaloop.cases import audit, fields
from dermaloop.cases.actor import Actor
from dermaloop.cases.database import now
from dermaloop.cases.tables import PracticeSettingRow


@dataclass(frozen=True, slots=True)
class Practice:
    """The settings.

    Attributes:
        name: The practice's name, for reports.
        hide_answer_until_impression: Whether a clinician sees the model's answer in an open case only after writing
            down their own impression: the model is then a second reader.
        show_answer_on_phone: Whether a phone that adds pictures to a case says what the model says of them. It never
            does where answers are hidden until the impression is in.
    """

    name: str = ""
    hide_answer_until_impression: bool = False
    show_answer_on_phone: bool = False


def read_practice(session: Session) -> Practice:
    """The settings as they are; what was never set has its default. They are nobody's data: reading is not logged."""
    known = {field.name for field in dataclasses.fields(Practice)}
    rows = session.scalars(sa.select(PracticeSettingRow)).all()
    return Practice(**{row.name: json.loads(row.value) for row in rows if row.name in known})


def change_practice(session: Session, actor: Actor, practice: Practice) -> Practice:
    """Puts the settings in place of what they were; says in the audit log which changed, from what to what.

    Raises:
        InvalidRecordError: The name cannot be kept.
    """
    wanted = dataclasses.replace(practice, name=fields.line(practice.name, "name"))
    before = read_practice(session)
    changed = {}
    for field in dataclasses.fields(Practice):
        old, new = getattr(before, field.name), getattr(wanted, field.name)
        if old != new:
            changed[field.name] = [old, new]
            session.merge(PracticeSettingRow(name=field.name, value=json.dumps(new), changed_at=now()))
    if changed:
        session.flush()
        audit.append(session, actor, "practice.changed", "practice", "practice", changed)
    return wanted
