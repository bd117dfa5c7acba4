"""The network: a timm backbone, pooling by a map of the lesion, one linear classifier.

This shape is what makes the class-activation maps exact: the logits are the mean over places of (place weight x
classifier weight x features) plus the bias, so one forward pass gives logits, embedding and maps. Any timm model with
that head serves; one with another head is refused before hours of training, not at its export.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from timm.data import resolve_model_data_config  # type: ignore[attr-defined]  # timm lists no exports
from torch import Tensor, nn
from torch.nn import functional

from dermaloop.core.errors import RecipeError
from dermaloop.core.taxonomy import Diagnosis
from dermaloop.training.cpu import use_float32_where_faster
from dermaloop.training.recipe import Network

_NO_FILE = "Name its folder with --weights, or set network.start: 'hub' where there is internet, '' for random weights."
_PROBE_PX = 64
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
    """(N, C, h', w'), the last features whose side is a sixteenth of the picture's, else those in the middle."""


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
        reductions = [stage["reduction"] for stage in backbone.feature_info]
        sixteenth = _MIDDLE_REDUCTION in reductions
        self.middle = reductions.index(_MIDDLE_REDUCTION) if sixteenth else len(reductions) // 2
        self.attention: nn.Conv2d | None = None
        if lesion_attention:
            self.attention = nn.Conv2d(backbone.num_features, 1, 1)
            nn.init.zeros_(self.attention.weight)
            nn.init.zeros_(self.attention.bias)  # type: ignore[arg-type]

    def run(self, x: Tensor) -> Passed:
        """All outputs for normalised pictures, float (N, 3, S, S)."""
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
        """Logits (N, K) for normalised pictures, float (N, 3, S, S)."""
        return self.run(x).logits


def build(recipe: Network, weights_folder: Path | None = None, *, start: bool = True) -> LesionNetwork:
    """Builds the network with its starting weights; what they do not give is drawn from torch's generator.

    Args:
        recipe: See `training.recipe.Network`.
        weights_folder: Where a relative `start` file lies.
        start: False skips the starting weights (a checkpoint follows).

    Raises:
        RecipeError: timm does not know the name, its head is of another shape, a block is not there, or the weight file
            is missing or does not fit.
    """
    file = _start_file(recipe.start, weights_folder) if start and recipe.start not in ("", "hub") else None
    backbone = _create(recipe, hub=start and recipe.start == "hub")
    _need_linear_head(backbone, recipe.name)
    for name in recipe.identity_blocks:
        _replace_by_identity(backbone, name)
    network = LesionNetwork(backbone, lesion_attention=recipe.lesion_attention)
    use_float32_where_faster(network)
    # timm draws the classifier so wide that the first losses are above chance and wash out what the weights knew.
    nn.init.zeros_(classifier(network).weight)
    nn.init.zeros_(classifier(network).bias)
    if file is not None:
        _load_start(network, file, recipe.identity_blocks)
    for block in frozen_blocks(network, recipe):
        block.requires_grad_(requires_grad=False)
    return network


def frozen_blocks(network: LesionNetwork, recipe: Network) -> list[nn.Module]:
    """The blocks that the recipe freezes; while training they stay in evaluation mode, or their statistics would move.

    Raises:
        RecipeError: A block is not there.
    """
    found = []
    for name in recipe.freeze:
        try:
            found.append(network.backbone.get_submodule(name))
        except AttributeError as error:
            what = f"network.freeze: the network has no block {name!r}"
            raise RecipeError(what, way_out="Blocks are named like 'conv_stem' and 'blocks.0'.") from error
    return found


def classifier(network: LesionNetwork) -> nn.Linear:
    """The linear layer from embedding to logits."""
    layer: nn.Linear = network.backbone.get_classifier()
    return layer


