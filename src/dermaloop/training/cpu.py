"""What makes a training step on processor cores fast: how the C library keeps memory, and which layers stay in float32.

Owns two findings, both measured by `benchmarks/training.py`; on a GPU neither applies. Knows nothing of recipes.
"""

from __future__ import annotations

import ctypes
import platform
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # of <malloc.h>
_NEVER, _NONE = -1, 0


def keep_memory() -> bool:
    """Tells the C library to keep freed memory for the next step; True where it does.

    glibc maps each large tensor anew and gives it back when it is freed, so that the kernel clears the same gigabytes
    in every step: about half of a step's time in bfloat16. Kept memory is free to this process, not to others.

    Source: mallopt(3), M_MMAP_MAX and M_TRIM_THRESHOLD.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    library = ctypes.CDLL(None)
    return bool(library.mallopt(_MMAP_MAX, _NONE)) and bool(library.mallopt(_TRIM_THRESHOLD, _NEVER))


class StridedDepthwise(nn.Conv2d):
    """A depthwise convolution with a stride that computes in float32 where autocast asks for bfloat16 on the processor.

    The gradient of its input in bfloat16 takes oneDNN fifteen times as long as in float32, longer than all other layers
    of a MobileNetV2 together.
    """

    def forward(self, x: Tensor) -> Tensor:
        """As `nn.Conv2d`; the result has the type that autocast wants."""
        if x.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
            return super().forward(x)
        wanted = torch.get_autocast_dtype("cpu")
        with torch.autocast("cpu", enabled=False):
            done = functional.conv2d(
                x.float(),
                self.weight,
                self.bias,
                self.stride,
                self.padding,
                self.dilation,
                self.groups,
            )
        return done.to(wanted)


def use_float32_where_faster(network: nn.Module) -> None:
    """Makes the plain strided depthwise convolutions of a network `StridedDepthwise`; names and weights stay."""
    for module in network.modules():
        if type(module) is nn.Conv2d and module.groups > 1 and module.stride != (1, 1):
            plain: Any = module
            plain.__class__ = StridedDepthwise
