"""One ONNX Runtime session for one bundle.

Owns the run-time's options and the check that the graph keeps the bundle's contract. Refuses to know what the numbers
mean. The trade-off: the memory arena is kept (it is what makes repeated runs fast), so callers bound memory by bounding
the batch; `inference.classifier` does.
"""

from __future__ import annotations

import functools
import os
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dermaloop.core.bundle import MODEL, Bundle
from dermaloop.core.errors import BundleError

_REQUIRED = ("logits", "embedding", "activation")
_OPTIONAL = ("texture", "attention")
_EXPORT_AGAIN = "Export the bundle again with this version of dermaloop."
_ERRORS_ONLY = 3


@functools.cache
def _runtime() -> Any:
    """ONNX Runtime, without its telemetry.

    Its official builds report their use to their maker over HTTPS, under an identity kept in the user's cache folder,
    unless this variable is set before the library is loaded. From a clinic's computer nothing is sent to anybody.
    Source: Privacy.md of onnxruntime 1.32, "Disabling Telemetry".
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime  # noqa: PLC0415 - not before the line above

    return onnxruntime


class Outputs(NamedTuple):
    """What one forward pass returns."""

    logits: NDArray[np.float32]
    """(N, K)."""
    embedding: NDArray[np.float32]
    """(N, D), pooled features."""
    activation: NDArray[np.float32]
    """(N, K, h, w); the mean over h and w plus the classifier's bias is `logits`."""
    texture: NDArray[np.float32]
    """(N, G), mean and standard deviation over the picture of a middle layer's channels, for `inference.gate`; the
    embedding where the graph does not return it."""
    attention: NDArray[np.float32]
    """(N, h, w), how much each place weighed in the pooling, mean 1; ones where the graph does not return it."""


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

    Raises:
        BundleError: The graph cannot be loaded or does not have the inputs and outputs that a bundle's graph has.
    """

    def __init__(self, bundle: Bundle, *, threads: int | None = None) -> None:
        self._open(bundle.parts[MODEL], bundle.spec.size_px, threads, f"{bundle.identity}, {MODEL}")

    @classmethod
    def of_model(cls, model: bytes, size_px: int, *, threads: int | None = None) -> Session:
        """A session on a graph that is not in a bundle yet, as packaging needs it.

        Args:
            model: The ONNX file's bytes.
            size_px: Side of the square input.
            threads: Cores that one run may use; None for all usable ones.

        Raises:
            BundleError: As the class.
        """
        session = cls.__new__(cls)
        session._open(model, size_px, threads, MODEL)  # noqa: SLF001 - its own class
        return session

    def _open(self, model: bytes, size_px: int, threads: int | None, where: str) -> None:
        self.size_px = size_px
        self.threads = threads or usable_cores()
        ort = _runtime()
        options = ort.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.log_severity_level = _ERRORS_ONLY
        # Idle threads wait busily within a run, where the next operator is microseconds away, and sleep after it,
        # where decoding needs the core.
        options.add_session_config_entry("session.intra_op.allow_spinning", "1" if self.threads > 1 else "0")
        options.add_session_config_entry("session.force_spinning_stop", "1")
        try:
            self._session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the run-time's exceptions share no public base
            raise BundleError(
                f"the graph cannot be loaded ({_first_line(error)})", where=where, way_out=_EXPORT_AGAIN
            ) from error
        inputs = {node.name: node.type for node in self._session.get_inputs()}
        outputs = {node.name for node in self._session.get_outputs()}
        if inputs != {"image": "tensor(uint8)"} or not set(_REQUIRED) <= outputs:
            raise BundleError(
                f"the graph takes {inputs} and returns {sorted(outputs)}, not one uint8 'image' and {list(_REQUIRED)}",
                where=where,
                way_out=_EXPORT_AGAIN,
            )
        self._names = [*_REQUIRED, *(name for name in _OPTIONAL if name in outputs)]
        try:
            probe = self.run(np.zeros((1, size_px, size_px, 3), dtype=np.uint8))
        except Exception as error:
            raise BundleError(
                f"the graph does not run on a picture of {size_px} x {size_px} ({_first_line(error)})",
                where=where,
                way_out=_EXPORT_AGAIN,
            ) from error
        self.shapes: dict[str, tuple[int, ...]] = {name: getattr(probe, name).shape[1:] for name in Outputs._fields}

    def run(self, batch: NDArray[np.uint8]) -> Outputs:
        """One forward pass.

        Args:
            batch: uint8 (N, S, S, 3), RGB.

        Returns:
            Outputs of N rows each.
        """
        found: dict[str, NDArray[np.float32]] = dict(
            zip(self._names, self._session.run(self._names, {"image": batch}), strict=True)
        )
        found.setdefault("texture", found["embedding"])
        if "attention" not in found:
            found["attention"] = np.ones_like(found["activation"][:, 0])
        return Outputs(**found)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
