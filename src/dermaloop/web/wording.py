"""What a prediction says, in the words of a clinician: the only place where numbers become sentences.

Owns titles, sentences and percentages. Refuses to know HTML. All texts are whole sentences with named gaps, passed
through `translate`, so that a catalogue of translations can be put in later without touching the callers.
"""

from __future__ import annotations

from dataclasses import dataclass

from dermaloop.core.bundle import OperatingPoint
from dermaloop.core.prediction import Decision, Prediction, Status

DISCLAIMER = "Decision support for research use. Not a medical device."
_SMALL, _LARGE = 0.001, 0.999


def translate(text: str) -> str:
    """The text in the reader's language; there is one language so far."""
    return text


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


def verdict(prediction: Prediction, point: OperatingPoint) -> Verdict:
    """The answer for one picture.

    Args:
        prediction: Of that picture.
        point: The operating point that it was decided by.
    """
    _ = translate
    if prediction.status is Status.UNREADABLE:
        return Verdict("unreadable", _("Picture not readable"), "")
    if prediction.status is Status.ABSTAINED or prediction.malignant_probability is None:
        return Verdict("abstained", _("No assessment"), _("The model declines to assess this picture."))
    probability, threshold = percents(prediction.malignant_probability, prediction.threshold or point.threshold)
    if prediction.decision is Decision.REFER:
        return Verdict(
            "refer",
            _("Suspicious: refer"),
            _("Estimated probability of malignancy: %(probability)s. Referral threshold: %(threshold)s.")
            % {"probability": probability, "threshold": threshold},
            _("Not a diagnosis: at this threshold, about %(false)s of benign lesions are flagged too.")
            % {"false": percent(1 - point.specificity, 0)},
        )
    return Verdict(
        "no_referral",
        _("Below the referral threshold"),
        _("Estimated probability of malignancy: %(probability)s. Referral threshold: %(threshold)s.")
        % {"probability": probability, "threshold": threshold},
        _("This does not rule out malignancy: at this threshold, about %(missed)s of malignant lesions are missed.")
        % {"missed": percent(1 - point.sensitivity, 0)},
    )


def operating_point_sentences(point: OperatingPoint) -> tuple[str, ...]:
    """What the operating point is, how it performed, and on whom."""
    _ = translate
    return (
        _("Refer from an estimated probability of malignancy of %(threshold)s.")
        % {"threshold": percent(point.threshold)},
        _("Sensitivity %(value)s (95%% interval %(low)s to %(high)s; %(n)s malignant lesions).")
        % {
            "value": percent(point.sensitivity),
            "low": percent(point.sensitivity_interval[0]),
            "high": percent(point.sensitivity_interval[1]),
            "n": f"{point.n_malignant:,}",
        },
        _("Specificity %(value)s (95%% interval %(low)s to %(high)s; %(n)s benign lesions).")
        % {
            "value": percent(point.specificity),
            "low": percent(point.specificity_interval[0]),
            "high": percent(point.specificity_interval[1]),
            "n": f"{point.n_benign:,}",
        },
        _("Measured on: %(where)s.") % {"where": point.measured_on.rstrip(".")},
    )


def percent(share: float, digits: int | None = None) -> str:
    """A share in [0, 1] as a percentage, e.g. '62%'; one decimal below 10%.

    Args:
        share: The share.
        digits: Decimals; None chooses.
    """
    if 0 < share < _SMALL:
        return "<0.1%"
    if _LARGE < share < 1:
        return ">99.9%"
    if digits is None:
        digits = 1 if 0 < share < 0.0995 or 0.9905 < share < 1 else 0  # noqa: PLR2004 - where rounding would mislead
    return f"{100 * share:.{digits}f}%"


def percents(value: float, other: float) -> tuple[str, str]:
    """Two shares as percentages, with as few decimals as still tell them apart."""
    shown = percent(value), percent(other)
    for digits in (1, 2, 3):
        if shown[0] != shown[1] or value == other:
            return shown
        shown = percent(value, digits), percent(other, digits)
    return shown


CONFIRMATIONS: dict[str, str] = {
    "": "not stated",
    "histopathology": "histopathology",
    "follow-up": "follow-up",
    "follow_up": "follow-up",
    "consensus": "expert consensus",
    "confocal": "confocal microscopy",
    "single clinician": "single clinician",
}
"""How a diagnosis was confirmed, in words; other values are shown as they are."""

QUALITY: dict[str, str] = {
    "blur": "Blur (0 sharp to 1 blurred)",
    "brightness": "Mean brightness (0 black to 1 white)",
    "dark_share": "Share of nearly black area",
    "bright_share": "Share of blown-out area",
    "border_share": "Share of dark border",
    "hair_share": "Share covered by hair",
    "ruler_share": "Share covered by a ruler",
    "ink_share": "Share covered by ink",
}
"""Quality measures in words; other names are shown as they are."""
