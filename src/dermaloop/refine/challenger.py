"""The challenger's recipe and data: warm start from the champion, rehearsal of the original data, new cases.

Owns what is decided where weights or original data are not at hand, which is written down, and how the shares of a
batch come about. Refuses to train and to package: `training` and `pipeline` do.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dermaloop.core.errors import ManifestError
from dermaloop.core.files import replacing
from dermaloop.core.manifest import Manifest, Split, concat
from dermaloop.refine.plan import CHAMPION, PlanError, ReadPlan
from dermaloop.training.recipe import Recipe

START = "champion.safetensors"
"""What the starting weights are called in a turn's folder: the same in every turn, so that recipes are too."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What a challenger is trained from.

    Attributes:
        recipe: Whole, with its start and its shares.
        weights: `champion`, `recipe` (the recipe's own start) or `anew`.
        rehearsal: Rows of original data that train; 0 where they are not at hand.
        said: What was chosen and why, for the record.
    """

    recipe: Recipe
    weights: str
    rehearsal: int
    said: tuple[str, ...]


def weights_of(work: Path, model_sha256: str, given: Path | None) -> Path | None:
    """The champion's weights: the file given, else what an earlier turn left; None where there is none."""
    if given is not None:
        return given
    kept = work / "weights" / f"{model_sha256}.safetensors"
    return kept if kept.is_file() else None


def keep_weights(work: Path, model_sha256: str, weights: Path) -> None:
    """Leaves a challenger's weights for the turn in which it is the champion: a bundle holds none that can train."""
    with replacing(work / "weights" / f"{model_sha256}.safetensors") as temporary:
        shutil.copyfile(weights, temporary)


def choose(plan: ReadPlan, *, weights: Path | None, rehearsal: Manifest | None) -> Choice:
    """Decides what the challenger starts from and learns from, by the plan.

    Args:
        plan: As it was agreed.
        weights: The champion's, where at hand.
        rehearsal: Original data, where at hand.

    Raises:
        PlanError: Something is not at hand, and the plan refuses to go on without.
    """
    rules, recipe = plan.plan.training, plan.recipe
    said, network = [], recipe.network
    if network.start != CHAMPION:
        origin = "recipe"
        said.append(f"The plan's recipe starts from {network.start!r}, not from the champion.")
    elif weights is not None:
        origin = CHAMPION
        network = replace(network, start=START)
        said.append("Warm start from the champion's weights.")
    elif rules.without_weights == "start anew":
        origin = "anew"
        network = replace(network, start="", freeze=())
        said.append("The champion's weights are not at hand; the plan lets training start anew, with nothing frozen.")
    else:
        raise PlanError(
            "the champion's weights are not at hand, and the plan does not go on without",
            where="training.without_weights",
            way_out="Name them with --champion-weights: the weights.safetensors of the folder that it was trained in.",
        )
    rows = 0 if rehearsal is None else len(rehearsal.where(split=Split.TRAIN))
    if rows:
        said.append(f"{rows} pictures of original data are rehearsed, {rules.rehearsal_share:.0%} of each batch.")
    elif rules.without_rehearsal == "new cases only":
        said.append("The original data is not at hand; the plan lets training go on with new cases only.")
    else:
        raise PlanError(
            "the original training data is not at hand, and the plan does not go on without",
            where="training.without_rehearsal",
            way_out="Name its manifest with --rehearse.",
        )
    share = rules.rehearsal_share if rows else 0.0
    data = replace(recipe.data, source_share=_shares(recipe.data.source_share, plan.plan.feedback.source, share))
    return Choice(replace(recipe, network=network, data=data), origin, rows, tuple(said))


def _shares(given: Mapping[str, float], source: str, rehearsal_share: float) -> dict[str, float]:
    """Shares of a batch by source: the new cases get what rehearsal leaves; a recipe's own shares are of rehearsal."""
    original = {name: share * rehearsal_share for name, share in given.items() if name != source}
    return {**original, source: 1.0 - rehearsal_share} if rehearsal_share else {}


def training_manifest(rehearsal: Manifest | None, new: Manifest, folder: Path) -> Manifest:
    """Original data, but for what is held out, and new cases, but for their test split.

    Raises:
        ManifestError: A picture or group of the original data is among the new cases too.
    """
    used = [Split.TRAIN, Split.VALIDATION, Split.CALIBRATION]
    parts = [new.where(split=used)]
    if rehearsal is not None:
        parts.insert(0, rehearsal.where(split=used))
    return concat(parts, folder)


def require_apart(frozen: Manifest, trained: Manifest) -> None:
    """Refuses a frozen set that a challenger would train on: by file, patient, lesion or group.

    Raises:
        ManifestError: `not_frozen`.
    """
    for name in ("sha256", "patient_id", "lesion_id", "group", "duplicate_group"):
        shared = {value for value in frozen.column(name) if value} & {value for value in trained.column(name) if value}
        if shared:
            raise ManifestError(
                "not_frozen",
                f"{len(shared)} values of {name} are in the frozen set and in the training data, e.g. {min(shared)!r}",
                way_out="A frozen set is never trained on: take its patients out of the one or the other.",
            )


def plain(choice: Choice) -> dict[str, Any]:
    """A choice as JSON types."""
    return {
        "recipe": choice.recipe.plain(),
        "recipe_sha256": choice.recipe.identity(),
        "weights": choice.weights,
        "rehearsal_pictures": choice.rehearsal,
        "said": list(choice.said),
    }
