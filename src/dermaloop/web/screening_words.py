"""Screening lists in words: what they are sorted by, what is shown of them, what was said of a picture in a line.

Owns those words. Refuses to know HTML.
"""

from __future__ import annotations

import datetime as dt

from dermaloop.cases.job_results import Item, ItemOrder, Show
from dermaloop.cases.job_tables import ItemState
from dermaloop.core.prediction import Decision, Status
from dermaloop.web.case_words import Line
from dermaloop.web.translation import date, gettext
from dermaloop.web.translation import gettext as _
from dermaloop.web.translation import gettext_noop as N_  # noqa: N812 - the name that extraction looks for
from dermaloop.web.views import shows_figures
from dermaloop.web.wording import diagnosis_name

SHOWS: dict[str, str] = {
    Show.ALL: N_("All"),
    Show.REFER: N_("Suspicious"),
    Show.BELOW: N_("Below the threshold"),
    Show.DECLINED: N_("Declined by the model"),
    Show.FAILED: N_("Not readable"),
    Show.WAITING: N_("Waiting"),
}
"""Parts of a list, by the word in its address."""
ITEM_ORDERS: dict[str, str] = {
    ItemOrder.SUSPICIOUS: N_("Most suspicious first"),
    ItemOrder.ARRIVAL: N_("As they came"),
    ItemOrder.NAME: N_("By name"),
}


def default_name(now: dt.datetime) -> str:
    """What a list is called where nobody says otherwise."""
    return _("Pictures of %(day)s, %(time)s") % {"day": date(now.date()), "time": now.strftime("%H:%M")}


def item_line(item: Item) -> Line:
    """What was said of a picture, in a line."""
    if item.state is ItemState.WAITING:
        return Line("", _("Waiting"))
    if item.state is ItemState.STOPPED or item.prediction is None:
        return Line("", _("Stopped"))
    if item.prediction.status is Status.UNREADABLE:
        return Line("unreadable", _("Not readable"))
    if item.prediction.status is Status.ABSTAINED:
        return Line("abstained", _("No assessment"))
    if item.prediction.decision is Decision.REFER:
        return Line("refer", _("Suspicious: refer"))
    return Line("no_referral", _("Below the referral threshold"))


def item_probability(item: Item) -> float | None:
    """The probability of malignancy, where a page shows it."""
    if item.prediction is None or not shows_figures(item.prediction):
        return None
    return item.prediction.malignant_probability


def item_suggestion(item: Item) -> str:
    """The suggested diagnosis, where a page shows figures."""
    if item.prediction is None or item.prediction.top_diagnosis is None or not shows_figures(item.prediction):
        return ""
    return diagnosis_name(item.prediction.top_diagnosis)


def show_name(show: str) -> str:
    """A part of a list."""
    return gettext(SHOWS[show])
