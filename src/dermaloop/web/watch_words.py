"""The watch in words: what each measure is, what a change of it means, and what to do about it.

Owns those texts. Refuses to know HTML and statistics.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dermaloop.cases.watch_tables import Outcome
from dermaloop.monitoring.findings import State
from dermaloop.monitoring.measures import MEASURES, Group, Kind
from dermaloop.web.translation import gettext, number
from dermaloop.web.translation import gettext as _
from dermaloop.web.translation import gettext_noop as N_  # noqa: N812 - the name that extraction looks for
from dermaloop.web.wording import percent

GROUPS: dict[str, str] = {
    Group.PICTURES: N_("Pictures coming in"),
    Group.ANSWERS: N_("Answers"),
    Group.OUTCOME: N_("Outcome on confirmed cases"),
}
STATES: dict[str, str] = {
    State.LEARNING: N_("learning"),
    State.STEADY: N_("unchanged"),
    State.SLIGHT: N_("slight change"),
    State.ALARM: N_("changed"),
    State.UNKNOWN: N_("nothing to compare"),
}
OUTCOMES: dict[str, str] = {
    Outcome.PASSED: N_("It has passed or is mended: compare with the time before it again"),
    Outcome.STAYS: N_("The change is known and stays: begin to compare anew"),
}
OUTCOMES_DONE: dict[str, str] = {
    Outcome.PASSED: N_("passed or mended"),
    Outcome.STAYS: N_("stays, compared anew"),
}
_CAMERA = N_(
    "Open some recent pictures beside older ones. Ask whether a camera, a dermatoscope, its contact plate, a setting, "
    "the lighting or the way from camera to program has changed, and clean or set it back. Assess the pictures taken "
    "since then again."
)
_PATIENTS = N_(
    "Ask what has changed in who is photographed: a screening day, a new referrer, another kind of lesion. If that is "
    "so, the model may still be right; have more of the recent cases confirmed before you rely on it."
)
_CONFIRM = N_(
    "Have the recent cases read again by a dermatologist, and have more of those that were not referred confirmed. "
    "Until that is settled, do not let the model's answer speak against a referral."
)
_CHOICE = N_(
    "This can come from who gets a biopsy as well as from the model. Look at the share confirmed by answer below, and "
    "at the single cases, before you conclude anything about the model."
)


@dataclass(frozen=True, slots=True)
class Words:
    """A measure in words, English: see `title` and the others for the reader's language.

    Attributes:
        title: Its name.
        shows: What its plot shows.
        alarm: What a change of it says.
        advice: What to do.
    """

    title: str
    shows: str
    alarm: str
    advice: str


_MOVED = N_("How far the mean has moved from the first visits, in standard deviations (SD)")
WORDS: dict[str, Words] = {
    "embedding": Words(
        N_("What the pictures show"),
        _MOVED,
        N_("What the model sees in the pictures differs from before: other lesions, or another kind of picture."),
        _CAMERA,
    ),
    "texture": Words(
        N_("Texture of the pictures"),
        _MOVED,
        N_("Surfaces look different from before, as with another lens, focus, light or compression."),
        _CAMERA,
    ),
    "colour": Words(
        N_("Colour balance"),
        _MOVED,
        N_("The pictures have another tint than before."),
        _CAMERA,
    ),
    "blur": Words(
        N_("Blur"),
        N_("Median and the middle 80 %; higher is more blurred"),
        N_("The pictures are sharper or more blurred than before."),
        _CAMERA,
    ),
    "brightness": Words(
        N_("Brightness"),
        N_("Median and the middle 80 %; 0 is black, 1 is white"),
        N_("The pictures are brighter or darker than before."),
        _CAMERA,
    ),
    "distance": Words(
        N_("Distance from the training pictures"),
        N_("Median and the middle 80 %; about 1 for a usual picture"),
        N_("The pictures are farther from, or nearer to, what the model was trained on than before."),
        _CAMERA,
    ),
    "device": Words(
        N_("File format and size"),
        N_("Share of pictures in another format or size than usual at the beginning"),
        N_("Pictures come in another format or size than before: most often another device or another export."),
        _CAMERA,
    ),
    "image_type": Words(
        N_("Kind of picture, as stated"),
        N_("Share of another kind than usual at the beginning"),
        N_("The share of dermoscopic pictures and close-ups has changed."),
        _PATIENTS,
    ),
    "unfamiliar": Words(
        N_("Pictures unlike the training's"),
        N_("Share of pictures that resemble the training pictures less than 95 % of those resemble each other"),
        N_("More pictures are unlike everything that the model was trained on than is allowed."),
        _CAMERA,
    ),
    "outside": Words(
        N_("Pictures outside the model's limit"),
        N_("Share of pictures so far from the training's that the model declines them"),
        N_("The model declines more pictures as unlike its training than its own evaluation says."),
        _CAMERA,
    ),
    "probability": Words(
        N_("Estimated probability of malignancy"),
        N_("Median and the middle 80 %"),
        N_("The probabilities of malignancy differ from before: more or fewer malignant lesions, or other pictures."),
        _PATIENTS,
    ),
    "declined": Words(
        N_("Declined pictures"),
        N_("Share of pictures that the model declined"),
        N_("The model declines more or fewer pictures than before."),
        _CAMERA,
    ),
    "declined_stated": Words(
        N_("Declined pictures, against the model's own figure"),
        N_("Share of pictures that the model declined, and the most that is allowed"),
        N_("The model declines more pictures than its own evaluation says."),
        _CAMERA,
    ),
    "missed": Words(
        N_("Missed malignant cases"),
        N_("Share of confirmed malignant cases that the model would not have referred, and the most that is allowed"),
        N_("More malignant cases are missed than the model's stated sensitivity allows."),
        _CONFIRM,
    ),
    "needless": Words(
        N_("Needless referrals"),
        N_("Share of confirmed benign cases that the model would have referred"),
        N_("The share of benign cases that the model refers has changed."),
        _CHOICE,
    ),
    "malignant": Words(
        N_("Malignant among the confirmed"),
        N_("Share of confirmed cases that are malignant"),
        N_("The share of malignant cases among the confirmed has changed."),
        _CHOICE,
    ),
    "calibration": Words(
        N_("Estimate against finding"),
        N_("Median and the middle 80 % of finding (1 malignant, 0 benign) minus probability"),
        N_("The probabilities fit the findings otherwise than before."),
        _CONFIRM,
    ),
}
"""Every measure of `monitoring.measures`, by name."""


def title(name: str) -> str:
    """What a measure is called; its name as it stands where another version of the program kept it."""
    return gettext(WORDS[name].title) if name in WORDS else name


def shows(name: str) -> str:
    """What a measure's plot shows."""
    return gettext(WORDS[name].shows) if name in WORDS else ""


def alarm_said(name: str) -> str:
    """What an alarm of a measure says."""
    return gettext(WORDS[name].alarm) if name in WORDS else ""


def advices(names: Iterable[str]) -> list[str]:
    """What to do about alarms of these measures, each thing once."""
    return [gettext(text) for text in dict.fromkeys(WORDS[name].advice for name in names if name in WORDS)]


def moved(name: str) -> bool:
    """Whether a measure's values are standard deviations."""
    return name in WORDS and WORDS[name].shows == _MOVED


def value_said(name: str, value: float) -> str:
    """A measure's value as the reader writes it."""
    measure = MEASURES.get(name)
    if moved(name):
        return _("%(number)s SD") % {"number": number(value, 1)}
    if measure is not None and (measure.share or measure.kind is Kind.WORDS or name == "probability"):
        return percent(value)
    return number(value, 2)


def anew_names() -> frozenset[str]:
    """The measures that can be compared anew; what the model states stays as it is."""
    return frozenset(name for name, measure in MEASURES.items() if measure.kind is not Kind.LIMIT)