def normalisation(network: LesionNetwork) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of the colours in [0, 1] that the network expects, each (3,)."""
    config = resolve_model_data_config(network.backbone)  # type: ignore[no-untyped-call]
    return torch.tensor(config["mean"]), torch.tensor(config["std"])


def _create(recipe: Network, *, hub: bool) -> nn.Module:
    if not timm.is_model(recipe.name):
        what = f"network.name: timm does not know {recipe.name!r}"
        raise RecipeError(what, way_out="'timm.list_models()' lists the names.")
    rates: dict[str, Any] = {"drop_rate": recipe.drop_rate}
    if recipe.drop_path_rate:  # not every network has it
        rates["drop_path_rate"] = recipe.drop_path_rate
    try:
        model: nn.Module = timm.create_model(recipe.name, pretrained=hub, num_classes=len(Diagnosis), **rates)
    except TypeError as error:
        what = f"network: {recipe.name!r} does not take {' and '.join(rates)} ({error})"
        raise RecipeError(what, way_out="Set network.drop_path_rate to 0 or choose another network.") from error
    except (OSError, RuntimeError) as error:
        what = f"network.start: the weights of {recipe.name!r} cannot be fetched ({error})"
        raise RecipeError(what, way_out="Name a local safetensors file.") from error
    return model


@torch.no_grad()
def _need_linear_head(model: Any, name: str) -> None:
    """Tries whether the logits are a linear layer on the mean of the features, on a fixed picture."""
    head = model.get_classifier()
    way_out = "Choose a network with global average pooling and one linear layer, e.g. mobilenetv2_100 or resnet50."
    if not isinstance(head, nn.Linear):
        raise RecipeError(f"network.name: {name!r} has no single linear classifier", way_out=way_out)
    picture = torch.linspace(-2, 2, 3 * _PROBE_PX * _PROBE_PX).reshape(1, 3, _PROBE_PX, _PROBE_PX).sin()
    training = model.training
    model.eval()
    try:
        logits = model(picture)
        features = model.forward_intermediates(picture, indices=[0])[0]
        expected = head(features.mean(dim=(2, 3)))
        serves = features.ndim == 4 and torch.allclose(logits, expected, rtol=1e-3, atol=1e-5)  # noqa: PLR2004 - N, D, h, w
    except (RuntimeError, AssertionError, IndexError, AttributeError):  # another size or shape than the probe's
        serves = False
    finally:
        model.train(training)
    if not serves:
        what = f"network.name: the logits of {name!r} are not one linear layer on the mean of its features"
        raise RecipeError(what, way_out=way_out)


def _replace_by_identity(model: nn.Module, name: str) -> None:
    try:
        model.get_submodule(name)
    except AttributeError as error:
        what = f"network.identity_blocks: the network has no block {name!r}"
        raise RecipeError(what, way_out="Blocks are named like 'blocks.6.1'.") from error
    parent, _, last = name.rpartition(".")
    setattr(model.get_submodule(parent), last, nn.Identity())


def _start_file(start: str, folder: Path | None) -> Path:
    path = Path(start)
    if not path.is_absolute() and folder is not None:
        path = folder / path
    if not path.is_file():
        raise RecipeError(f"network.start: there is no file {str(path)!r}", way_out=_NO_FILE)
    return path


def _load_start(network: LesionNetwork, path: Path, replaced: tuple[str, ...]) -> None:
    """Loads a backbone's weights, with or without its classifier, or those of a whole finished network.

    What the file has of the `replaced` blocks is left out.
    """
    try:
        state = load_file(path)
    except (SafetensorError, OSError) as error:
        what = f"network.start: {path} is not an intact safetensors file ({error})"
        raise RecipeError(what, way_out="Copy it again from where it came.") from error
    whole = any(name.startswith("backbone.") for name in state)
    target: nn.Module = network if whole else network.backbone
    own = target.state_dict(keep_vars=True)
    fresh = {id(value) for value in classifier(network).parameters()}
    head = {name for name, value in own.items() if id(value) in fresh}
    # A classifier of other classes than ours is left out; ours is taken.
    state = {
        name: value
        for name, value in state.items()
        if not name.startswith(tuple(f"{block}." for block in replaced))
        and (name not in head or value.shape == own[name].shape)
    }
    may_lack = {*head, "attention.weight", "attention.bias"}
    needed = [name for name in own if name not in may_lack and not name.endswith("num_batches_tracked")]
    problems = {
        "of another shape": [name for name, value in state.items() if name in own and own[name].shape != value.shape],
        "unknown": [name for name in state if name not in own],
        "missing": [name for name in needed if name not in state],
    }
    for problem, names in problems.items():
        if names:
            what = f"network.start: {path} does not fit the network ({problem}: {', '.join(names[:3])})"
            raise RecipeError(what, way_out="Check network.name, network.identity_blocks and network.lesion_attention.")
    target.load_state_dict(state, strict=False)
