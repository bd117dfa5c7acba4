"""Cases in words: what a lesion is called, where a list leads, what the model said in a line.

Owns those words, as `clinical` owns the records' vocabulary. Refuses to know HTML.
"""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from dermaloop.cases.records import ConfirmationEntry, Lesion
from dermaloop.cases.words import CaseState
from dermaloop.cases.worklist import Order, Row
from dermaloop.core.prediction import Decision
from dermaloop.core.taxonomy import Malignancy
from dermaloop.web.translation import gettext
from dermaloop.web.translation import gettext as _
from dermaloop.web.translation import gettext_noop as N_  # noqa: N812 - the name that extraction looks for
from dermaloop.web.wording import diagnosis_name

TABS: dict[str, str] = {
    CaseState.OPEN: N_("Open"),
    CaseState.AWAITING: N_("Awaits confirmation"),
    CaseState.DONE: N_("Done"),
    "declined": N_("Declined by the model"),
}
TEACHING = "teaching"
"""The list of cases whose confirmation would teach the model most; shown where there is one."""
"""The lists of the worklist, by the word in its address."""
ORDERS: dict[str, str] = {
    Order.SUSPICIOUS: N_("Most suspicious first"),
    Order.NEWEST: N_("Newest first"),
    Order.OLDEST: N_("Oldest first"),
}
MALIGNANCY: dict[str, str] = {
    Malignancy.BENIGN: N_("benign"),
    Malignancy.INDETERMINATE: N_("indeterminate"),
    Malignancy.MALIGNANT: N_("malignant"),
}
FIELDS: dict[str, str] = {
    "pseudonym": N_("Pseudonym"),
    "birth_year": N_("Year of birth"),
    "sex": N_("Sex"),
    "skin_type": N_("Skin type (Fitzpatrick)"),
    "training_consent": N_("Consent to training a model"),
    "note": N_("Note"),
    "label": N_("Name of the lesion, if you use one"),
    "region": N_("Place on the body"),
    "visited_on": N_("Day of the visit"),
    "image_type": N_("Kind of the pictures"),
    "pixel_size_mm": N_("Size of a pixel on the skin in mm, if you know it"),
    "pictures": N_("Pictures"),
    "diagnosis": N_("Diagnosis"),
    "management": N_("Management"),
    "text": N_("What you see, and why"),
    "reason": N_("Reason"),
    "term": N_("Term as the finding has it"),
    "malignancy": N_("Malignancy of that term, where no diagnosis is chosen"),
    "confirmation": N_("Confirmed by"),
    "confirmed_on": N_("Day of the finding"),
    "confirmed_by": N_("Who confirmed it, e.g. the laboratory"),
    "document": N_("Reference of the document"),
    "name": N_("Name"),
    "since": N_("From day"),
    "until": N_("To day"),
    "bundle": N_("Answers of"),
}
"""What a form calls its fields, by their names: an error names the field that it is about."""


def field_name(field: str) -> str:
    """What a form calls a field; empty for what is no field of the records."""
    return gettext(FIELDS.get(field, ""))


def invalid(failed: str, field: str) -> Markup:
    """The attribute that marks the field of a form that an error is about.

    Args:
        failed: The field that could not be kept; empty for none.
        field: The field in hand.
    """
    return Markup(' aria-invalid="true"') if failed == field else Markup("")


@dataclass(frozen=True, slots=True)
class Line:
    """What the model said of a case, in a line. `kind` chooses the colour and the symbol; empty for none."""

    kind: str
    text: str


def answer_line(row: Row) -> Line:
    """What the model said of a case of the worklist."""
    if row.answer_hidden:
        return Line("", _("Answer hidden"))
    if row.decision is Decision.REFER:
        return Line("refer", _("Suspicious: refer"))
    if row.decision is Decision.NO_REFERRAL and not row.case.declined:
        return Line("no_referral", _("Below the referral threshold"))
    if row.case.declined:
        return Line("abstained", _("No assessment"))
    return Line("", _("Not assessed"))


def lesion_name(lesion: Lesion) -> str:
    """A lesion as a heading names it, e.g. 'Lesion 3, left scapula'."""
    return numbered(lesion.number, lesion.label)


def numbered(number: int, label: str) -> str:
    """The same from its parts."""
    name = _("Lesion %(number)s") % {"number": number}
    return f"{name}, {label}" if label else name


def malignancy_name(malignancy: str) -> str:
    """Benign, indeterminate or malignant."""
    return gettext(MALIGNANCY.get(malignancy, malignancy))


def confirmed_name(entry: ConfirmationEntry) -> str:
    """What a lesion was, as a confirmation says it: the taxonomy's name, the source's own word, or both."""
    name = diagnosis_name(entry.diagnosis) if entry.diagnosis else ""
    return f"{name} ({entry.term})" if name and entry.term else name or entry.term
