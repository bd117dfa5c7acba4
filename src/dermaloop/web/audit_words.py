"""Entries of the audit log in words: `model.promoted` is `Model: promoted`.

Owns those words, of what an entry is about and of what was done, so that a new action is at most two new words. Refuses
to know HTML, and to translate details: names of fields and values stand in the log as they are checked.
"""

from __future__ import annotations

import json
from typing import Any

from dermaloop.web.translation import gettext as _
from dermaloop.web.translation import gettext_noop as N_  # noqa: N812 - the name that extraction looks for

SUBJECTS: dict[str, str] = {
    "account": N_("Account"),
    "accounts": N_("Accounts"),
    "alarm": N_("Alarm"),
    "audit": N_("Audit log"),
    "case": N_("Case"),
    "cases": N_("Cases"),
    "confirmation": N_("Confirmed diagnosis"),
    "feedback": N_("Confirmations as training data"),
    "flag": N_("Doubted confirmation"),
    "flags": N_("Doubted confirmations"),
    "frozen_set": N_("Frozen test set"),
    "image": N_("Picture"),
    "images": N_("Pictures"),
    "impression": N_("Impression"),
    "insights": N_("Insights"),
    "job": N_("Screening list"),
    "job_item": N_("Picture of a screening list"),
    "jobs": N_("Screening lists"),
    "lesion": N_("Lesion"),
    "link": N_("Link to choose a password"),
    "look": N_("Look of the watch"),
    "model": N_("Model"),
    "patient": N_("Patient"),
    "patients": N_("Patients"),
    "phone_link": N_("Link for a phone"),
    "practice": N_("Practice settings"),
    "prediction": N_("Answer of the model"),
    "refine": N_("Turn of refining"),
    "request": N_("Request"),
    "store": N_("Store"),
    "suggestions": N_("Cases that teach most"),
    "token": N_("Token"),
    "turn": N_("Turn of refining"),
    "visit": N_("Visit"),
    "watch": N_("Watch"),
    "worklist": N_("Worklist"),
}
"""What an action or a record is about."""
DONE: dict[str, str] = {
    "alarmed": N_("raised an alarm"),
    "answers_seen": N_("answers seen"),
    "asked": N_("asked to look"),
    "assessed": N_("assessed"),
    "backed_up": N_("backed up"),
    "begun": N_("begun"),
    "cancelled": N_("stopped"),
    "changed": N_("changed"),
    "checked": N_("checked"),
    "corrected": N_("corrected"),
    "created": N_("made"),
    "declined": N_("declined"),
    "deleted": N_("deleted"),
    "disabled": N_("disabled"),
    "enabled": N_("enabled"),
    "exported": N_("exported"),
    "failed": N_("failed"),
    "filed": N_("given to a patient"),
    "finished": N_("finished"),
    "first": N_("made the first champion"),
    "first_used": N_("used for the first time"),
    "flagged": N_("flagged"),
    "judged": N_("judged"),
    "listed": N_("listed"),
    "lock_outs_lifted": N_("lock-outs lifted"),
    "locked_out": N_("locked out"),
    "made": N_("made"),
    "made_silently": N_("made silently"),
    "password_set": N_("password set"),
    "promoted": N_("promoted"),
    "proposed": N_("proposed"),
    "ran": N_("looked"),
    "read": N_("read"),
    "received": N_("received"),
    "registered": N_("registered"),
    "removed": N_("removed"),
    "renamed": N_("renamed"),
    "reopened": N_("opened again"),
    "repeated": N_("sent twice, done once"),
    "replaced": N_("replaced"),
    "resumed": N_("gone on with"),
    "retracted": N_("taken back"),
    "reviewed": N_("reviewed"),
    "revoked": N_("revoked"),
    "role_changed": N_("role changed"),
    "rolled_back": N_("rolled back"),
    "seen": N_("seen"),
    "served_by_name": N_("served by name"),
    "sign_in_failed": N_("sign-in failed"),
    "signed": N_("signed"),
    "signed_in": N_("signed in"),
    "signed_off": N_("signed off"),
    "signed_out": N_("signed out"),
    "signed_out_everywhere": N_("signed out everywhere"),
    "started": N_("made the shadow"),
    "stopped": N_("the shadow no more"),
    "used": N_("used"),
}
"""What was done."""


def subject_said(kind: str) -> str:
    """What a record is; its kind as it stands where there is no word for it."""
    return _(SUBJECTS[kind]) if kind in SUBJECTS else kind


def action_said(action: str) -> str:
    """What was done; the action as it stands where there is no word for it."""
    about, _dot, done = action.partition(".")
    if about not in SUBJECTS or done not in DONE:
        return action
    return f"{_(SUBJECTS[about])}: {_(DONE[done])}"


def detail_said(value: Any) -> str:
    """A value of an entry's details on one line: lists without brackets, records as JSON."""
    if isinstance(value, list):
        return ", ".join(map(detail_said, value))
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return str(value)
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def is_long(detail: dict[str, Any]) -> bool:
    """Whether details would push the entries after them out of sight."""
    return sum(len(name) + len(detail_said(value)) for name, value in detail.items()) > _LONG


_LONG = 240
