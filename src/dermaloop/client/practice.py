"""The practice from Python: settings, insights, doubted confirmations, the watch, the audit log, accounts.

Owns the names and types of these methods.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Literal

from dermaloop.client.asking import Asking
from dermaloop.client.content import at, read
from dermaloop.wire import documents
from dermaloop.wire.assessment import AuditAnswer, AuditEntryModel
from dermaloop.wire.base import Role, Verdict
from dermaloop.wire.entries import AlarmReviewEntry, FlagReviewEntry, PersonEntry, PracticeSettings, RoleEntry
from dermaloop.wire.feedback import Flag, FlagPage
from dermaloop.wire.insights import InsightsAnswer
from dermaloop.wire.people import Invitation, People, Person
from dermaloop.wire.watch import AskedLook, WatchAlarm, WatchAnswer


class PracticeWork(Asking):
    """What leads and administrators do."""

    def token(self) -> documents.TokenAnswer:
        """What the token may be used for, and when it ends."""
        return read(documents.TokenAnswer, self._transport.get("/token"))

    def revoke_token(self) -> documents.TokenRevoked:
        """Ends the token that this client was given: nothing works with it from then on."""
        return read(documents.TokenRevoked, self._transport.send("POST", "/token/revocation", again=False))

    def practice(self) -> documents.Practice:
        """The practice's settings."""
        return read(documents.Practice, self._transport.get("/practice"))

    def change_practice(self, entry: PracticeSettings) -> documents.Practice:
        """Puts these settings in place of what they were."""
        return self._put(documents.Practice, "/practice", entry)

    def insights(self, *, since: date | None = None, until: date | None = None, bundle: str = "") -> InsightsAnswer:
        """What the practice's own records show of a period; without one, of the last year."""
        return self._get(InsightsAnswer, "/insights", since=_day(since), until=_day(until), bundle=bundle or None)

    def flags(self, *, waiting: bool = True) -> Iterator[Flag]:
        """Doubted confirmations, oldest first, fetched a page at a time.

        Args:
            waiting: Only those that no lead has decided about.
        """
        for page in self._walk(FlagPage, "/flags", waiting="true" if waiting else "false"):
            yield from page.flags

    def review_flag(self, flag_id: str, verdict: Verdict, *, reason: str, key: str | None = None) -> Flag:
        """Says whether a doubted confirmation may train."""
        return self._make(Flag, at("/flags", flag_id, "reviews"), FlagReviewEntry(verdict=verdict, reason=reason), key)

    def watch(self) -> WatchAnswer:
        """What the watch found, its alarms, and how far a look is that was asked for."""
        return self._get(WatchAnswer, "/watch")

    def ask_for_look(self) -> AskedLook:
        """Lets the watch look now; it is worked off in the background."""
        return read(AskedLook, self._transport.send("POST", "/watch/looks"))

    def review_alarm(
        self, alarm_id: str, outcome: Literal["passed", "stays"], *, note: str, key: str | None = None
    ) -> WatchAlarm:
        """Says what is behind an alarm, which closes it."""
        entry = AlarmReviewEntry(outcome=outcome, note=note)
        return self._make(WatchAlarm, at("/watch/alarms", alarm_id, "review"), entry, key)

    def audit(
        self,
        *,
        actor: str = "",
        action: str = "",
        subject: str = "",
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Iterator[AuditEntryModel]:
        """The audit log, newest first, fetched a page at a time.

        Args:
            actor: Id of an account or token.
            action: Whole, or its beginning up to a dot.
            subject: Id of a record.
            since: From this moment on; with its time zone.
            until: Before this moment.
        """
        wanted = _wanted(actor, action, subject, since, until)
        before: int | None = None
        while True:
            page = self._get(AuditAnswer, "/audit", before=before, **wanted)
            yield from page.entries
            before = page.next
            if before is None:
                return

    def save_audit(
        self,
        out: Path,
        *,
        kind: Literal["jsonl", "csv"] = "jsonl",
        actor: str = "",
        action: str = "",
        subject: str = "",
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> None:
        """Writes the audit log to a file, oldest first, whole or not at all; filters as in `audit`.

        Raises:
            OutputError: The file cannot be written.
        """
        self._save("/audit/export", out, kind=kind, **_wanted(actor, action, subject, since, until))

    def people(self) -> list[Person]:
        """Every account, the disabled ones last."""
        return self._get(People, "/people").people

    def make_person(self, name: str, role: Role, *, key: str | None = None) -> Person:
        """Makes an account: of a viewer or a clinician, since a token may do no more."""
        return self._make(Person, "/people", PersonEntry(name=name, role=role), key)

    def invite(self, account_id: str) -> Invitation:
        """A link by which a person chooses a password, told this once; the earlier ones end."""
        return read(Invitation, self._transport.send("POST", at("/people", account_id, "invitation")))

    def change_role(self, account_id: str, role: Role) -> Person:
        """Gives an account another role."""
        return self._put(Person, at("/people", account_id, "role"), RoleEntry(role=role))

    def disable_person(self, account_id: str) -> Person:
        """Ends all that an account can do."""
        return read(Person, self._transport.send("POST", at("/people", account_id, "disable")))

    def enable_person(self, account_id: str) -> Person:
        """Lets an account sign in again."""
        return read(Person, self._transport.send("POST", at("/people", account_id, "enable")))


def _day(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def _wanted(
    actor: str, action: str, subject: str, since: datetime | None, until: datetime | None
) -> dict[str, str | None]:
    return {
        "actor": actor or None,
        "action": action or None,
        "subject": subject or None,
        "since": since.isoformat() if since else None,
        "until": until.isoformat() if until else None,
    }
