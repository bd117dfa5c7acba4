"""One ONNX Runtime session for one bundle.

Owns the run-time's options and the check that the graph keeps the bundle's contract. Refuses to know what the numbers
mean. The trade-off: the memory arena is kept (it is what makes repeated runs fast), so callers bound memory by bounding
the batch; `inference.classifier` does.
"""

from __future__ import annotations

import os
from typing import NamedTuple

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from dermaloop.core.bundle import MODEL, Bundle
from dermaloop.core.errors import BundleError

_OUTPUTS = ("logits", "embedding", "activation")


class Outputs(NamedTuple):
    """What one forward pass returns."""

    logits: NDArray[np.float32]
    """(N, K)."""
    embedding: NDArray[np.float32]
    """(N, D), global-average-pooled features."""
    activation: NDArray[np.float32]
    """(N, K, h, w); the mean over h and w plus the classifier's bias is `logits`."""


def usable_cores() -> int:
    """The number of cores this process may run on (which a container or `taskset` may have narrowed)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Session:
    """Runs a bundle's graph on the CPU. Safe to call from several threads at once.

    Args:
        bundle: An opened bundle.
        threads: Cores that one run may use; None for all usable ones.
        spin: Whether idle run-time threads wait busily for the next operator. Faster for one caller, wasteful where
            decoding needs the same cores.

    Raises:
        BundleError: The graph cannot be loaded or does not have the inputs and outputs that a bundle's graph has.
    """

    def __init__(self, bundle: Bundle, *, threads: int | None = None, spin: bool = True) -> None:
        self.size_px = bundle.spec.size_px
        self.threads = threads or usable_cores()
        options = ort.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "1" if spin and self.threads > 1 else "0")
        try:
            self._session = ort.InferenceSession(bundle.parts[MODEL], options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the run-time's exceptions share no public base
            raise BundleError(
                f"the part {MODEL!r} cannot be loaded ({str(error).splitlines()[0]})",
                where=bundle.identity,
                way_out="Export the bundle again with this version of dermaloop.",
            ) from error
        self._check_contract(bundle)

    def _check_contract(self, bundle: Bundle) -> None:
        inputs = {node.name: (node.type, node.shape) for node in self._session.get_inputs()}
        outputs = {node.name for node in self._session.get_outputs()}
        if set(inputs) != {"image"} or inputs["image"][0] != "tensor(uint8)" or not set(_OUTPUTS) <= outputs:
            raise BundleError(
                f"the graph takes {sorted(inputs)} and returns {sorted(outputs)}, not a uint8 'image' and {list(_OUTPUTS)}",
                where=f"{bundle.identity}, {MODEL}",
                way_out="Export the bundle again with this version of dermaloop.",
            )

    def run(self, batch: NDArray[np.uint8]) -> Outputs:
        """One forward pass.

        Args:
            batch: uint8 (N, S, S, 3), RGB.

        Returns:
            Outputs of N rows each.
        """
        logits, embedding, activation = self._session.run(_OUTPUTS, {"image": batch})
        return Outputs(logits, embedding, activation)
