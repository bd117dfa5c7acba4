"""What a phone is told of a picture, at once and in a few words.

Owns those words and when they are said. Two looks, both of the picture and not of the lesion: its measured quality
against the limits that the model was validated within, before the model is asked; and, once it was asked, whether the
picture is like any that it knows. What the model thinks of the lesion is in neither.
"""

from __future__ import annotations

from dataclasses import dataclass

from dermaloop.core.bundle import Bundle
from dermaloop.core.prediction import Prediction, Reason
from dermaloop.core.quality import problems
from dermaloop.inference.prepare import Item, prepare
from dermaloop.web.translation import gettext
from dermaloop.web.translation import gettext_noop as N_  # noqa: N812 - the name that extraction looks for
from dermaloop.web.wording import Said, reason_said

_OF_THE_LESION = frozenset({"ambiguous"})
"""Reasons to decline that tell what the model thinks."""

WORDS: dict[str, str] = {
    "blurred": N_("Blurred: hold still, go closer, and tap the lesion to focus."),
    "noisy": N_("Grainy: more light, please."),
    "underexposed": N_("Too dark: more light, please."),
    "overexposed": N_("Too bright: turn the flash off, and avoid glare."),
    "border": N_("A dark border covers much of it: go closer."),
    "hair": N_("Hair covers the lesion: part it."),
    "ruler": N_("A ruler covers much of it: move it away from the lesion."),
    "ink": N_("Ink covers much of it: take it before marking the skin."),
    "out_of_distribution": N_("No single lesion found: bring one into the middle, filling about a third."),
}
"""What to do, by the reason's code, in as few words as somebody reads who holds a phone over a patient."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found of a picture.

    Attributes:
        readable: Whether it could be read.
        reasons: What is wrong with it; empty for a good one.
    """

    readable: bool
    reasons: tuple[Reason, ...]


def check_quality(bundle: Bundle, content: bytes, name: str) -> Checked:
    """Measures a picture. Nothing is asked of the model."""
    prepared = prepare(Item(name, content), bundle.spec.size_px)
    if prepared.unreadable is not None:
        return Checked(readable=False, reasons=(prepared.unreadable,))
    return Checked(readable=True, reasons=tuple(problems(prepared.quality or {}, bundle.spec.gate.quality)))


def unlike(prediction: Prediction) -> tuple[Reason, ...]:
    """What the gate found of the picture itself once the model had seen it; nothing that tells of the lesion."""
    return tuple(reason for reason in prediction.reasons if reason.code not in _OF_THE_LESION)


def said(reason: Reason) -> Said:
    """A reason in the words of a phone's page."""
    words = WORDS.get(reason.code)
    return reason_said(reason) if words is None else Said(gettext(words))
