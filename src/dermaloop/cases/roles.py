"""Who may do what: the four roles, one above the other, and the scopes that a program's token can be given.

Owns their order and their meaning in words. Refuses to know accounts and routes: a route names the role and scope that
it needs, and asks here. The trade-off: one ladder instead of single permissions, so that a small practice can see at a
glance who may do what.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum


class Role(StrEnum):
    """Roles from least to most; each may do what the ones before it may."""

    VIEWER = "viewer"
    CLINICIAN = "clinician"
    LEAD = "lead"
    ADMIN = "admin"

    @property
    def rank(self) -> int:
        """0 for the least."""
        return _ORDER[self]

    def covers(self, needed: Role) -> bool:
        """Whether who has this role may do what `needed` may."""
        return self.rank >= needed.rank


_ORDER = {role: rank for rank, role in enumerate(Role)}

MAY: dict[Role, str] = {
    Role.VIEWER: "assesses single pictures and reads records; changes none",
    Role.CLINICIAN: "makes and changes records",
    Role.LEAD: "confirms what needs two, decides which model answers, reads the audit log, exports",
    Role.ADMIN: "invites people, gives roles, disables accounts",
}
"""What each role may do beyond the ones before it."""


class Scope(StrEnum):
    """What a token may be used for.

    No scope covers passwords, sign-ins and tokens: a program that could make itself a new token would outlive its own
    end. What a program may do to accounts is bounded once more (`cases.provisioning`), and to decide on a model it
    needs the person's password beside its scope.
    """

    CLASSIFY = "classify"
    CASES_READ = "cases:read"
    CASES_WRITE = "cases:write"
    CASES_EXPORT = "cases:export"
    CASES_DELETE = "cases:delete"
    PRACTICE_WRITE = "practice:write"
    FEEDBACK_REVIEW = "feedback:review"
    MODELS_READ = "models:read"
    MODELS_DECIDE = "models:decide"
    WATCH_REVIEW = "watch:review"
    PEOPLE_READ = "people:read"
    PEOPLE_WRITE = "people:write"
    AUDIT_READ = "audit:read"
    METRICS = "metrics"


NEEDS: dict[Scope, Role] = {
    Scope.CLASSIFY: Role.VIEWER,
    Scope.CASES_READ: Role.VIEWER,
    Scope.CASES_WRITE: Role.CLINICIAN,
    Scope.CASES_EXPORT: Role.LEAD,
    Scope.CASES_DELETE: Role.LEAD,
    Scope.PRACTICE_WRITE: Role.LEAD,
    Scope.FEEDBACK_REVIEW: Role.LEAD,
    Scope.MODELS_READ: Role.LEAD,
    Scope.MODELS_DECIDE: Role.LEAD,
    Scope.WATCH_REVIEW: Role.LEAD,
    Scope.PEOPLE_READ: Role.ADMIN,
    Scope.PEOPLE_WRITE: Role.ADMIN,
    Scope.AUDIT_READ: Role.LEAD,
    Scope.METRICS: Role.LEAD,
}
"""The least role that may give a token this scope."""

COVERS: dict[Scope, str] = {
    Scope.CLASSIFY: "classify pictures, which stores nothing",
    Scope.CASES_READ: "read patients, lesions, visits and predictions",
    Scope.CASES_WRITE: "make and change them",
    Scope.CASES_EXPORT: "export a patient's whole record",
    Scope.CASES_DELETE: "delete a patient at their request",
    Scope.PRACTICE_WRITE: "change the practice's settings",
    Scope.FEEDBACK_REVIEW: "read doubted confirmations and say whether they may train",
    Scope.MODELS_READ: "read which models there are and how they compare",
    Scope.MODELS_DECIDE: "decide which model answers, each time with your password",
    Scope.WATCH_REVIEW: "let the watch look and close its alarms",
    Scope.PEOPLE_READ: "read who has an account, in which role",
    Scope.PEOPLE_WRITE: "invite viewers and clinicians, change their roles, disable accounts",
    Scope.AUDIT_READ: "read the audit log",
    Scope.METRICS: "read the server's figures for monitoring, which name nobody",
}
"""What each scope covers, in words."""


def scopes_for(role: Role) -> tuple[Scope, ...]:
    """The scopes that an account of this role may give a token, in order."""
    return tuple(scope for scope in Scope if role.covers(NEEDS[scope]))


def parse_scopes(text: str) -> frozenset[Scope]:
    """Scopes from their stored form, words between blanks; a word that is no scope any more grants nothing."""
    known = set(Scope)
    return frozenset(Scope(word) for word in text.split() if word in known)


def format_scopes(scopes: Iterable[Scope]) -> str:
    """The stored form, in the order of the enumeration."""
    chosen = set(scopes)
    return " ".join(scope.value for scope in Scope if scope in chosen)
