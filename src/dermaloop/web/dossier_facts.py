"""What a dossier tells of a change, read from the two bundles and from the evidence of the turn that made it.

Owns the comparison of two bundles part by part, and which of the evidence's numbers stand on the page. Refuses to
judge and to compute. Evidence is whatever a proposal brought: a fact that is not there, or has another form, is left
out, and the page says that it is not known.
"""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from dermaloop.cases import model_files
from dermaloop.cases.model_records import ModelVersion
from dermaloop.core import bundle as bundles
from dermaloop.core.errors import BundleError
from dermaloop.web.translation import gettext as _
from dermaloop.web.translation import gettext_noop as N_  # noqa: N812 - the name that extraction looks for
from dermaloop.web.translation import number

_SHOWN = frozenset({".html", ".json", ".toml", ".csv"})
_MOST_BYTES = 8 * 1024 * 1024
MOST_CHANGED = 50
"""Pictures that stand on the page."""
RULES: dict[str, str] = {
    "no_consent": N_("The patient has not agreed to training."),
    "consent_withdrawn": N_("The patient has withdrawn the agreement to training."),
    "not_confirmed": N_("Nothing says yet what the lesion was."),
    "outside_taxonomy": N_("The finding has no place among the diagnoses that the model knows."),
    "contradictory": N_("Two equally strong findings name different diagnoses."),
    "weak_confirmation": N_("This kind of confirmation does not count for this diagnosis."),
    "picture_too_old": N_("The picture was taken too long before the finding."),
    "picture_after_finding": N_("The picture was taken after the tissue was."),
    "follow_up_too_short": N_("The lesion was not watched for long enough after the picture."),
    "overview": N_("The picture shows a region of the body, not the lesion."),
    "unavailable": N_("The picture is missing from the store, or damaged."),
    "unreadable": N_("The picture cannot be read."),
    "poor_quality": N_("The picture's quality is outside what the model accepts."),
    "in_held_out": N_("The picture, or a near-duplicate, is in a test set."),
    "in_training": N_("The picture, or a near-duplicate, is in the original training data."),
    "twice": N_("The same picture of the same lesion is there already."),
    "held_back": N_("The confirmation was flagged, and no lead has looked at it yet."),
    "rejected": N_("A lead looked at the flagged confirmation and rejected it."),
}
"""Why a picture did not train, by the rules' names in `refine.eligibility`."""
ANSWERS: tuple[tuple[str, str], ...] = (
    ("refer", N_("Referral advised")),
    ("no referral", N_("No referral")),
    ("declined", N_("Declined")),
)
"""The model's answers, as the evidence names them."""
ROUTINE = frozenset({"prediction.made_silently", "model.seen", "model.exported"})
"""Actions of everyday use, which would bury the others on the page."""


@dataclass(frozen=True, slots=True)
class Part:
    """One thing of a bundle before and after; `before` is empty where nothing is compared with."""

    title: str
    before: str
    after: str

    @property
    def same(self) -> bool:
        """Whether it did not change."""
        return self.before == self.after


def parts(folder: Path, base: ModelVersion | None, model: ModelVersion) -> tuple[Part, ...]:
    """What of a bundle changed and what did not, one thing after the other.

    Args:
        folder: The store's folder of models.
        base: What it is compared with, or None.
        model: The model of the change.

    Raises:
        BundleError: A bundle is missing or unreadable.
    """
    after = _described(model_files.read_spec(folder, model.file_sha256))
    before = {} if base is None else _described(model_files.read_spec(folder, base.file_sha256))
    return tuple(Part(title, before.get(title, ""), text) for title, text in after.items())


def _described(spec: Mapping[str, Any]) -> dict[str, str]:
    point: Mapping[str, Any] = next(
        (one for one in spec.get("operating_points", ()) if one.get("name") == spec.get("default_operating_point")), {}
    )
    gate, fitted = spec.get("gate", {}), spec.get("calibration", {})
    return {
        _("Weights and graph"): str(spec.get("parts", {}).get(bundles.MODEL, ""))[:16],
        _("Kind of network"): str(spec.get("network", "")),
        _("Side of the picture it sees"): f"{spec.get('size_px', '')} px",
        _("Preparation of pictures, version"): str(spec.get("preprocess_version", "")),
        _("Diagnoses it knows"): ", ".join(map(str, spec.get("classes", ()))),
        _("Operating point"): str(point.get("name", "")),
        _("Threshold of the operating point"): _said(point.get("threshold"), 4),
        _("Calibration: temperature"): _said(fitted.get("temperature"), 3),
        _("Limit for unfamiliar pictures"): _said(gate.get("ood_limit"), 3),
        _("Training pictures by source"): ", ".join(
            f"{name} {number(count)}" for name, count in sorted(spec.get("sources", {}).items())
        ),
        _("Licence"): str(spec.get("licence", "")),
    }


