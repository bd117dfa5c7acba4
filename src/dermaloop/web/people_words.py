"""Accounts in words: roles, scopes, and what a browser calls itself.

Owns those words. Refuses to know HTML.
"""

from __future__ import annotations

from dermaloop.cases.roles import COVERS, MAY, Role, Scope
from dermaloop.web.translation import gettext
from dermaloop.web.translation import gettext_noop as N_  # noqa: N812 - the name that extraction looks for

ROLES: dict[Role, str] = {
    Role.VIEWER: N_("Viewer"),
    Role.CLINICIAN: N_("Clinician"),
    Role.LEAD: N_("Lead"),
    Role.ADMIN: N_("Administrator"),
}
"""The roles' names."""

# In the order in which they are looked for: most browsers also name the ones that they descend from.
_BROWSERS = (
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
    ("python", "Python"),
)
_SYSTEMS = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)
_SHOWN_LENGTH = 60


def role_name(role: Role) -> str:
    """A role's name."""
    return gettext(ROLES[role])


def role_may(role: Role) -> str:
    """What a role may do beyond the ones before it."""
    return gettext(MAY[role])


def scope_name(scope: Scope) -> str:
    """What a scope covers."""
    return gettext(COVERS[scope])


def browser_name(said: str) -> str:
    """A browser in two words, e.g. 'Firefox, Windows'; what it says itself where it is none of the usual ones."""
    found = [next((name for mark, name in kind if mark in said), "") for kind in (_BROWSERS, _SYSTEMS)]
    return ", ".join(name for name in found if name) or said[:_SHOWN_LENGTH] or gettext("An unknown browser")
