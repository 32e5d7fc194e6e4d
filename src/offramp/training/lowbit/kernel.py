"""A trained 1-bit segment for the packed kernels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx, nn

from offramp.cascade.kernels.program import Program, Step
from offramp.cascade.kernels.segment import HEAD_INPUT
from offramp.training.inputs import ImageInput
from offramp.training.lowbit.activations import LearnedSigns
from offramp.training.lowbit.block import LowBitBlock
from offramp.training.lowbit.conv import LowBitConv2d
from offramp.training.lowbit.exact import FixedPointConv2d, PlainNorm
from offramp.training.lowbit.hand_over import HandOver
from offramp.training.onnx_file import ExitSegment, segment_to_onnx

__all__ = ["kernel_program"]


def kernel_program(segment: ExitSegment, features: Sequence[Tensor]) -> bytes | None:
    """The kernel file of a frozen segment; ``None`` where it holds anything the kernels do not compute.

    They compute a stem (convolution on a grid, norm, ReLU), blocks of the learned recipe with 1-bit weights and
    activations of a multiple of 8 channels, shortcuts around every convolution, and 1-bit hand-overs.

    Parameters
    ----------
    features : what it hands over for two rows
    """
    modules = _chain(segment.segment)
    if modules is None or segment.last or len(features) != 1:
        return None
    steps: list[Step] = []
    if isinstance(segment.inputs, ImageInput):
        arrays = {"factor": _numpy(segment.inputs.factor), "offset": _numpy(segment.inputs.offset)}
        steps.append(Step("pixels", {name: array.reshape(-1) for name, array in arrays.items()}, {}))
    while modules:
        taken = _add(modules, steps)
        if not taken:
            return None
        modules = modules[taken:]
    head = segment_to_onnx(_Head(segment), tuple(features), [HEAD_INPUT], ())
    return Program(steps, head).to_bytes()


class _Head(ExitSegment):
    """The exit of a segment alone."""

    def __init__(self, segment: ExitSegment) -> None:
        nn.Module.__init__(self)
        self.inputs, self.segment, self.head = nn.Identity(), nn.Identity(), segment.head
        self.last, self.sequences = True, segment.sequences
        self.eval()


def _chain(graph_module: nn.Module) -> list[nn.Module] | None:
    """The modules of a segment one behind the other; ``None`` where it is no such chain."""
    assert isinstance(graph_module, fx.GraphModule)
    found, before = [], None
    for node in graph_module.graph.nodes:
        if node.op == "placeholder":
            if before is not None:
                return None
        elif node.op == "output":
            if node.args[0] is not before:
                return None
        elif node.op != "call_module" or node.args != (before,) or node.kwargs:
            return None
        else:
            found.append(graph_module.get_submodule(str(node.target)))
        before = node
    return found


def _add(modules: list[nn.Module], steps: list[Step]) -> int:
    """Add steps for the first modules; how many they are, 0 where they cannot be computed."""
    first = modules[0]
    if isinstance(first, nn.Identity):
        return 1
    if isinstance(first, FixedPointConv2d):
        if len(modules) < 3 or not isinstance(modules[1], PlainNorm) or not isinstance(modules[2], nn.ReLU):
            return 0
        return 3 * _add_grid(first, modules[1], 0.0, steps, len(steps) - 1)
    if isinstance(first, LowBitBlock):
        return int(_add_block(first, steps))
    if isinstance(first, HandOver) and isinstance(first.levels, LearnedSigns):
        steps.append(Step("sign", {"threshold": _numpy(first.levels.threshold)}, {}))
        return 1
    return 0


def _add_block(block: LowBitBlock, steps: list[Step]) -> bool:
    if not block.every_conv or not all(map(_binary, (block.conv1, block.conv2))):
        return False
    source = direct = len(steps) - 1
    if isinstance(block.shortcut, FixedPointConv2d):
        if not _add_grid(block.shortcut, None, 1.0, steps, source):
            return False
        direct = len(steps) - 1
    _add_binary(block.conv1, block.norm1, block.activation1, steps, source, direct)
    _add_binary(block.conv2, block.norm2, block.activation2, steps, len(steps) - 1, len(steps) - 1)
    return True


def _binary(conv: LowBitConv2d) -> bool:
    out, into, *kernel = conv.frozen_weight.shape
    simple = kernel == [3, 3] and conv.padding == (1, 1) and conv.dilation == (1, 1) and conv.groups == 1
    one_bit = isinstance(conv.activation, LearnedSigns) and conv.spec.weight_bits == 1
    return simple and one_bit and conv.bias is None and into % 8 == 0 and max(out, into) <= 1024


def _add_binary(
    conv: LowBitConv2d, norm: PlainNorm, activation: nn.Module, steps: list[Step], source: int, added: int
) -> None:
    assert isinstance(conv.activation, LearnedSigns)
    assert isinstance(activation, nn.LeakyReLU)
    arrays = {
        "weight": _numpy(conv.frozen_weight),
        "threshold": _numpy(conv.activation.threshold),
        "scale": _numpy(conv.frozen_scale.flatten()),
        "factor": _numpy(norm.factor.flatten()),
        "shift": _numpy(norm.shift.flatten()),
    }
    numbers = {"stride": conv.stride[0], "leak": activation.negative_slope, "input": source, "added": added}
    steps.append(Step("binary", arrays, numbers))


def _add_grid(conv: FixedPointConv2d, norm: PlainNorm | None, leak: float, steps: list[Step], source: int) -> bool:
    """Whether it could be added."""
    size = conv.kernel_size[0]
    if conv.kernel_size != (size, size) or size % 2 == 0 or conv.padding not in ((size // 2, size // 2),):
        return False
    if conv.dilation != (1, 1) or conv.groups != 1 or conv.out_channels > 1024:
        return False
    arrays = {"weight": _numpy(conv.frozen_weight)}
    if conv.bias is not None:
        arrays["bias"] = _numpy(conv.bias)
    if norm is not None:
        arrays |= {"factor": _numpy(norm.factor.flatten()), "shift": _numpy(norm.shift.flatten())}
    steps.append(
        Step("grid", arrays, {"grid_bits": conv.input_bits, "stride": conv.stride[0], "leak": leak, "input": source})
    )
    return True


def _numpy(tensor: Tensor) -> NDArray[np.float32]:
    with torch.no_grad():
        array: NDArray[np.float32] = np.ascontiguousarray(tensor.detach().numpy(), np.float32)
    return array
