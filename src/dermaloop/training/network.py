"""The network: a timm backbone, pooling by a map of the lesion, one linear classifier.

This shape is what makes the class-activation maps exact: the logits are the mean over places of (place weight × classifier
weight × features) plus the bias, so one forward pass gives logits, embedding and maps. Any timm model with that head serves.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import timm
import torch
from safetensors.torch import load_file
from timm.data import resolve_model_data_config
from torch import Tensor, nn
from torch.nn import functional

from dermaloop.core.errors import RecipeError
from dermaloop.core.taxonomy import Diagnosis
from dermaloop.training.recipe import Network

_MIDDLE_REDUCTION = 16
_ATTENTION_FLOOR = 0.02


class Passed(NamedTuple):
    """All that one forward pass makes."""

    logits: Tensor
    """(N, K)."""
    embedding: Tensor
    """(N, D), features pooled by the attention."""
    activation: Tensor
    """(N, K, h, w); its mean over the places plus the classifier's bias is the logits."""
    attention: Tensor
    """(N, h, w), how much each place weighs, mean 1."""
    attention_logits: Tensor | None
    """(N, h, w), before the sigmoid; None where all places weigh the same."""
    middle: Tensor
    """(N, C, h', w'), the last features whose side is a sixteenth of the picture's."""


class LesionNetwork(nn.Module):
    """A timm backbone, pooling by where the lesion is, one linear classifier.

    With attention w = sigmoid(1x1 convolution of the features) + a floor, the embedding is the mean of the features
    weighted by w, so that skin, rulers and the rim of the dermatoscope weigh little, and the maps stay exact. The floor
    keeps gradients alive where the attention is wrong.

    Args:
        backbone: timm model with mean pooling and one linear classifier.
        lesion_attention: False pools by the plain mean.
    """

    def __init__(self, backbone: Any, *, lesion_attention: bool) -> None:
        super().__init__()
        self.backbone = backbone
        stages: list[dict[str, Any]] = list(backbone.feature_info)
        self.middle = [stage["reduction"] for stage in stages].index(_MIDDLE_REDUCTION)
        self.attention: nn.Conv2d | None = None
        if lesion_attention:
            self.attention = nn.Conv2d(backbone.num_features, 1, 1)
            nn.init.zeros_(self.attention.weight)
            nn.init.zeros_(self.attention.bias)  # type: ignore[arg-type]

    def run(self, x: Tensor) -> Passed:
        """Normalised pictures float (N, 3, S, S) → all outputs."""
        features, (middle,) = self.backbone.forward_intermediates(x, indices=[self.middle])  # (N, D, h, w)
        head = classifier(self)
        attention_logits = None if self.attention is None else self.attention(features)[:, 0].float()
        if attention_logits is None:
            weight = torch.ones_like(features[:, 0])
        else:
            raw = torch.sigmoid(attention_logits) + _ATTENTION_FLOOR
            weight = raw / raw.mean(dim=(1, 2), keepdim=True)
        weighted = features * weight[:, None].to(features.dtype)
        embedding = weighted.mean(dim=(2, 3))
        dropped = functional.dropout(embedding, self.backbone.drop_rate, self.training)
        activation = functional.conv2d(weighted, head.weight[:, :, None, None])
        return Passed(head(dropped), embedding, activation, weight, attention_logits, middle)

    def forward(self, x: Tensor) -> Tensor:
        """Normalised pictures float (N, 3, S, S) → logits (N, K)."""
        return self.run(x).logits


def build(recipe: Network, weights_folder: Path | None = None, *, start: bool = True) -> LesionNetwork:
    """Builds the network with its starting weights.

    Args:
        recipe: See `training.recipe.Network`.
        weights_folder: Where a relative `start` file lies.
        start: False skips the starting weights (a checkpoint follows).

    Raises:
        RecipeError: timm does not know the name, its head is of another shape, or the weight file does not fit.
    """
    hub = start and recipe.start == "hub"
    try:
        model: Any = timm.create_model(
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
    head = model.get_classifier()
    if not isinstance(head, nn.Linear) or head.in_features != model.num_features:
        raise RecipeError(
            f"network.name: {recipe.name!r} has no single linear classifier behind mean pooling",
            way_out="Choose a network with global average pooling.",
        )
    for name in recipe.identity_blocks:
        parent, _, last = name.rpartition(".")
        setattr(model.get_submodule(parent), last, nn.Identity())
    network = LesionNetwork(model, lesion_attention=recipe.lesion_attention)
    # timm draws the classifier so wide that the first losses are above chance and wash out what the weights knew.
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    if start and recipe.start and not hub:
        _load_start(network, _start_file(recipe.start, weights_folder))
    return network


def classifier(network: LesionNetwork) -> nn.Linear:
    """The linear layer from embedding to logits."""
    layer: nn.Linear = network.backbone.get_classifier()
    return layer


def normalisation(network: LesionNetwork) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of the colours in [0, 1] that the network expects, each (3,)."""
    config = resolve_model_data_config(network.backbone)
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


def _load_start(network: LesionNetwork, path: Path) -> None:
    """Loads a backbone's weights, with or without its classifier, or those of a whole finished network."""
    try:
        state = load_file(path)
    except Exception as error:  # the reader raises its own type, which it does not export
        raise RecipeError(f"network.start: {path} is not an intact safetensors file ({error})") from error
    whole = any(name.startswith("backbone.") for name in state)
    target: Any = network if whole else network.backbone
    own = target.state_dict()
    wrong = [name for name, value in state.items() if name in own and own[name].shape != value.shape]
    unknown = [name for name in state if name not in own]
    fresh = {id(value) for value in classifier(network).state_dict(keep_vars=True).values()}
    fresh_names = {name for name, value in target.state_dict(keep_vars=True).items() if id(value) in fresh}
    missing = [
        name
        for name in own
        if name not in state
        and name not in fresh_names
        and not name.startswith("attention.")
        and not name.endswith("num_batches_tracked")
    ]
    if wrong or unknown or missing:
        kinds = {"of another shape": wrong, "unknown": unknown, "missing": missing}
        problem = next(f"{kind}: {names[:3]}" for kind, names in kinds.items() if names)
        raise RecipeError(
            f"network.start: {path} does not fit the network ({problem})",
            way_out="Check network.name and network.identity_blocks.",
        )
    target.load_state_dict(state, strict=False)
