"""What a prediction says, in the words of a clinician: the only place where numbers become sentences.

Owns titles, sentences and percentages, and the words for what the core names by code (diagnoses, reasons, quality,
errors). Refuses to know HTML. All texts are whole sentences with named gaps, in the language of the request in hand
(`translation`). What the core says in English for every edge is looked up as it stands; `borrowed` lists those texts
for the catalogue, so that no English text is written down twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dermaloop.cases.roles import COVERS, MAY
from dermaloop.core import quality
from dermaloop.core.bundle import OperatingPoint
from dermaloop.core.image import REASONS
from dermaloop.core.prediction import Decision, Prediction, Reason, Status
from dermaloop.core.taxonomy import ENTRIES, Diagnosis
from dermaloop.web.errors import TITLE
from dermaloop.web.translation import current, gettext, known, number, share
from dermaloop.web.translation import gettext as _
from dermaloop.web.translation import gettext_noop as N_  # noqa: N812 - the name that extraction looks for

DISCLAIMER = N_("Decision support for research use. Not a medical device.")
_SMALL, _LARGE = 0.001, 0.999


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer, to be read first.

    Attributes:
        kind: refer, no_referral, abstained or unreadable; chooses colour and symbol.
        title: The answer in a few words.
        sentence: Why, in one sentence; empty where the reasons say it all.
        caution: What the answer does not mean; may be empty.
    """

    kind: str
    title: str
    sentence: str
    caution: str = ""


def verdict(prediction: Prediction, point: OperatingPoint | None) -> Verdict:
    """The answer for one picture.

    Args:
        prediction: Of that picture.
        point: The operating point that it was decided by; None where it is not at hand, being another model's.
    """
    if prediction.status is Status.UNREADABLE:
        return Verdict("unreadable", _("Picture not readable"), "")
    if prediction.status is Status.ABSTAINED or prediction.malignant_probability is None:
        return Verdict("abstained", _("No assessment"), _("The model declines to assess this picture."))
    limit = prediction.threshold or (point.threshold if point else 0.0)
    probability, threshold = percents(prediction.malignant_probability, limit)
    if prediction.decision is Decision.REFER:
        return Verdict(
            "refer",
            _("Suspicious: refer"),
            _("Estimated probability of malignancy: %(probability)s. Referral threshold: %(threshold)s.")
            % {"probability": probability, "threshold": threshold},
            _("Not a diagnosis: at this threshold, about %(false)s of benign lesions are flagged too.")
            % {"false": percent(1 - point.specificity, 0)}
            if point
            else _("Not a diagnosis: benign lesions are flagged too."),
        )
    return Verdict(
        "no_referral",
        _("Below the referral threshold"),
        _("Estimated probability of malignancy: %(probability)s. Referral threshold: %(threshold)s.")
        % {"probability": probability, "threshold": threshold},
        _("This does not rule out malignancy: at this threshold, about %(missed)s of malignant lesions are missed.")
        % {"missed": percent(1 - point.sensitivity, 0)}
        if point
        else _("This does not rule out malignancy: some malignant lesions are missed."),
    )


def operating_point_sentences(point: OperatingPoint) -> tuple[str, ...]:
    """What the operating point is, how it performed, and on whom."""
    return (
        _("Refer from an estimated probability of malignancy of %(threshold)s.")
        % {"threshold": percent(point.threshold)},
        _("Sensitivity %(value)s (95%% interval %(low)s to %(high)s; %(n)s malignant lesions).")
        % {
            "value": percent(point.sensitivity),
            "low": percent(point.sensitivity_interval[0]),
            "high": percent(point.sensitivity_interval[1]),
            "n": number(point.n_malignant),
        },
        _("Specificity %(value)s (95%% interval %(low)s to %(high)s; %(n)s benign lesions).")
        % {
            "value": percent(point.specificity),
            "low": percent(point.specificity_interval[0]),
            "high": percent(point.specificity_interval[1]),
            "n": number(point.n_benign),
        },
        _("Measured on: %(where)s.") % {"where": measured_on(point)},
    )


def absent_point_sentences(threshold: float) -> tuple[str, ...]:
    """What can be said of the operating point of a model that is not at hand: how it performed is in that model."""
    return (
        _("Refer from an estimated probability of malignancy of %(threshold)s.") % {"threshold": percent(threshold)},
        _("Assessed by another model than the present one; how that one performs stands in its own model card."),
    )


