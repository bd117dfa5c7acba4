"""What makes a step on processor cores fast changes neither names, nor weights, nor results beyond rounding."""

import platform
import subprocess
import sys

import pytest
import torch
from torch import nn

from dermaloop.training.cpu import StridedDepthwise, keep_memory, use_float32_where_faster


def _network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1),  # strided, not depthwise
        nn.Conv2d(8, 8, 3, stride=2, padding=1, groups=8, bias=False),
        nn.Conv2d(8, 8, 3, padding=1, groups=8),  # depthwise, not strided
    )


def test_only_plain_strided_depthwise_convolutions_change() -> None:
    network = _network()
    before = {name: value.clone() for name, value in network.state_dict().items()}

    use_float32_where_faster(network)

    assert [type(layer) for layer in network] == [nn.Conv2d, StridedDepthwise, nn.Conv2d]
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert list(network.state_dict()) == list(before)


def test_in_float32_the_results_are_the_same_bit_for_bit() -> None:
    network, picture = _network(), torch.rand(2, 3, 32, 32)
    expected = network(picture)

    use_float32_where_faster(network)

    assert torch.equal(network(picture), expected)


def test_under_autocast_it_computes_in_float32_and_hands_on_bfloat16_with_gradients() -> None:
    layer = nn.Conv2d(8, 8, 3, stride=2, padding=1, groups=8)
    use_float32_where_faster(layer)
    features = torch.rand(2, 8, 16, 16, requires_grad=True)

    with torch.autocast("cpu", dtype=torch.bfloat16):
        done = layer(features)
    done.float().sum().backward()

    assert done.dtype == torch.bfloat16
    exact = nn.functional.conv2d(features, layer.weight, layer.bias, stride=2, padding=1, groups=8)
    assert torch.equal(done, exact.to(torch.bfloat16))  # rounded once, at the end
    assert features.grad is not None
    assert features.grad.dtype == torch.float32
    assert layer.weight.grad is not None


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_kept_memory_is_not_given_back_to_the_kernel() -> None:
    # In a process of its own: the setting holds for the whole process.
    program = """
import resource, sys
from dermaloop.training.cpu import keep_memory
import torch
if sys.argv[1] == "keep":
    assert keep_memory()
for _ in range(20):
    torch.ones(64 * 1024 * 1024 // 4)
faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    torch.ones(64 * 1024 * 1024 // 4)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults)
"""
    faults = {}
    for way in ("keep", "plain"):
        command = [sys.executable, "-c", program, way]
        faults[way] = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    assert faults["keep"] < faults["plain"] / 10


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("musl", "1.2"))

    assert keep_memory() is False
