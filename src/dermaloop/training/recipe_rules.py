"""Which values a recipe may hold: one table of ranges, and the rules that tie several values together.

Owns the limits and their wording. Refuses to know files and types, which `training.recipe` checks first.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Limit = tuple[str, Callable[[float], bool]]

_FROM_ZERO: Limit = ("at least 0", lambda value: value >= 0)
_ABOVE_ZERO: Limit = ("above 0", lambda value: value > 0)
_SHARE: Limit = ("between 0 and 1", lambda value: 0 <= value <= 1)
_BELOW_ONE: Limit = ("at least 0 and below 1", lambda value: 0 <= value < 1)
_SOME_SHARE: Limit = ("above 0 and at most 1", lambda value: 0 < value <= 1)
_COUNT: Limit = ("at least 1", lambda value: value >= 1)
_SIDE: Limit = ("at least 32", lambda value: value >= 32)  # noqa: PLR2004 - most networks halve the side five times

RANGES: dict[str, Limit] = {
    "seed": _FROM_ZERO,
    "data.class_power": _FROM_ZERO,
    "data.cache_px": _SIDE,
    "network.drop_rate": _BELOW_ONE,
    "network.drop_path_rate": _BELOW_ONE,
    "augment.aspect": _FROM_ZERO,
    "augment.shift": _SHARE,
    "augment.brightness": _SHARE,
    "augment.contrast": _SHARE,
    "augment.saturation": _SHARE,
    "augment.white_balance": _FROM_ZERO,
    "augment.hue": ("between 0 and 0.5", lambda value: 0 <= value <= 0.5),  # noqa: PLR2004 - half a turn is all
    "augment.gamma": _FROM_ZERO,
    "augment.light": _SHARE,
    "augment.blur": _SHARE,
    "augment.noise": _SHARE,
    "augment.vignette": _SHARE,
    "augment.hair": _SHARE,
    "augment.erase": _SHARE,
    "augment.jpeg": _SHARE,
    "augment.mixup": _FROM_ZERO,
    "augment.cutmix": _FROM_ZERO,
    "loss.tau": _FROM_ZERO,
    "loss.label_smoothing": _BELOW_ONE,
    "loss.mask_weight": _FROM_ZERO,
    "optimiser.rate": _ABOVE_ZERO,
    "optimiser.head_rate_factor": _FROM_ZERO,
    "optimiser.weight_decay": _FROM_ZERO,
    "optimiser.warm_up_share": _BELOW_ONE,
    "optimiser.clip_norm": _FROM_ZERO,
    "optimiser.ema_decay": _BELOW_ONE,
    "run.steps": _COUNT,
    "run.batch": ("at least 2", lambda value: value >= 2),  # noqa: PLR2004 - batch norm needs two
    "run.evaluate_px": _SIDE,
    "run.patience": _FROM_ZERO,
    "run.devices": ("at least 1, or -1 for all", lambda value: value >= 1 or value == -1),
    "run.nodes": _COUNT,
    "run.workers": _FROM_ZERO,
    "package.ood_accept": _SOME_SHARE,
    "package.ambiguous_alpha": _SOME_SHARE,
    "package.ambiguous_share": _SHARE,
    "package.top_diagnosis_tau": _FROM_ZERO,
}
"""Every number of a recipe that stands alone, by dotted key."""


def broken(values: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with a recipe whose types are right.

    Args:
        values: The recipe as `Recipe.plain` gives it.

    Yields:
        One clause per broken rule, with the key and the value.
    """
    for key, (words, holds) in RANGES.items():
        table, _, name = key.rpartition(".")
        value = values[table][name] if table else values[name]
        if not (math.isfinite(value) and holds(value)):
            yield f"{key} must be {words} (given: {value})"
    yield from _together(values)


def _together(values: Mapping[str, Any]) -> Iterator[str]:
    run, shares = values["run"], values["data"]["source_share"]
    starts, sides = [start for start, _ in run["train_px"]], [side for _, side in run["train_px"]]
    low, high = values["augment"]["scale"]
    sensitivity = values["package"]["sensitivity"]
    guided, mixed = values["loss"]["mask_weight"] > 0, values["augment"]["mixup"] + values["augment"]["cutmix"] > 0
    rules = {
        "network.freeze needs network.start: random features are not worth keeping": not values["network"]["freeze"]
        or bool(values["network"]["start"]),
        "loss.mask_weight needs network.lesion_attention": not guided or values["network"]["lesion_attention"],
        "loss.mask_weight does not go with augment.mixup and augment.cutmix: a mixed picture has no outline": (
            not (guided and mixed)
        ),
        f"name must be letters, digits, '.', '_' and '-' (given: {values['name']!r})": bool(
            re.fullmatch(r"[\w][\w.-]*", values["name"])
        ),
        f"data.source_share must not be negative nor sum to more than 1 (given: {shares})": all(
            0 <= share <= 1 for share in shares.values()
        )
        and sum(shares.values()) <= 1 + 1e-9,
        f"augment.scale must be two positive numbers, ascending (given: {[low, high]})": 0 < low <= high < math.inf,
        f"run.steps_per_epoch must be between 1 and run.steps (given: {run['steps_per_epoch']} of {run['steps']})": (
            1 <= run["steps_per_epoch"] <= run["steps"]
        ),
        f"run.train_px must begin with 0 and ascend, below 1 (given: {run['train_px']})": starts[:1] == [0]
        and starts == sorted(set(starts))
        and starts[-1] < 1,
        f"run.train_px must have sides of at least 32 (given: {run['train_px']})": all(
            _SIDE[1](side) for side in sides
        ),
        f"package.sensitivity needs at least one value, all in (0, 1) (given: {sensitivity})": bool(sensitivity)
        and all(0 < value < 1 for value in sensitivity),
    }
    yield from (rule for rule, holds in rules.items() if not holds)