_MEASURED = re.compile(r"(?P<split>calibration|test) split \((?P<sources>[^;]+); (?P<n>\d+) lesions or patients\)")


def measured_on(point: OperatingPoint) -> str:
    """On whom an operating point was measured: in the reader's language where the bundle says it in the usual form."""
    text = point.measured_on.rstrip(".")
    found = _MEASURED.fullmatch(text)
    if found is None:
        return text
    words = {
        "calibration": _("calibration split (%(sources)s; %(n)s lesions or patients)"),
        "test": _("test split (%(sources)s; %(n)s lesions or patients)"),
    }
    return words[found["split"]] % {"sources": found["sources"], "n": number(int(found["n"]))}


def percent(value: float, digits: int | None = None) -> str:
    """A share in [0, 1] as a percentage, e.g. '62%'; one decimal below 10%.

    Args:
        value: The share.
        digits: Decimals; None chooses.
    """
    if 0 < value < _SMALL:
        return f"<{share(_SMALL, 1)}"
    if _LARGE < value < 1:
        return f">{share(_LARGE, 1)}"
    if digits is None:
        digits = 1 if 0 < value < 0.0995 or 0.9905 < value < 1 else 0  # noqa: PLR2004 - where rounding would mislead
    return share(value, digits)


def percents(value: float, other: float) -> tuple[str, str]:
    """Two shares as percentages, with as few decimals as still tell them apart."""
    shown = percent(value), percent(other)
    for digits in (1, 2, 3):
        if shown[0] != shown[1] or value == other:
            return shown
        shown = percent(value, digits), percent(other, digits)
    return shown


CONFIRMATIONS: dict[str, str] = {
    "": N_("not stated"),
    "histopathology": N_("histopathology"),
    "follow-up": N_("follow-up"),
    "follow_up": N_("follow-up"),
    "consensus": N_("expert consensus"),
    "confocal": N_("confocal microscopy"),
    "single clinician": N_("single clinician"),
}
"""How a diagnosis was confirmed, in words; other values are shown as they are."""

QUALITY: dict[str, str] = {
    "blur": N_("Blur (0 sharp to 1 blurred)"),
    "brightness": N_("Mean brightness (0 black to 1 white)"),
    "dark_share": N_("Share of nearly black area"),
    "bright_share": N_("Share of blown-out area"),
    "border_share": N_("Share of dark border"),
    "hair_share": N_("Share covered by hair"),
    "ruler_share": N_("Share covered by a ruler"),
    "ink_share": N_("Share covered by ink"),
}
"""Quality measures in words; other names are shown as they are."""

SITES: dict[str, str] = {
    "head/neck": N_("Head and neck"),
    "anterior torso": N_("Chest and abdomen"),
    "posterior torso": N_("Back and buttocks"),
    "lateral torso": N_("Side of the trunk"),
    "torso": N_("Trunk"),
    "upper extremity": N_("Arm"),
    "lower extremity": N_("Leg"),
    "palms/soles": N_("Palm or sole"),
    "oral/genital": N_("Mouth or genitals"),
}
"""Body sites (`core.manifest.SITES`) in words."""

REASON_WORDS: dict[str, str] = {
    "out_of_distribution": N_(
        "The picture is unlike the photographs of skin lesions that the model was validated on. "
        "Take a close-up of one skin lesion that fills a good part of the picture."
    ),
    "ambiguous": N_(
        "The probability of malignancy lies so close to the referral threshold that the model was too often wrong to "
        "decide. Let a dermatologist see the lesion."
    ),
}
"""Reasons to decline that the core words with figures, by code and without them."""

