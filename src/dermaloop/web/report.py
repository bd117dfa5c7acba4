"""What the one-page report says: the answer, what it rests on, its limits, and what the clinician has to add.

Owns the report's context, from a view of one picture and, where there is a case, plain facts of it. Refuses to know
where records lie, HTML, and who may see what. A field that is not known becomes a line to write on: the report is also
printed from a single upload, of which nothing is stored.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

from dermaloop import __version__
from dermaloop.core.taxonomy import Diagnosis
from dermaloop.web.clinical import management_name, sex_name, site_name, skin_type_name, timing_name
from dermaloop.web.translation import date, moment
from dermaloop.web.translation import gettext as _
from dermaloop.web.views import View, shows_figures
from dermaloop.web.wording import Said, confirmation_name, diagnosis_name, reason_said

_LONG_TEXT = 450
"""Characters from which the clinician's text is set small, so that the report stays one page."""


@dataclass(frozen=True, slots=True)
class CaseFacts:
    """What a report says of a case, as plain values; empty or None where it is not known.

    Attributes:
        patient: The clinic's own pseudonym.
        birth_year: Of the patient.
        sex: `female`, `male` or empty.
        skin_type: Fitzpatrick, 1 to 6.
        lesion: The lesion's number or label.
        site: One of `core.manifest.SITES`.
        taken_on: The day of the visit.
        impression: The clinician's own words.
        impression_diagnosis: The clinician's diagnosis.
        timing: `before` or `after` the model's answer was seen.
        management: One of `cases.words.Management`.
        confirmed: The confirmed diagnosis.
        confirmed_term: The source's own word for it, beside or instead of the taxonomy's.
        confirmation: How it was confirmed.
        confirmed_on: When.
        clinician: Who wrote the impression.
        signed_at: When the case was signed off.
        practice: The practice's name.
    """

    patient: str = ""
    birth_year: int | None = None
    sex: str = ""
    skin_type: int | None = None
    lesion: str = ""
    site: str = ""
    taken_on: dt.date | None = None
    impression: str = ""
    impression_diagnosis: Diagnosis | None = None
    timing: str = ""
    management: str = ""
    confirmed: Diagnosis | None = None
    confirmed_term: str = ""
    confirmation: str = ""
    confirmed_on: dt.date | None = None
    clinician: str = ""
    signed_at: dt.datetime | None = None
    practice: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """What the page shows. All texts are in the reader's language.

    Attributes:
        view: The picture, the heatmap and the answer.
        facts: (name, value) of the case; an empty value is a line to write on.
        impression: (name, value) of what the clinician says; likewise.
        words: The clinician's own words.
        small: Whether those are long and to be set small.
        confirmed: The confirmed diagnosis in a sentence; empty where there is none.
        reasons: Why the model declined, if it did.
        figures: Whether probabilities are shown.
        point: What the operating point is and how it performed, on whom.
        limits: What the answer cannot tell.
        clinician: Who signs.
        signed: When the case was signed off; empty where by hand.
        licence: Of the model.
        printed: When the report was made.
        practice: The practice's name.
        version: Of the software.
    """

    view: View
    facts: tuple[tuple[str, str], ...]
    impression: tuple[tuple[str, str], ...]
    words: str
    small: bool
    confirmed: str
    reasons: tuple[Said, ...]
    figures: bool
    point: tuple[str, ...]
    limits: tuple[str, ...]
    clinician: str
    signed: str
    licence: str
    printed: str
    practice: str = ""
    version: str = field(default=__version__)


def report_of(
    view: View, licence: str, facts: CaseFacts | None = None, *, printed_at: dt.datetime | None = None
) -> Report:
    """The report on one picture.

    Args:
        view: Of the picture; its addresses of picture and heatmap may be `data:` or paths of the server.
        licence: Of the model, as its bundle says.
        facts: Of the case; None for a single upload.
        printed_at: Aware of its time zone; None for now.
    """
    facts = facts or CaseFacts()
    return Report(
        view=view,
        facts=_facts(facts),
        impression=_impression(facts),
        words=facts.impression.strip(),
        small=len(facts.impression) > _LONG_TEXT,
        confirmed=_confirmed(facts),
        reasons=tuple(reason_said(reason) for reason in view.prediction.reasons),
        figures=shows_figures(view.prediction),
        point=view.point_sentences,
        limits=limits(),
        clinician=facts.clinician,
        signed="" if facts.signed_at is None else moment(facts.signed_at),
        licence=licence.rstrip("."),
        printed=moment(printed_at or dt.datetime.now(dt.UTC)),
        practice=facts.practice,
    )


def limits() -> tuple[str, ...]:
    """What no answer of the model can tell."""
    return (
        _("The model saw this one picture: not the history, the change over time, or the patient's other lesions."),
        _("It knows eight diagnoses. A lesion that is none of them can be taken for one of them."),
        _("Skin types V and VI hardly occur among its training pictures."),
        _("The heatmap shows where the evidence was taken from, not how good it is, and no border."),
        _("A low probability is no reason to leave a suspicious or changing lesion unexamined."),
    )


def _facts(facts: CaseFacts) -> tuple[tuple[str, str], ...]:
    person = [
        "" if facts.birth_year is None else str(facts.birth_year),
        sex_name(facts.sex) if facts.sex else "",
        "" if facts.skin_type is None else _("skin type %(type)s") % {"type": skin_type_name(facts.skin_type)},
    ]
    return (
        (_("Patient"), facts.patient),
        (_("Year of birth, sex, skin type"), ", ".join(part for part in person if part)),
        (_("Lesion"), facts.lesion),
        (_("Body site"), site_name(facts.site)),
        (_("Picture taken on"), "" if facts.taken_on is None else date(facts.taken_on)),
    )


def _impression(facts: CaseFacts) -> tuple[tuple[str, str], ...]:
    diagnosis = "" if facts.impression_diagnosis is None else diagnosis_name(facts.impression_diagnosis)
    return (
        (_("Diagnosis"), diagnosis),
        (_("Management"), management_name(facts.management)),
        (_("Taken down"), timing_name(facts.timing)),
    )


def _confirmed(facts: CaseFacts) -> str:
    known = diagnosis_name(facts.confirmed) if facts.confirmed else ""
    name = f"{known} ({facts.confirmed_term})" if known and facts.confirmed_term else known or facts.confirmed_term
    if not name:
        return ""
    how = confirmation_name(facts.confirmation)
    if facts.confirmed_on is None:
        return _("%(diagnosis)s, confirmed by: %(how)s") % {"diagnosis": name, "how": how}
    gaps = {"diagnosis": name, "how": how, "date": date(facts.confirmed_on)}
    return _("%(diagnosis)s, confirmed by: %(how)s, %(date)s") % gaps
