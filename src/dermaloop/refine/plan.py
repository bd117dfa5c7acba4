"""The plan: what refining may change, how, and what a challenger must show, written down before it exists.

Owns the plan's values, their check and its hash. Refuses to judge: `refine.gates` does, by these values alone. The
hash is of the file's bytes, comments included, since the reasons are part of what was agreed. Unknown keys and values
out of range are refused by name.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError

from dermaloop.core.errors import DermaloopError
from dermaloop.training import recipe as recipes
from dermaloop.training.recipe import Recipe

_STRICT = ConfigDict(extra="forbid")
_KEYS = "See docs/refine.md for the keys."
GATES = (
    "frozen_set", "auc", "best_champion", "matched_sensitivity", "sensitivity", "specificity", "brier", "calibration",
    "subgroups", "new_cases", "stress", "declined", "latency", "size",
)  # fmt: skip
"""Every gate, in the order of the report."""

CHAMPION = "champion"
"""Where weights start, unless the plan's recipe says otherwise; `refine.challenger` puts the file in its place."""


class PlanError(DermaloopError):
    """A plan has an unknown key, a wrong type or a value out of range."""

    code = "plan"


@dataclass(frozen=True, slots=True)
class Feedback:
    """Which confirmed cases may train."""

    __pydantic_config__ = _STRICT
    source: str = "clinic"
    """What the manifest calls the new cases."""
    longest_before_finding_days: int = 365
    """A picture older than this when the tissue was looked at shows another stage of the lesion."""
    shortest_follow_up_days: int = 90
    """Follow-up confirms only what was watched for this long after the picture."""
    least_lesions: int = 50
    """Fewer lesions that may train, or fewer that are new since the last decision, cost no training and no look."""
    train: float = 0.7
    """Share of patients whose new cases train; the shares must sum to 1."""
    validation: float = 0.1
    """Share that validates."""
    calibration: float = 0.1
    """Share that calibrates."""
    test: float = 0.1
    """Share never trained on, by which the new cases are measured."""


@dataclass(frozen=True, slots=True)
class Checks:
    """When a confirmation waits for a lead."""

    __pydantic_config__ = _STRICT
    folds: int = 5
    """Of the cross-validation that says what a picture looks like without its own label."""
    least_gap: float = 0.3
    """How much likelier another diagnosis must be than the given one, beyond confident learning's own rule."""
    contributor_alpha: float = 0.01
    """Level, corrected for the number of contributors (Holm), at which somebody is out of line."""
    contributor_least: int = 10
    """Fewer confirmations of one contributor say nothing."""


@dataclass(frozen=True, slots=True)
class Training:
    """What a challenger is made of."""

    __pydantic_config__ = _STRICT
    rehearsal_share: float = 0.7
    """Share of each batch that is original data, so that what was learnt is not lost."""
    without_rehearsal: Literal["refuse", "new cases only"] = "refuse"
    """What to do where the original data is not at hand."""
    without_weights: Literal["refuse", "start anew"] = "refuse"
    """What to do where the champion's weights are not at hand: `start anew` begins where the recipe says."""
    operating_points: Literal["anew", "keep"] = "anew"
    """Whether thresholds are chosen anew each time, or kept at the champion's specificity until cases speak against."""