ADVICE: dict[str, str] = {
    "malformed_upload": N_("The pictures did not arrive whole. Send them again; if that fails, use another browser."),
    "malformed_request": N_("Go back, reload the page and send the form again."),
    "host_not_allowed": N_("Open the page under the address that the program printed when it started."),
    "not_signed_in": N_("Sign in to go on."),
    "bad_token": N_("Make a new token on the page 'My account'."),
    "wrong_password": N_("Check both, and the keyboard's capital letters."),
    "stale_form": N_("Go back, reload the page and send the form again."),
    "role_missing": N_("Ask an administrator for the role that this needs."),
    "scope_missing": N_("Sign in, or use a token that has the scope."),
    "record_not_found": N_("It may have been deleted. Look for it in the list."),
    "conflict": N_("Reload the page to see how it stands now."),
    "account": N_("See the list of people for how it stands now."),
    "link": N_("It was used already, or its time is over. Ask an administrator for a new one, or sign in."),
    "form_too_large": N_("Shorten its texts."),
    "not_a_form": N_("Use the page's own form."),
    "password": N_(
        "Choose at least 12 characters, not all alike, with neither your name nor the program's in them, and type the "
        "same twice."
    ),
    "token": N_("Say what the token is for, and choose at least one scope."),
    "invalid_record": N_("Correct the entry and send the form again."),
    "idempotency_key_reused": N_("Send another request under another key."),
    "too_many_attempts": N_("Try again later, or ask an administrator."),
    "store": N_("Ask whoever runs this server to check its disk and its database."),
    "newer_database": N_("Ask whoever runs this server to install the newer version again."),
    "image_missing": N_("Ask whoever runs this server to restore it from a backup."),
    "image_damaged": N_("Ask whoever runs this server to restore it from a backup."),
    "cross_site": N_("Another site tried to use this server. Use this server's own pages."),
    "not_found": N_("The address may be mistyped, or what was there is gone. Begin at the first page."),
    "method_not_allowed": N_("Begin at the first page."),
    "upload_too_slow": N_("Send fewer or smaller pictures at once."),
    "file_too_large": N_(
        "Export the picture as JPEG, or photograph at a lower resolution; 1,000 pixels on each side are plenty."
    ),
    "too_many_files": N_("Send fewer pictures at once."),
    "request_too_large": N_("Send fewer or smaller pictures at once."),
    "not_multipart": N_("Choose the pictures on the first page and send them from there."),
    "no_picture": N_("Choose at least one picture."),
    "bad_parameter": N_("An entry of the form or of the address has a value that cannot be used. Correct it."),
    "image": N_("Use the original photograph as JPEG, PNG, WebP, TIFF, BMP, GIF or HEIC."),
    "busy": N_("The server is assessing as many pictures as it can. Try again in a few seconds."),
    "not_ready": N_("The server is starting or stopping. Try again in a few seconds."),
    "bundle": N_("Ask whoever runs this server to check the model's file."),
    "too_slow": N_("Try again with fewer pictures at once."),
    "internal": N_("Try again, and report it if it stays. The server's log has the details."),
}
"""What to do about an error, by its code: for readers of other languages than the one errors are written in."""


def diagnosis_name(diagnosis: Diagnosis) -> str:
    """The full name of a diagnosis."""
    return gettext(ENTRIES[diagnosis].name)


def confirmation_name(confirmation: str) -> str:
    """How a diagnosis was confirmed, in words."""
    return gettext(CONFIRMATIONS.get(confirmation, confirmation))


@dataclass(frozen=True, slots=True)
class Said:
    """A text for the reader and, where it says less than the original, the original.

    Attributes:
        text: In the reader's language, or in English where there is none.
        technical: The original English text with its figures; empty where `text` says it all.
        foreign: Whether `text` is English although the reader's language is another.
    """

    text: str
    technical: str = ""
    foreign: bool = False


def reason_said(reason: Reason) -> Said:
    """A reason to decline or refuse a picture, in the reader's language."""
    if known(reason.text):
        return Said(gettext(reason.text))
    words = REASONS.get(reason.code) or REASON_WORDS.get(reason.code)
    if words is None:
        return Said(reason.text, foreign=True)
    # The core's own wording carries measured figures, which a catalogue cannot hold.
    return Said(gettext(words), technical=reason.text)


def problem_said(problem: dict[str, Any]) -> Said:
    """What is wrong with a request and what to do about it, in the reader's language.

    Args:
        problem: The document that `errors.problem` makes.
    """
    original = " ".join(part for part in (problem["detail"], problem["way_out"]) if part)
    if current().is_source:
        return Said(original)
    advice = ADVICE.get(problem["code"])
    return Said(original, foreign=True) if advice is None else Said(gettext(advice), technical=original)


def borrowed() -> Iterator[str]:
    """The texts that the core words and pages show: diagnoses, reasons, titles of errors. For the catalogue."""
    yield from (entry.name for entry in ENTRIES.values())
    yield from REASONS.values()
    yield from quality.TEXTS
    yield from TITLE.values()
    yield from MAY.values()
    yield from COVERS.values()
