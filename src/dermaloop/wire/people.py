"""Accounts as the server sends them.

Owns those shapes. Passwords, sign-ins and tokens are a person's own and travel nowhere.
"""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from dermaloop.wire.base import ID, Answer, Role


class Person(Answer):
    """One person's account."""

    id: ID
    name: str
    role: Role
    has_password: bool = Field(description="False until the person has chosen one by their link.")
    created_at: datetime
    disabled_at: datetime | None
    last_sign_in_at: datetime | None


class People(Answer):
    """Every account by name, the disabled ones last."""

    people: list[Person]


class Invitation(Answer):
    """A link by which a person chooses a password, shown this once."""

    person: Person
    address: str = Field(description="To be handed over to that person and to nobody else; works once.")
    ends_at: datetime
