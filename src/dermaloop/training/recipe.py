"""The training recipe: a frozen dataclass per component, read from one TOML file.

A command takes a recipe and a few overrides, not thirty flags; what a run did is the recipe it stored. Unknown keys,
wrong types and values out of range are refused by name, since a typing error that silently trains with a default costs
hours.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError

from dermaloop.core.errors import RecipeError
from dermaloop.training import recipe_rules

_STRICT = ConfigDict(extra="forbid")
_KEYS = "See docs/training.md for the keys."


@dataclass(frozen=True, slots=True)
class Data:
    """Which rows train, and how often each is drawn."""

    __pydantic_config__ = _STRICT
    source_share: dict[str, float] = field(default_factory=dict)
    """Share of each batch by source; sources not named share what is left by their number of images.
    A source with share 0 does not train."""
    class_power: float = 0.5
    """Within a source a class is drawn in proportion to its number of images to this power: 1 as it
    comes, 0 balanced."""
    leave_out: tuple[str, ...] = ()
    """Sources that neither train nor validate: for leave-one-source-out."""
    cache_px: int = 256
    """Side of the pre-decoded square pictures."""


@dataclass(frozen=True, slots=True)
class Network:
    """The network and where its weights start."""

    __pydantic_config__ = _STRICT
    name: str = "mobilenetv2_100"
    """A timm model whose features are pooled by their mean and classified by one linear layer."""
    start: str = ""
    """A safetensors file (absolute, or relative to the weights folder given to the command), `hub` for timm's
    pretrained weights from the internet, or empty for random weights."""
    identity_blocks: tuple[str, ...] = ()
    """Blocks replaced by an identity, by dotted name, for weight files that lack them."""
    drop_rate: float = 0.2
    """Dropout before the classifier."""
    drop_path_rate: float = 0.0
    """Stochastic depth."""
    lesion_attention: bool = False
    """Pools the features by a learned map of where the lesion is instead of their plain mean."""
    freeze: tuple[str, ...] = ()
    """Blocks that keep their weights and statistics as they start, by dotted name; needs a start. For warm starts: the
    first blocks cost most of a step and change least."""


@dataclass(frozen=True, slots=True)
class Augment:
    """Strength of each random change; 0 switches it off. See `training.augment`."""

    __pydantic_config__ = _STRICT
    rotate: bool = True
    """Any angle, with the flips: a lesion has no up."""
    scale: tuple[float, float] = (0.65, 1.1)
    """Side of the cut square, in sides of the picture."""
    aspect: float = 0.25
    """Largest stretch of one axis against the other, as a natural logarithm."""
    shift: float = 0.1
    """Largest shift of the cut square, in sides of the picture."""
    brightness: float = 0.25
    contrast: float = 0.25
    saturation: float = 0.3
    white_balance: float = 0.15
    """Largest gain of one colour channel, as a natural logarithm."""
    hue: float = 0.05
    """Largest turn of the colour circle, in turns."""
    gamma: float = 0.2
    light: float = 0.3
    """Largest gradient of illumination across the picture."""
    blur: float = 0.15
    """Probability."""
    noise: float = 0.02
    """Largest standard deviation of added noise, in full scale."""
    vignette: float = 0.25
    """Probability of a dark surround as in old dermatoscopes."""
    hair: float = 0.15
    """Probability of drawn hairs or ruler marks."""
    erase: float = 0.1
    """Probability of one covered rectangle."""
    jpeg: float = 0.0
    """Probability of lossy compression, quality 15 to 80."""
    mixup: float = 0.0
    """Alpha of the beta distribution of mixup; 0: off."""
    cutmix: float = 0.0
    """Alpha of the beta distribution of cutmix; 0: off. With both on, a batch gets one of them."""


@dataclass(frozen=True, slots=True)
class Loss:
    """How labels become a loss."""

    __pydantic_config__ = _STRICT
    balance: Literal["none", "class_weighted", "logit_adjusted"] = "none"
    """What counters class imbalance beyond the sampling. logit_adjusted: Menon et al. 2021."""
    tau: float = 1.0
    """Strength of the balancing."""
    label_smoothing: float = 0.05
    """Of fine labels; a coarse label is soft already."""
    mask_weight: float = 0.0
    """Weight of the loss that holds the lesion attention to the outlined lesions, for the rows that have a mask."""


@dataclass(frozen=True, slots=True)
class Optimiser:
    """AdamW with warm-up and cosine decay."""

    __pydantic_config__ = _STRICT
    rate: float = 1e-3
    """Highest learning rate."""
    head_rate_factor: float = 1.0
    """The classifier's rate over the others'."""
    weight_decay: float = 0.02
    warm_up_share: float = 0.05
    """Share of all steps."""
    clip_norm: float = 2.0
    """Largest gradient norm; 0: no clipping."""
    ema_decay: float = 0.998
    """Per step; 0: no averaging."""


@dataclass(frozen=True, slots=True)
class Run:
    """How long, how large, on what."""

    __pydantic_config__ = _STRICT
    steps: int = 2400
    steps_per_epoch: int = 200
    """A validation and a checkpoint after each."""
    batch: int = 64
    train_px: tuple[tuple[float, int], ...] = ((0.0, 192),)
    """Progressive resizing: (share of the run from which, side), ascending."""
    evaluate_px: int = 224
    """Side of the bundle's input."""
    patience: int = 0
    """Epochs without a better validation score before the run stops; 0: never."""
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] = "auto"
    keep: Literal["best", "last"] = "last"
    """Which epoch's weights are the result."""
    devices: int = 1
    strategy: str = "auto"
    """Lightning's: auto, ddp, fsdp …"""
    nodes: int = 1
    workers: int = 0
    """Loader processes; the cache is memory-mapped, so 0 is right unless a GPU waits."""


