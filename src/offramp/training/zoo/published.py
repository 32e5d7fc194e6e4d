"""Networks whose weights others trained and published, found under ``OFFRAMP_DATA``."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from offramp.data.arrays import read_arrays
from offramp.data.registry import shared_file
from offramp.errors import DataError
from offramp.training.zoo.resnet import CifarResNet, ResidualBlock

__all__ = ["PadShortcut", "akamaster_resnet", "mlperf_resnet8"]

Arrays = dict[str, NDArray[Any]]

KERAS_EPSILON, TORCH_EPSILON = 1e-3, 1e-5
#: Keras numbers its layers in the order they were made: the shortcut of a stack comes last in it
MLPERF_STACKS = (("stack1.0", 1, None), ("stack2.0", 3, 5), ("stack3.0", 6, 8))


class PadShortcut(nn.Module):
    """Take every second pixel and fill the new channels with zeros, half in front, half behind.

    Examples
    --------
    >>> PadShortcut(16, 32)(torch.zeros(1, 16, 8, 8)).shape
    torch.Size([1, 32, 4, 4])
    """

    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        self.before = (channels - channels_in) // 2
        self.behind = channels - channels_in - self.before

    def forward(self, features: Tensor) -> Tensor:
        """(n, C_in, H, W) to (n, C, H / 2, W / 2)."""
        return nn.functional.pad(features[:, :, ::2, ::2], (0, 0, 0, 0, self.before, self.behind))


def akamaster_resnet(depth: int = 56, file: str = "") -> CifarResNet:
    """ResNet-20 or -56 for CIFAR-10 with the weights of akamaster/pytorch_resnet_cifar10.

    Takes pixels / 255, then mean 0.485, 0.456, 0.406 and deviation 0.229, 0.224, 0.225.

    Parameters
    ----------
    depth : 20 or 56
    file : ``.npz`` of the state dict; default: ``weights/akamaster_resnetDEPTH.npz`` in ``OFFRAMP_DATA``

    Raises
    ------
    DataError : the file is missing, or holds the weights of another network
    """
    path = Path(file) if file else shared_file(f"weights/akamaster_resnet{depth}.npz")
    net = CifarResNet(depth)
    for stack in (net.stack2, net.stack3):
        block = cast("ResidualBlock", stack[0])
        block.shortcut = PadShortcut(block.conv1.in_channels, block.conv1.out_channels)
    _load(net, {_akamaster_name(name): value for name, value in read_arrays(path).items()}, path)
    return net


def mlperf_resnet8(file: str = "") -> CifarResNet:
    """The ResNet-8 for CIFAR-10 of MLPerf Tiny with its published weights. Takes pixels 0..255 as they are.

    Biases in front of a norm are moved into it, and so is Keras' larger epsilon.

    Parameters
    ----------
    file : ``.npz`` by Keras layer names; default: ``weights/mlperf_tiny_resnet8.npz`` in ``OFFRAMP_DATA``

    Raises
    ------
    DataError : the file is missing, or holds the weights of another network
    """
    path = Path(file) if file else shared_file("weights/mlperf_tiny_resnet8.npz")
    arrays = read_arrays(path)
    net = CifarResNet(8)
    for stack in (net.stack2, net.stack3):
        block = cast("ResidualBlock", stack[0])
        block.conv1 = _padded_as_tensorflow(block.conv1)  # type: ignore[assignment]  # called the same way
    try:
        _load(net, _mlperf_state(arrays), path)
    except KeyError as error:
        raise DataError(f"{path}: has no array {error}, so these are not MLPerf Tiny's ResNet-8 weights") from error
    return net


def _akamaster_name(name: str) -> str:
    name = name.removeprefix("module.")
    for theirs, ours in (("layer", "stack"), (".bn", ".norm")):
        name = name.replace(theirs, ours)
    top, _, rest = name.partition(".")
    return f"{ {'conv1': 'stem.0', 'bn1': 'stem.1'}.get(top, top) }.{rest}"


def _padded_as_tensorflow(conv: nn.Conv2d) -> nn.Sequential:
    """Stride 2 with TensorFlow's "same": the row and column of zeros come last."""
    conv.padding = (0, 0)
    return nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), conv)


def _mlperf_state(arrays: Arrays) -> Arrays:
    state = {"linear.weight": arrays["dense.kernel"].T, "linear.bias": arrays["dense.bias"]}
    state |= _normed(arrays, 0, 0, "stem.0", "stem.1")
    norm = 1
    for block, conv, shortcut in MLPERF_STACKS:
        first = f"{block}.conv1" if shortcut is None else f"{block}.conv1.1"
        state |= _normed(arrays, conv, norm, first, f"{block}.norm1")
        state |= _normed(arrays, conv + 1, norm + 1, f"{block}.conv2", f"{block}.norm2")
        norm += 2
        if shortcut is not None:
            state[f"{block}.shortcut.weight"] = _kernel(arrays, shortcut)
            state[f"{block}.shortcut.bias"] = arrays[f"{_keras('conv2d', shortcut)}.bias"]
    return state


def _normed(arrays: Arrays, conv: int, norm: int, conv_name: str, norm_name: str) -> Arrays:
    """A convolution without bias and the norm behind it, from Keras layers ``conv`` and ``norm``."""
    keras = _keras("batch_normalization", norm)
    return {
        f"{conv_name}.weight": _kernel(arrays, conv),
        f"{norm_name}.weight": arrays[f"{keras}.gamma"],
        f"{norm_name}.bias": arrays[f"{keras}.beta"],
        f"{norm_name}.running_mean": arrays[f"{keras}.moving_mean"] - arrays[f"{_keras('conv2d', conv)}.bias"],
        f"{norm_name}.running_var": arrays[f"{keras}.moving_variance"] + KERAS_EPSILON - TORCH_EPSILON,
    }


def _kernel(arrays: Arrays, conv: int) -> NDArray[Any]:
    """(H, W, in, out) to torch's (out, in, H, W)."""
    return arrays[f"{_keras('conv2d', conv)}.kernel"].transpose(3, 2, 0, 1)


def _keras(layer: str, index: int) -> str:
    return f"{layer}_{index}" if index else layer


def _load(net: nn.Module, state: Arrays, path: Path) -> None:
    """Fill ``net``; every array must find its place, and every weight its array."""
    tensors = {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in state.items()}
    wanted = {name for name in net.state_dict() if not name.endswith("num_batches_tracked")}
    tensors = {name: value for name, value in tensors.items() if not name.endswith("num_batches_tracked")}
    if odd := sorted(wanted ^ set(tensors)):
        raise DataError(f"{path}: weights of another network ({odd[0]!r} is missing or unknown)")
    try:
        net.load_state_dict(tensors, strict=False)
    except RuntimeError as error:
        raise DataError(f"{path}: weights of another size ({str(error).splitlines()[-1].strip()})") from error
