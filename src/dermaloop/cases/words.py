"""The words of the records: every value that is chosen from a list.

Owns the lists that no other layer has; diagnoses, body sites and kinds of confirmation are the core's, which has them
from the ISIC archive. Refuses to know how a page names them to a person.
"""

from __future__ import annotations

from enum import StrEnum


class Sex(StrEnum):
    """As the ISIC archive has it; empty where unknown or neither."""

    FEMALE = "female"
    MALE = "male"
    UNKNOWN = ""


class Consent(StrEnum):
    """Whether a patient lets their pictures train a model. Without a word from them: not."""

    NOT_GIVEN = "not given"
    GIVEN = "given"
    WITHDRAWN = "withdrawn"


class View(StrEnum):
    """The two sides of the body map."""

    FRONT = "front"
    BACK = "back"


class PictureType(StrEnum):
    """How a picture was taken: the ISIC archive's words (its field `image_type`)."""

    DERMOSCOPIC = "dermoscopic"
    CLOSE_UP = "clinical: close-up"
    OVERVIEW = "clinical: overview"


class Management(StrEnum):
    """What the clinician does next."""

    NO_ACTION = "no action"
    FOLLOW_UP = "follow-up"
    BIOPSY = "biopsy"
    EXCISION = "excision"
    REFERRAL = "referral"
    TREATMENT = "treatment"
    OTHER = "other"


AWAITS_CONFIRMATION = frozenset({Management.BIOPSY, Management.EXCISION, Management.REFERRAL})
"""After these somebody will say what the lesion was; a case stays on the worklist until that is written down."""


class Timing(StrEnum):
    """Whether an impression was taken down before or after its author saw an answer of the model in that case."""

    BEFORE = "before"
    AFTER = "after"


class SignOffKind(StrEnum):
    """What a sign-off entry says."""

    SIGNED = "signed"
    REOPENED = "reopened"


class CaseState(StrEnum):
    """Where a case stands, derived from its entries."""

    OPEN = "open"
    """Not signed off."""
    AWAITING = "awaiting"
    """Signed off with a management that calls for confirmation, and none is there."""
    DONE = "done"
    """Signed off, and confirmed or needing no confirmation."""


class FlagKind(StrEnum):
    """Why a confirmation waits for a lead before it may train."""

    LABEL = "label"
    """The picture looks like another diagnosis."""
    CONTRIBUTOR = "contributor"
    """Whoever wrote it down is out of line with the others."""
    SAME_PICTURE = "same picture"
    """The same picture belongs to several lesions."""


class Verdict(StrEnum):
    """What a lead decided about a flag."""

    ACCEPTED = "accepted"
    """The confirmation is right and may train."""
    REJECTED = "rejected"
    """It may not train."""