@dataclass(frozen=True, slots=True)
class Package:
    """What packaging fits on the calibration split."""

    __pydantic_config__ = _STRICT
    calibration_sources: tuple[str, ...] = ()
    """Empty: all that have a calibration split."""
    sensitivity: tuple[float, ...] = (0.95, 0.90)
    """Targets of the operating points; the first is the default."""
    ood_accept: float = 0.97
    """Share of calibration pictures accepted as in distribution."""
    ambiguous_alpha: float = 0.8
    """Share of the operating point's errors that may remain decided; smaller declines more. See
    `evaluation.operating_point.ambiguous_band`."""
    ambiguous_share: float = 0.1
    """Largest share of calibration pictures that may be declined as ambiguous."""
    top_diagnosis_tau: float = 0.5
    """The suggested diagnosis maximises log p - tau log prior; 0: the likeliest."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that decides what a training makes."""

    __pydantic_config__ = _STRICT
    name: str
    seed: int = 1
    data: Data = field(default_factory=Data)
    network: Network = field(default_factory=Network)
    augment: Augment = field(default_factory=Augment)
    loss: Loss = field(default_factory=Loss)
    optimiser: Optimiser = field(default_factory=Optimiser)
    run: Run = field(default_factory=Run)
    package: Package = field(default_factory=Package)

    def plain(self) -> dict[str, Any]:
        """As JSON-ready values."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return plain

    def identity(self) -> str:
        """SHA-256 over all values; lower-case hex."""
        values = self.plain()
        for part, key in (("network", "freeze"), ("augment", "jpeg")):
            if not values[part][key]:  # a key that came later: recipes without it stay what they were
                del values[part][key]
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


_ADAPTER = TypeAdapter(Recipe)


def load(path: Path, overrides: Mapping[str, str] | None = None) -> Recipe:
    """Reads a recipe.

    Args:
        path: TOML file.
        overrides: Values by dotted key, as text in TOML's notation, e.g. `{"run.steps": "100"}`.

    Raises:
        RecipeError: The file is missing or not TOML; a key is unknown; a value has the wrong type or range.
    """
    try:
        values: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RecipeError("there is no such recipe", where=str(path), way_out="See the folder recipes/.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"this is not TOML ({error})", where=str(path), way_out="Correct the line named.") from error
    for key, text in (overrides or {}).items():
        _override(values, key, text)
    return parse(values, where=str(path))


def parse(values: Mapping[str, Any], *, where: str = "recipe") -> Recipe:
    """A recipe from plain values, checked.

    Raises:
        RecipeError: See `load`.
    """
    try:
        # By way of JSON, where strict means what a TOML file means: 1 is a number with or without a point, an array
        # is a tuple, and nothing else is converted.
        recipe = _ADAPTER.validate_json(json.dumps(values, default=str), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        what = {"unexpected_keyword_argument": "there is no such key", "missing": "the key is missing"}.get(
            first["type"], f"{first['msg'][0].lower()}{first['msg'][1:]} (given: {first['input']!r})"
        )
        raise RecipeError(f"{key}: {what}", where=where, way_out=_KEYS) from error
    for problem in recipe_rules.broken(recipe.plain()):
        raise RecipeError(problem, where=where, way_out=_KEYS)
    return recipe


def without_source(recipe: Recipe, source: str) -> Recipe:
    """The same recipe with one more source left out, for leave-one-source-out."""
    data = replace(recipe.data, leave_out=(*recipe.data.leave_out, source))
    return replace(recipe, name=f"{recipe.name}-without-{source}", data=data)


def _override(values: dict[str, Any], key: str, text: str) -> None:
    *tables, name = key.split(".")
    table: Any = values
    for part in tables:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise RecipeError(f"{part!r} is a value, not a table", where=f"--set {key}", way_out=_KEYS)
    try:
        table[name] = tomllib.loads(f"v = {text}")["v"]
    except tomllib.TOMLDecodeError:  # a bare word is text
        table[name] = text
