"""A binary convolution on packed bits."""

from __future__ import annotations

import ctypes
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from offramp.cascade.kernels.compiling import kernels
from offramp.errors import ConfigError

__all__ = ["BinaryConv", "GridConv", "pack_filters"]

#: channels and filters a layer may have
_MOST = 1024
_pointer = ctypes.c_void_p

Floats = NDArray[np.float32]
Array = NDArray[Any]


def pack_filters(weight: Array) -> NDArray[np.uint64]:
    """Filters (C_out, C_in, 3, 3) of -1 and 1 as words (3 x words, C_out): a kernel row after the other.

    A kernel row has its three taps one behind the other, C_in bits each, and is filled up to whole words.

    Raises
    ------
    ConfigError : other values, another kernel, or channels that are no multiple of 8

    Examples
    --------
    >>> pack_filters(np.ones((2, 8, 3, 3))).tolist() == [[2**24 - 1] * 2] * 3
    True
    """
    filters, channels = weight.shape[:2]
    if weight.shape[2:] != (3, 3) or channels % 8 or not np.isin(weight, (-1, 1)).all():
        raise ConfigError(
            f"the binary kernel takes 3 x 3 filters of -1 and 1 with a multiple of 8 channels, not {weight.shape}"
        )
    rows = (weight > 0).transpose(0, 2, 3, 1).reshape(filters, 3, 3 * channels)
    words = -(-3 * channels // 64)
    padded = np.zeros((filters, 3, words * 64), bool)
    padded[:, :, : 3 * channels] = rows
    packed = np.packbits(padded, axis=2, bitorder="little").view("<u8").astype(np.uint64)
    return np.ascontiguousarray(packed.reshape(filters, 3 * words).T)


class _Layer(ctypes.Structure):
    """``layer`` of the C source."""

    _fields_: ClassVar = [
        *((name, ctypes.c_int32) for name in ("channels", "filters", "stride", "k")),
        *((name, ctypes.c_void_p) for name in ("threshold", "weights", "tap_sums", "scale", "factor", "shift", "bias")),
        *((name, ctypes.c_float) for name in ("leak", "grid")),
    ]


class _Conv:
    """What both kinds share: constants in C, and the shape of the result."""

    def __init__(self, shape: tuple[int, ...], stride: int, leak: float, arrays: dict[str, Array | None]) -> None:
        filters, self.channels, size = shape[:3]
        if filters > _MOST or self.channels > _MOST:
            raise ConfigError(f"the kernels take up to {_MOST} channels and filters, not {self.channels} and {filters}")
        self.filters, self.stride, self.size = filters, stride, size
        self.arrays = {name: np.ascontiguousarray(a) for name, a in arrays.items() if a is not None}
        pointers = {name: array.ctypes.data for name, array in self.arrays.items()}
        self.layer = _Layer(channels=self.channels, filters=filters, stride=stride, k=size, leak=leak, **pointers)
        self.at = ctypes.addressof(self.layer)
        self.compiled = kernels().compiled

    def room(self, features: Floats) -> Floats:
        """An array for the result.

        Raises
        ------
        ConfigError : features of another number of channels, or in another order in memory
        """
        if features.shape[2:] != (self.channels,) or features.dtype != np.float32 or not features.flags.c_contiguous:
            raise ConfigError(
                f"convolution: features are {features.dtype} {features.shape}; they must be float32 "
                f"(height, width, {self.channels}) in C order"
            )
        height, width, _ = features.shape
        return np.empty(self.result_shape(height, width), np.float32)

    def result_shape(self, height: int, width: int) -> tuple[int, int, int]:
        """Of what comes out."""
        return -(-height // self.stride), -(-width // self.stride), self.filters

    def frame_floats(self, height: int, width: int) -> int:
        """Room it needs beside input and result, in floats."""
        return (height + self.size - 1) * (width + self.size - 1) * self.channels + 2


class BinaryConv(_Conv):
    """Threshold, 3 x 3 convolution of signs, scale, norm, what is added, leaky activation; all in one pass.

    Parameters
    ----------
    weight : (C_out, C_in, 3, 3) of -1 and 1
    threshold : (C_in,) a value at or above it counts as 1, else as -1
    scale, factor, shift : (C_out,) ``sums * scale * factor + shift``
    leak : values below zero are multiplied by it; 0 is a ReLU, 1 nothing
    stride : 1 or 2

    Raises
    ------
    ConfigError : shapes that do not fit, or no kernels on this machine

    Source: Rastegari et al. 2016 (XNOR-Net), section 3.2.
    """

    def __init__(
        self,
        weight: Floats,
        threshold: Floats,
        scale: Floats,
        factor: Floats,
        shift: Floats,
        leak: float = 1.0,
        stride: int = 1,
    ) -> None:
        filters, channels = weight.shape[:2]
        vectors = {"threshold": threshold, "scale": scale, "factor": factor, "shift": shift}
        for name, array in vectors.items():
            wanted = channels if name == "threshold" else filters
            if array.shape != (wanted,):
                raise ConfigError(f"binary convolution: {name} has shape {array.shape}, it must be ({wanted},)")
        sums = weight.sum(1).transpose(1, 2, 0).reshape(9, filters).astype(np.int32)
        constants = {name: array.astype(np.float32) for name, array in vectors.items()}
        super().__init__(weight.shape, stride, leak, {"weights": pack_filters(weight), "tap_sums": sums, **constants})

    @property
    def packed_bytes(self) -> int:
        """Bytes of the packed filters in memory."""
        return self.arrays["weights"].nbytes

    def __call__(self, features: Floats, added: Floats | None = None) -> Floats:
        """(H, W, C_in) to (H / stride, W / stride, C_out), float32 in C order; ``added`` has the shape of the result.

        Raises
        ------
        ConfigError : arrays of another shape, type or order in memory
        """
        out = self.room(features)
        if added is not None and (added.shape != out.shape or not added.flags.c_contiguous):
            raise ConfigError(f"binary convolution: what is added is {added.shape}, it must be {out.shape} in C order")
        height, width, channels = features.shape
        signs = np.empty((height + 2) * (width + 2) * channels // 8 + 8, np.uint8)
        self.compiled.offramp_binary_conv(
            _pointer(self.at),
            _pointer(features.ctypes.data),
            height,
            width,
            _pointer(None if added is None else added.ctypes.data),
            _pointer(signs.ctypes.data),
            _pointer(out.ctypes.data),
        )
        return out


class GridConv(_Conv):
    """A k x k convolution of full precision with inputs on a grid, norm and leaky activation.

    Parameters
    ----------
    weight : (C_out, C_in, k, k), k odd
    grid_bits : of the inputs behind the binary point
    bias, factor, shift : (C_out,) or None
    leak, stride : as in `BinaryConv`
    """

    def __init__(
        self,
        weight: Floats,
        grid_bits: int,
        bias: Floats | None = None,
        factor: Floats | None = None,
        shift: Floats | None = None,
        leak: float = 1.0,
        stride: int = 1,
    ) -> None:
        by_tap = weight.transpose(2, 3, 1, 0).astype(np.float32)
        super().__init__(
            weight.shape, stride, leak, {"weights": by_tap, "bias": bias, "factor": factor, "shift": shift}
        )
        self.layer.grid = 2.0**grid_bits

    def __call__(self, features: Floats) -> Floats:
        """(H, W, C_in) to (H / stride, W / stride, C_out), float32 in C order.

        Raises
        ------
        ConfigError : features of another shape, type or order in memory
        """
        out = self.room(features)
        height, width, channels = features.shape
        frame = np.empty((height + self.size - 1) * (width + self.size - 1) * channels, np.float32)
        self.compiled.offramp_grid_conv(
            _pointer(self.at),
            _pointer(features.ctypes.data),
            height,
            width,
            _pointer(frame.ctypes.data),
            _pointer(out.ctypes.data),
        )
        return out
