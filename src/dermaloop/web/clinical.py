"""The records' vocabulary in words that a person reads: body sites, sex, management, and the like.

Owns one table per list of `cases.words` and of the core. Refuses to know pages. Every function here gives the text in
the language of the request in hand, and shows a word that it does not know as it is.
"""

from __future__ import annotations

from dermaloop.cases.words import CaseState, Consent, FlagKind, Management, PictureType, Sex, Timing, View
from dermaloop.web.translation import gettext
from dermaloop.web.translation import gettext_noop as N_  # noqa: N812 - the name that extraction looks for
from dermaloop.web.wording import SITES

SEX: dict[str, str] = {
    Sex.FEMALE: N_("female"),
    Sex.MALE: N_("male"),
    Sex.UNKNOWN: N_("not stated"),
}
SIDES: dict[str, str] = {
    View.FRONT: N_("Front"),
    View.BACK: N_("Back"),
}
PICTURE_TYPES: dict[str, str] = {
    PictureType.DERMOSCOPIC: N_("Dermoscopic picture"),
    PictureType.CLOSE_UP: N_("Close-up"),
    PictureType.OVERVIEW: N_("Overview"),
}
MANAGEMENT: dict[str, str] = {
    Management.NO_ACTION: N_("No action"),
    Management.FOLLOW_UP: N_("Follow-up"),
    Management.BIOPSY: N_("Biopsy"),
    Management.EXCISION: N_("Excision"),
    Management.REFERRAL: N_("Referral"),
    Management.TREATMENT: N_("Treatment"),
    Management.OTHER: N_("Something else"),
}
TIMING: dict[str, str] = {
    Timing.BEFORE: N_("before seeing the model's answer"),
    Timing.AFTER: N_("after seeing the model's answer"),
}
CASE_STATES: dict[str, str] = {
    CaseState.OPEN: N_("Open"),
    CaseState.AWAITING: N_("Awaits confirmation"),
    CaseState.DONE: N_("Done"),
}
CONSENT: dict[str, str] = {
    Consent.NOT_GIVEN: N_("not given"),
    Consent.GIVEN: N_("given"),
    Consent.WITHDRAWN: N_("withdrawn"),
}
FLAG_KINDS: dict[str, str] = {
    FlagKind.LABEL: N_("The picture looks like something else"),
    FlagKind.CONTRIBUTOR: N_("Out of line with the others"),
    FlagKind.SAME_PICTURE: N_("One picture, several lesions"),
}
SKIN_TYPES: dict[int, str] = {1: "I", 2: "II", 3: "III", 4: "IV", 5: "V", 6: "VI"}
"""Fitzpatrick's skin types, written alike in every language."""


def site_name(site: str) -> str:
    """A body site (`core.manifest.SITES`)."""
    return gettext(SITES.get(site, site))


def sex_name(sex: str) -> str:
    """A patient's sex as recorded."""
    return gettext(SEX.get(sex, sex))


def consent_name(consent: str) -> str:
    """Whether a patient's pictures may train a model."""
    return gettext(CONSENT.get(consent, consent))


def flag_kind_name(kind: str) -> str:
    """Why a confirmation waits for a lead."""
    return gettext(FLAG_KINDS.get(kind, kind))


def management_name(management: str) -> str:
    """What the clinician does next."""
    return gettext(MANAGEMENT.get(management, management))


def timing_name(timing: str) -> str:
    """Whether an impression was taken down before or after its author saw the model's answer."""
    return gettext(TIMING.get(timing, timing))


def picture_type_name(picture_type: str) -> str:
    """How a picture was taken."""
    return gettext(PICTURE_TYPES.get(picture_type, picture_type))


def case_state_name(state: str) -> str:
    """Where a case stands."""
    return gettext(CASE_STATES.get(state, state))


def skin_type_name(skin_type: int) -> str:
    """Fitzpatrick's skin type."""
    return SKIN_TYPES.get(skin_type, str(skin_type))