@dataclass(frozen=True, slots=True)
class Frozen:
    """The test set that no model ever trained on."""

    __pydantic_config__ = _STRICT
    split: str = "test"
    """Which split of the frozen manifest counts."""
    manifest_sha256: str = ""
    """Identity of the manifest; empty: whichever is given, and its identity is recorded."""
    warn_after: int = 12
    """Uses after which every decision says that the set wears out."""
    most_uses: int = 24
    """Uses after which nothing can be decided on it any more."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The margins. All differences are challenger minus champion, all intervals 95 %."""

    __pydantic_config__ = _STRICT
    least_malignant: int = 50
    """Fewer malignant lesions of the frozen set judge nothing."""
    least_benign: int = 50
    """Fewer benign lesions judge nothing."""
    auc_margin: float = 0.02
    """The AUC for malignancy may be lower by less than this."""
    best_margin: float = 0.02
    """The AUC may be lower than that of the best champion so far by less than this: small losses do not add up."""
    best_missing: Literal["refuse", "judge by those at hand"] = "refuse"
    """What to do where an earlier champion is gone and was never measured on this frozen set."""
    matched_margin: float = 0.05
    """The sensitivity at the specificity that the champion has may be lower by less than this."""
    sensitivity_margin: float = 0.05
    """The sensitivity at the operating point may be lower by less than this."""
    specificity_margin: float = 0.10
    """The specificity there may be lower by less than this."""
    brier_margin: float = 0.01
    """The Brier error of the probability of malignancy may be higher by less than this."""
    calibration_error: float = 0.08
    """Largest calibration error of the probability of malignancy."""
    subgroup_attributes: tuple[str, ...] = ("age", "sex", "site", "skin_type", "source", "image_type")
    """By which attributes subgroups are looked at."""
    subgroup_least: int = 20
    """Fewer malignant lesions of a subgroup say nothing of its sensitivity, fewer benign nothing of its specificity."""
    subgroup_margin: float = 0.10
    """No subgroup's sensitivity may be lower by more than this, nor its specificity by more than twice this."""
    subgroups_required: tuple[str, ...] = ()
    """Subgroups, as `sex:female`, that must be big enough to be judged."""
    new_cases: Literal["report", "not inferior", "superior"] = "report"
    """What is claimed on the new cases held out: nothing, no loss, or a gain in the AUC for malignancy."""
    new_cases_margin: float = 0.05
    """For `not inferior`."""
    new_cases_least: int = 20
    """Fewer malignant or benign lesions among them judge nothing."""
    stress_pictures: int = 400
    """Pictures of the frozen set that are perturbed, most of them near a threshold; 0 leaves the gate unjudged."""
    stress_margin: float = 0.03
    """The share of decisions flipped by perturbation may be higher by at most this."""
    declined_margin: float = 0.10
    """The share of pictures declined may be higher by less than this."""
    latency_ratio: float = 1.25
    """Longest time for one picture over the champion's."""
    size_ratio: float = 1.25
    """Largest file over the champion's."""
    resamples: int = 2000
    """Of the bootstraps."""


@dataclass(frozen=True, slots=True)
class Plan:
    """All that was agreed beforehand."""

    __pydantic_config__ = _STRICT
    name: str
    version: int
    description: str
    """What may change and what may not, in words."""
    recipe: dict[str, Any]
    """The training recipe, see docs/training.md; where weights start and shares of sources are filled in."""
    promotion: Literal["person", "automatic"] = "person"
    """Who makes a challenger the champion that passed every required gate."""
    required_gates: tuple[str, ...] = tuple(name for name in GATES if name != "new_cases")
    """Gates that must be passed."""
    feedback: Feedback = field(default_factory=Feedback)
    checks: Checks = field(default_factory=Checks)
    training: Training = field(default_factory=Training)
    frozen: Frozen = field(default_factory=Frozen)
    gates: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class ReadPlan:
    """A plan as it was read.

    Attributes:
        plan: The values.
        recipe: Its training recipe.
        sha256: Of the file.
        text: The file.
    """

    plan: Plan
    recipe: Recipe
    sha256: str
    text: str

    def plain(self) -> dict[str, Any]:
        """Every value as JSON types, defaults included."""
        values: dict[str, Any] = json.loads(_ADAPTER.dump_json(self.plan))
        return values


_ADAPTER = TypeAdapter(Plan)


def load(path: Path) -> ReadPlan:
    """Reads a plan.

    Raises:
        PlanError: The file is missing or not TOML; a key is unknown; a value has the wrong type or range.
        RecipeError: Its recipe is not one.
    """
    try:
        content = Path(path).read_bytes()
        text = content.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PlanError("there is no such plan", where=str(path), way_out="See recipes/plan.toml.") from error
    return parse(text, where=str(path))


