"""Who acts on a record: what every change and every look is signed with.

Owns one small record. Refuses to know how anybody proved who they are: the edges (pages, API, command line) do that
and hand an `Actor` down.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ActorKind = Literal["account", "token", "link", "system"]


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts.

    Attributes:
        kind: A person's account, an API token, a link that works without signing in, or the program itself (command
            line, scheduled work).
        id: The account's, token's or link's id; for the system, the name of the command or job.
        name: The name to show, as it is at the time: a log must read right after the account was renamed or removed.
        address: Network address that the request came from; None where there is none.
        account_id: For a token or a link, the account in whose name it acts.
    """

    kind: ActorKind
    id: str
    name: str
    address: str | None = None
    account_id: str | None = None

    @property
    def person(self) -> tuple[ActorKind, str]:
        """Kind and id of who is answerable: the account behind a token or a link, else the actor itself.

        What somebody has seen they have seen, by whichever door: an answer that a program fetched in a clinician's name
        is one that the clinician knows.
        """
        return ("account", self.account_id) if self.account_id else (self.kind, self.id)


def system(name: str) -> Actor:
    """The program itself, acting as command or job `name`."""
    return Actor("system", name, name)
