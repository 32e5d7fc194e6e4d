"""Convolutions one behind the other, in a single call."""

from __future__ import annotations

import ctypes
import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from offramp.cascade.kernels.binary_conv import BinaryConv, GridConv
from offramp.cascade.kernels.compiling import kernels
from offramp.errors import ConfigError

__all__ = ["Chain", "Link"]

Floats = NDArray[np.float32]


class _Call(ctypes.Structure):
    """``call`` of the C source."""

    _fields_: ClassVar = [
        ("layer", ctypes.c_void_p),
        *((name, ctypes.c_int32) for name in ("binary", "height", "width")),
        *((name, ctypes.c_int64) for name in ("input", "added", "out")),
    ]


@dataclass(frozen=True)
class Link:
    """A convolution, which result it reads (-1: what comes in) and which is added to its own, if any."""

    conv: BinaryConv | GridConv
    source: int
    added: int | None = None


@dataclass(frozen=True)
class _Layout:
    """Calls for maps of one size, and where they find things in the workspace."""

    calls: ctypes.Array[_Call]
    scratch: int
    floats: int
    shape: tuple[int, int, int]


class Chain:
    """Runs convolutions in order; as calling each, without the time that calling takes.

    Parameters
    ----------
    links : at least one; each reads results of earlier ones

    Raises
    ------
    ConfigError : no links, or one that reads what comes later
    """

    def __init__(self, links: Sequence[Link]) -> None:
        self.links = tuple(links)
        late = [
            i
            for i, link in enumerate(links)
            if not -1 <= max(link.source, -1 if link.added is None else link.added) < i
        ]
        if not links or late:
            raise ConfigError(
                f"a chain of convolutions: link {late[0] if late else 0} reads what comes later, or none is there"
            )
        self._compiled = kernels().compiled
        self._layouts: dict[tuple[int, ...], _Layout] = {}
        self._lock = threading.Lock()

    def __call__(self, features: Floats) -> Floats:
        """(H, W, C) to what the last link gives; a view of one workspace.

        Raises
        ------
        ConfigError : features that the first links do not take
        """
        with self._lock:
            layout = self._layouts.get(features.shape)
            if layout is None:
                layout = self._layouts[features.shape] = self._laid_out(features.shape)
        workspace = np.empty(layout.floats, np.float32)
        workspace[: features.size] = features.reshape(-1)
        self._compiled.offramp_run(
            layout.calls, len(self.links), ctypes.c_void_p(workspace.ctypes.data), ctypes.c_int64(layout.scratch)
        )
        begin = layout.calls[len(self.links) - 1].out
        return workspace[begin : begin + math.prod(layout.shape)].reshape(layout.shape)

    def _laid_out(self, shape: tuple[int, ...]) -> _Layout:
        shapes: dict[int, tuple[int, int, int]] = {-1: (shape[0], shape[1], shape[2])}
        places, end, scratch = {-1: 0}, math.prod(shape), 0
        for index, link in enumerate(self.links):
            height, width, channels = shapes[link.source]
            result = link.conv.result_shape(height, width)
            if channels != link.conv.channels or (link.added is not None and shapes[link.added] != result):
                raise ConfigError(f"a chain of convolutions: link {index} does not take maps of {shapes[link.source]}")
            shapes[index], places[index] = result, end
            end += math.prod(result)
            scratch = max(scratch, link.conv.frame_floats(height, width))
        calls = (_Call * len(self.links))()
        for index, link in enumerate(self.links):
            height, width, _ = shapes[link.source]
            calls[index] = _Call(
                layer=link.conv.at,
                binary=isinstance(link.conv, BinaryConv),
                height=height,
                width=width,
                input=places[link.source],
                added=-1 if link.added is None else places[link.added],
                out=places[index],
            )
        return _Layout(calls, end, end + scratch, shapes[len(self.links) - 1])