def standard() -> Plan:
    """The standard rules, for looking at feedback without a plan; nothing is trained by it."""
    return Plan(name="standard", version=1, description="", recipe={"name": "none"})


def parse(text: str, *, where: str = "plan") -> ReadPlan:
    """A plan from its text; see `load`."""
    try:
        values = tomllib.loads(text)
        plan = _ADAPTER.validate_json(json.dumps(values, default=str), strict=True)
    except tomllib.TOMLDecodeError as error:
        raise PlanError(f"this is not TOML ({error})", where=where, way_out="Correct the line named.") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        what = {"unexpected_keyword_argument": "there is no such key", "missing": "the key is missing"}.get(
            first["type"], f"{first['msg'][0].lower()}{first['msg'][1:]} (given: {first['input']!r})"
        )
        raise PlanError(f"{key}: {what}", where=where, way_out=_KEYS) from error
    for problem in _broken(plan):
        raise PlanError(problem, where=where, way_out=_KEYS)
    network = plan.recipe.get("network", {})
    started = {**plan.recipe, "network": {"start": CHAMPION, **network}} if isinstance(network, dict) else plan.recipe
    recipe = recipes.parse(started, where=f"{where}, [recipe]")
    return ReadPlan(plan, recipe, hashlib.sha256(text.encode()).hexdigest(), text)


def _broken(plan: Plan) -> Iterator[str]:
    feedback, checks, frozen, gates = plan.feedback, plan.checks, plan.frozen, plan.gates
    shares = (feedback.train, feedback.validation, feedback.calibration, feedback.test)
    unknown = sorted(set(plan.required_gates) - set(GATES))
    margins = {name: getattr(gates, name) for name in Limits.__slots__ if name.endswith(("_margin", "_error"))}
    rules = {
        f"required_gates names {unknown[:1]}, which is no gate": not unknown,
        f"feedback.train to feedback.test must be shares that sum to 1 (given: {shares})": all(
            0 <= share <= 1 for share in shares
        )
        and abs(sum(shares) - 1) < 1e-9,  # noqa: PLR2004 - rounding
        "feedback.train must be above 0": feedback.train > 0,
        f"feedback.source must be a plain name (given: {feedback.source!r})": feedback.source.isidentifier(),
        "feedback's days must not be negative": min(
            feedback.longest_before_finding_days, feedback.shortest_follow_up_days
        )
        >= 0,
        "feedback.least_lesions must be at least 1": feedback.least_lesions >= 1,
        "checks.folds must be at least 2": checks.folds >= 2,  # noqa: PLR2004 - one to learn from, one to look at
        "checks.least_gap must be between 0 and 1": 0 <= checks.least_gap <= 1,
        "checks.contributor_alpha must be between 0 and 1": 0 < checks.contributor_alpha < 1,
        "checks.contributor_least must be at least 2": checks.contributor_least >= 2,  # noqa: PLR2004
        "training.rehearsal_share must be at least 0 and below 1": 0 <= plan.training.rehearsal_share < 1,
        "frozen.most_uses must not be below frozen.warn_after, nor that below 1": 1
        <= frozen.warn_after
        <= frozen.most_uses,
        f"gates: margins must be above 0 and below 1 (given: {margins})": all(
            0 < margin < 1 for margin in margins.values()
        ),
        "gates: least numbers of lesions must be at least 1": min(
            gates.least_malignant, gates.least_benign, gates.subgroup_least, gates.new_cases_least
        )
        >= 1,
        "gates.latency_ratio and gates.size_ratio must be above 0": min(gates.latency_ratio, gates.size_ratio) > 0,
        "gates.stress_pictures must not be negative": gates.stress_pictures >= 0,
        "gates.resamples must be at least 100": gates.resamples >= 100,  # noqa: PLR2004 - tails of 2.5 %
    }
    yield from (rule for rule, holds in rules.items() if not holds)
