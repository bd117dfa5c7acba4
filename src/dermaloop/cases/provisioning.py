"""What a program may do to accounts.

Owns that one rule. A hospital's directory makes and ends accounts by program, so there is a scope for it; but whoever
gets hold of such a token must not become a lead or an administrator by it, for their decisions are signed by persons.
So a token makes and changes viewers and clinicians only; accounts that can do more it can only disable, and of
administrators not even that. A person, and the command line of the store, are not bounded here.
"""

from __future__ import annotations

from dermaloop.cases.actor import Actor
from dermaloop.cases.roles import Role
from dermaloop.core.errors import DermaloopError

MOST_BY_PROGRAM = Role.CLINICIAN
"""The highest role that a token gives, and that an account may have which it changes."""
MOST_DISABLED_BY_PROGRAM = Role.LEAD
"""The highest role that an account may have which a token disables."""


class PersonNeededError(DermaloopError):
    """A person has to do this: no program may."""

    code = "role_missing"


def require_may_give(actor: Actor, *roles: Role) -> None:
    """Refuses a program that would make or change an account beyond its bound.

    Args:
        actor: Who acts.
        roles: The account's role as it is and as it shall be.

    Raises:
        PersonNeededError: A token or link acts, and one of the roles is above `MOST_BY_PROGRAM`.
    """
    _require(actor, roles, MOST_BY_PROGRAM, "make, invite or change")


def require_may_disable(actor: Actor, role: Role) -> None:
    """Refuses a program that would disable an administrator.

    Raises:
        PersonNeededError: A token or link acts on an account above `MOST_DISABLED_BY_PROGRAM`.
    """
    _require(actor, (role,), MOST_DISABLED_BY_PROGRAM, "disable")


def _require(actor: Actor, roles: tuple[Role, ...], most: Role, what: str) -> None:
    if actor.kind in ("account", "system") or all(most.covers(role) for role in roles):
        return
    beyond = max(roles, key=lambda role: role.rank)
    raise PersonNeededError(
        f"a program may not {what} an account with the role {beyond.value!r}",
        where="role",
        way_out="An administrator does this on the page 'People'.",
    )
