"""The network: a timm backbone, mean pooling, one linear classifier.

This shape is what makes the class-activation maps exact: the logits are the mean over positions of (classifier weight ×
features) plus the bias, so one forward pass gives logits, embedding and maps. Any timm model with that head serves.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import load_file
from timm.data import resolve_model_data_config
from torch import Tensor, nn

from dermaloop.core.errors import RecipeError
from dermaloop.core.taxonomy import Diagnosis
from dermaloop.training.recipe import Network


def build(recipe: Network, weights_folder: Path | None = None, *, start: bool = True) -> nn.Module:
    """Builds the network with its starting weights.

    Args:
        recipe: See `training.recipe.Network`.
        weights_folder: Where a relative `start` file lies.
        start: False skips the starting weights (a checkpoint follows).

    Returns:
        A timm model with K = 8 logits.

    Raises:
        RecipeError: timm does not know the name, its head is of another shape, or the weight file does not fit.
    """
    hub = start and recipe.start == "hub"
    try:
        model: nn.Module = timm.create_model(
            recipe.name,
            pretrained=hub,
            num_classes=len(Diagnosis),
            drop_rate=recipe.drop_rate,
            drop_path_rate=recipe.drop_path_rate,
        )
    except RuntimeError as error:
        raise RecipeError(
            f"network.name: timm does not know {recipe.name!r} ({error})",
            way_out="'timm.list_models()' lists the names.",
        ) from error
    except OSError as error:
        raise RecipeError(
            f"network.start: the weights of {recipe.name!r} cannot be fetched ({error})",
            way_out="Name a local safetensors file.",
        ) from error
    head = classifier(model)
    if not isinstance(head, nn.Linear) or head.in_features != getattr(model, "num_features", -1):
        raise RecipeError(
            f"network.name: {recipe.name!r} has no single linear classifier",
            way_out="Choose a network with global average pooling.",
        )
    for name in recipe.identity_blocks:
        parent, _, last = name.rpartition(".")
        setattr(model.get_submodule(parent), last, nn.Identity())
    if start and recipe.start and not hub:
        _load_start(model, _start_file(recipe.start, weights_folder))
    return model


def classifier(model: Any) -> nn.Module:
    """The linear layer from embedding to logits."""
    layer: nn.Module = model.get_classifier()
    return layer


def normalisation(model: nn.Module) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of the colours in [0, 1] that the network expects, each (3,)."""
    config = resolve_model_data_config(model)
    return torch.tensor(config["mean"]), torch.tensor(config["std"])


def _start_file(start: str, folder: Path | None) -> Path:
    path = Path(start)
    if not path.is_absolute() and folder is not None:
        path = folder / path
    if not path.is_file():
        raise RecipeError(
            f"network.start: there is no file {str(path)!r}",
            way_out="Name its folder with --weights, or set network.start to 'hub' where there is internet, or to '' for random weights.",
        )
    return path


def _load_start(model: nn.Module, path: Path) -> None:
    try:
        state = load_file(path)
    except Exception as error:  # the reader raises its own type, which it does not export
        raise RecipeError(f"network.start: {path} is not an intact safetensors file ({error})") from error
    own = model.state_dict()
    wrong = [name for name, value in state.items() if name in own and own[name].shape != value.shape]
    unknown = [name for name in state if name not in own]
    head = {
        f"{name}.{part}"
        for name, module in model.named_modules()
        if module is classifier(model)
        for part in ("weight", "bias")
    }
    missing = [
        name for name in own if name not in state and name not in head and not name.endswith("num_batches_tracked")
    ]
    if wrong or unknown or missing:
        problem = (
            f"of another shape: {wrong[:3]}"
            if wrong
            else f"unknown: {unknown[:3]}"
            if unknown
            else f"missing: {missing[:3]}"
        )
        raise RecipeError(
            f"network.start: {path} does not fit the network ({problem})",
            way_out="Check network.name and network.identity_blocks.",
        )
    model.load_state_dict(state, strict=False)
