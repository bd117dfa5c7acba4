"""A made-up case, as a report is told of it."""

import datetime as dt

from dermaloop.core.taxonomy import Diagnosis
from dermaloop.web.report import CaseFacts

FACTS = CaseFacts(
    patient="P-0174",
    birth_year=1957,
    sex="female",
    skin_type=2,
    lesion="3, left scapula",
    site="posterior torso",
    taken_on=dt.date(2026, 11, 20),
    impression="Asymmetric, <b>irregular</b> network.",
    impression_diagnosis=Diagnosis.MEL,
    timing="before",
    management="excision",
    confirmed=Diagnosis.MEL,
    confirmation="histopathology",
    confirmed_on=dt.date(2026, 11, 28),
    clinician="Dr. A. Example",
    signed_at=dt.datetime(2026, 11, 20, 15, 4, tzinfo=dt.UTC),
)
