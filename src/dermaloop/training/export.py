"""From trained weights to the ONNX graph of a bundle.

The graph takes uint8 pictures as `core.preprocess` makes them and returns, in one pass, logits, embedding and
class-activation maps, which are exact for a network with one linear layer on a weighted mean. Nothing of the machine
that exported it stays in the graph.

Source: Zhou et al. 2016, "Learning deep features for discriminative localization", arXiv:1512.04150.
"""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from dermaloop.training.network import LesionNetwork, normalisation

INPUT = "image"
OUTPUTS = ("logits", "embedding", "activation", "texture", "attention")


class Deployed(nn.Module):
    """The network as it is deployed: uint8 (N, S, S, 3) in, `OUTPUTS` out.

    The texture is mean and standard deviation over the picture of a middle layer's channels: what the gate tells skin
    from anything else by, since the last layer learns to see lesions only. The attention (N, h, w), mean 1, is how much
    each place weighed.

    Args:
        network: See `training.network.build`.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, network: LesionNetwork) -> None:
        super().__init__()
        self.network = network
        mean, std = normalisation(network)
        self.register_buffer("scale", (1 / (255 * std)).view(1, 3, 1, 1))
        self.register_buffer("shift", (-mean / std).view(1, 3, 1, 1))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """One forward pass.

        Args:
            image: uint8 (N, S, S, 3).

        Returns:
            Logits (N, K), embedding (N, D), activation (N, K, h, w), texture (N, G) and attention (N, h, w), float32.
            The mean activation plus the bias is the logits.
        """
        x = image.permute(0, 3, 1, 2).to(torch.float32) * self.scale + self.shift
        passed = self.network.run(x)
        mean = passed.middle.mean(dim=(2, 3))  # (N, C)
        variance = (passed.middle * passed.middle).mean(dim=(2, 3)) - mean * mean
        texture = torch.cat([mean, torch.sqrt(variance.clamp_min(1e-12))], dim=1)
        return passed.logits, passed.embedding, passed.activation, texture, passed.attention


def onnx_graph(network: LesionNetwork, size_px: int) -> bytes:
    """The ONNX graph, opset 18, dynamic batch.

    Args:
        network: Trained network, on the CPU.
        size_px: Side of the input.

    Returns:
        The serialised graph, checked.
    """
    deployed = Deployed(network).eval()
    example = torch.zeros(2, size_px, size_px, 3, dtype=torch.uint8)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        path = Path(folder) / "model.onnx"
        torch.onnx.export(
            deployed,
            (example,),
            path,
            dynamo=True,
            external_data=False,
            opset_version=18,
            optimize=True,
            verbose=False,
            input_names=[INPUT],
            output_names=list(OUTPUTS),
            dynamic_shapes={"image": {0: torch.export.Dim("batch")}},
        )
        graph = path.read_bytes()
    model = onnx.load_from_string(graph)
    for node in model.graph.node:  # traces of source files and machine paths
        del node.metadata_props[:]
        node.doc_string = ""
    del model.metadata_props[:]
    del model.graph.metadata_props[:]
    del model.graph.value_info[:]
    onnx.checker.check_model(model)
    clean: bytes = model.SerializeToString()
    return clean