def _said(value: Any, digits: int) -> str:
    return number(value, digits) if isinstance(value, int | float) else ""


class _Fact(BaseModel):
    """A part of the evidence, as far as a dossier tells it."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class Usable(_Fact):
    """What may train."""

    pictures: int
    lesions: int
    patients: int


class Verified(_Fact):
    """Who of those with one answer was confirmed."""

    cases: int
    confirmed: int
    by_histopathology: int


class Feedback(_Fact):
    """`feedback.json`."""

    cases: int
    pictures: int
    usable: Usable
    excluded: dict[str, int]
    by_diagnosis: dict[str, int]
    verification: dict[str, Verified]


class Checks(_Fact):
    """`checks.json`."""

    confirmations: int
    doubted_confirmations: int
    held_back: int
    rejected: int


class Training(_Fact):
    """`training.json`."""

    said: list[str]
    recipe: dict[str, Any]


class Run(_Fact):
    """`run.json`."""

    steps: int
    training_images: dict[str, int] = {}


class Turn(_Fact):
    """`turn.json`."""

    given: dict[str, Any]


class Changed(_Fact):
    """A picture of the frozen set whose decision changes."""

    image_id: str
    malignant: bool | None
    champion: float | None
    challenger: float | None
    champion_refers: bool
    challenger_refers: bool
    champion_declines: bool
    challenger_declines: bool


class Measures(_Fact):
    """`measures.json`."""

    frozen_pictures: int
    new_pictures: int
    uses: int
    changed_decisions: list[Changed]

    def count(self, *, malignant: bool, refers: bool) -> int:
        """How many of these are referred anew (`refers`), or no longer: what a model declines it does not refer."""
        sides = [
            (one.champion_refers and not one.champion_declines, one.challenger_refers and not one.challenger_declines)
            for one in self.changed_decisions
            if one.malignant is malignant
        ]
        return sum(after is refers and before is not refers for before, after in sides)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the evidence tells; None for what is not there, or has another form."""

    feedback: Feedback | None = None
    checks: Checks | None = None
    training: Training | None = None
    run: Run | None = None
    turn: Turn | None = None
    measures: Measures | None = None


def evidence(folder: Path, model: ModelVersion) -> Evidence:
    """What the evidence tells.

    Args:
        folder: The store's folder of models.
        model: The model of the change.

    Raises:
        BundleError: The evidence is missing, or was changed since it was stored.
    """
    if model.evidence_sha256 is None:
        return Evidence()
    found: dict[str, Any] = {}
    for name, kind in _FILES.items():
        content = model_files.read_evidence(folder, model.evidence_sha256, f"{name}.json")
        with contextlib.suppress(ValidationError):
            found[name] = kind.model_validate(content)
    return Evidence(**found)


_FILES: dict[str, type[_Fact]] = {
    "feedback": Feedback,
    "checks": Checks,
    "training": Training,
    "run": Run,
    "turn": Turn,
    "measures": Measures,
}


def evidence_files(path: Path) -> dict[str, bytes]:
    """The files of a zip of evidence that a reader can open, by name; large ones stay in the zip alone.

    Args:
        path: The zip, verified.

    Raises:
        BundleError: It cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as packed:
            return {
                one.filename: packed.read(one)
                for one in packed.infolist()
                if Path(one.filename).suffix in _SHOWN and one.file_size <= _MOST_BYTES and _is_inside(one.filename)
            }
    except (OSError, zipfile.BadZipFile, EOFError, RuntimeError) as error:
        raise BundleError(
            "the evidence cannot be read", where=str(path), way_out="Restore it from a backup."
        ) from error


def _is_inside(name: str) -> bool:
    """Whether a name stays where it is unpacked."""
    with contextlib.suppress(ValueError):
        return not Path(name).is_absolute() and ".." not in Path(name).parts
    return False


def risks() -> tuple[tuple[str, frozenset[str]], ...]:
    """What can go wrong for patients, and the gates that stand against it."""
    finds = frozenset({"matched_sensitivity", "sensitivity", "auc", "new_cases"})
    return (
        (_("It misses cancers that the champion finds"), finds),
        (_("Many changes, each a little worse, add up"), frozenset({"best_champion"})),
        (_("It refers more people needlessly"), frozenset({"specificity"})),
        (_("Its probabilities mislead whoever reads them"), frozenset({"brier", "calibration"})),
        (_("A group of patients fares worse"), frozenset({"subgroups"})),
        (_("It gives way to blur, light or noise"), frozenset({"stress"})),
        (_("It declines so much that it is of no use"), frozenset({"declined"})),
        (_("It is too slow or too large to serve"), frozenset({"latency", "size"})),
        (_("It was fitted to the test set by looking at it again and again"), frozenset({"frozen_set"})),
    )


def rule_said(name: str) -> str:
    """Why a picture did not train."""
    return _(RULES[name]) if name in RULES else name.replace("_", " ")
